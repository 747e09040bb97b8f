"""Train the recipes beside this file on GTZAN genres: one split, artists kept apart.

    python recipes/gtzan_genres/train.py genres.csv [--recipes NAME ...] [key=value ...]

Runs go to runs/gtzan_genres/<recipe>/split. A killed run goes on when called again.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import train

if __name__ == "__main__":
    script(lambda: train(__doc__, Path(__file__).parent))
