"""Train TseNet on the published mixtures of WSJ0-2mix-extr.

    python recipes/wsj0_2mix_extr/train.py [key=value ...] [--recipes NAME ...] [--runs FOLDER]

The lists are RUNS/lists/train.csv and valid.csv, as README.md beside this makes them. A killed run
goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.recipes import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent))
