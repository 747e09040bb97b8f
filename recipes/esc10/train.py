"""Train recipes on ESC-10, a run for every fold that is left out.

    python data_prep/esc.py --root ESC-50 --only-esc10 --out esc10.csv
    python recipes/esc10/train.py esc10.csv [--recipes NAME ...] [--folds 1 2 3 4 5] [key=value ...]

Runs go to runs/esc10/NAME/foldN. A killed run goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent, recipe="esresnet_separable"))
