"""Judge what train.py made on the artists it never heard, and fill README.md.

python recipes/gtzan_genres/evaluate.py [--runs runs/gtzan_genres] [--plot]
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import evaluate

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent))
