"""Train the recipes beside this file on tables like those of AudioSet: clips of several classes.

    python recipes/audioset/train.py train.csv test.csv [--recipes NAME ...] [key=value ...]

Runs go to runs/audioset/<recipe>/split. A killed run goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent))
