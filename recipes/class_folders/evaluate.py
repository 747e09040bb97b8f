"""Judge what train.py made on the folds it never heard, and fill README.md.

python recipes/class_folders/evaluate.py [--runs runs/class_folders] [--plot]
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import evaluate

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent))
