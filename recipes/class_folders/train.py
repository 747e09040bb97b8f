"""Train the recipes beside this file on any folder of class folders, a run for every fold.

    python recipes/class_folders/train.py mine.csv [--recipes NAME ...] [key=value ...]

`--folds 1 2` leaves out only these. Runs go to runs/class_folders/<recipe>/fold<N>. A killed
run goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent))
