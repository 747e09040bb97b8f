"""Judge what train.py made on the segments of its test table, and fill README.md.

python recipes/audioset/evaluate.py [--runs runs/audioset] [--plot]
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import evaluate

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent))
