"""Judge what train.py made on the folds it never heard; fill README.md and results.json.

    python recipes/esc10/evaluate.py [--runs runs/esc10] [--plot]

A clip is judged whole. "Last" is the model after the last step, chosen by nothing. "Best" is the
step that was best on the very fold that judges it, as papers report it: it flatters. Intervals come
from drawing source recordings again, not clips.
"""

from pathlib import Path

from sepaudio.cli import script
from sepaudio.cli.folds import evaluate

if __name__ == "__main__":
    script(lambda: evaluate(__doc__, Path(__file__).parent, recipe="esresnet_separable"))
