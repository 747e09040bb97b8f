"""Score what train.py made, and write the tables into README.md.

The valid list has the speakers of training (the closed condition), the test list others (the open
one).

    python recipes/wsj0_2mix_extr/evaluate.py [--runs FOLDER ...] [--metrics sdr,pesq,stoi]
        [--genders SPEAKERS.csv] [--plot] [--device cuda]

Beside the tables every mixture's scores, the first examples as audio and pictures (--plot) go to
RUNS/scores.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.recipes import evaluate

LISTS = {"extraction": ("valid", "test")}

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent, LISTS))
