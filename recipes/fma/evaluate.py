"""Judge what train.py made on the published test split, and fill README.md.

python recipes/fma/evaluate.py [--runs runs/fma] [--plot]
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import evaluate

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent))
