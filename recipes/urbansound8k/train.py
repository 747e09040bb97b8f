"""Train the recipes beside this file on UrbanSound8K, a run for every fold that is left out.

    python recipes/urbansound8k/train.py urbansound8k.csv [--recipes NAME ...] [key=value ...]

`--folds 1 2` leaves out only these. Runs go to runs/urbansound8k/<recipe>/fold<N>. A killed
run goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent))
