"""Score what train.py made on the test lists, and write the tables into README.md.

    python recipes/librimix/evaluate.py [--runs FOLDER ...] [--metrics sdr,pesq,stoi]
        [--genders SPEAKERS.csv] [--plot] [--device cuda]

Beside the tables every mixture's scores, the first examples as audio and pictures (--plot) go to
RUNS/scores.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.recipes import evaluate

LISTS = {"separation": ("test",), "extraction": ("test_enrolled",)}

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent, LISTS))
