"""Train a small extractor, and a small separator with shared weights and without.

    python recipes/real_small/train.py MANIFEST.csv ... [key=value ...] [--recipes NAME ...]

A killed run goes on when called again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sepaudio import train
from sepaudio.cli import key_values, script

HERE = Path(__file__).parent
RUNS = Path("runs/real_small")
RECIPES = {
    "tsenet_small": ("tsenet_small", []),
    "tsenet_small_longer": ("tsenet_small_longer", [f"init={RUNS / 'tsenet_small' / 'model'}"]),
    "tsenet_small_alike": (
        "tsenet_small_alike",
        [f"init={RUNS / 'tsenet_small_longer' / 'model'}"],
    ),
    "tsenet_small_present": (
        "tsenet_small_present",
        [f"init={RUNS / 'tsenet_small_alike' / 'model'}"],
    ),
    "tsenet_small_many": (
        "tsenet_small_many",
        [f"init={RUNS / 'tsenet_small_present' / 'model'}"],
    ),
    "mitas_small": ("mitas_small", []),
    "mitas_small_longer": ("mitas_small_longer", [f"init={RUNS / 'mitas_small' / 'model'}"]),
    "mitas_small_unshared": ("mitas_small", ["model.tcn.sharing=none"]),
}


def main() -> None:
    """Train what the recipes beside this file say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", help="CSV; key=value may stand anywhere")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    given, others = key_values()
    options = parser.parse_args(others)
    manifests = [str(Path(a).resolve()) for a in options.manifests]
    changes = [f"data.manifests={json.dumps(manifests)}", *given]
    for name in options.recipes:
        recipe, more = RECIPES[name]
        print(train(HERE / f"{recipe}.yaml", [*changes, *more], output=RUNS / name))


if __name__ == "__main__":
    script(main)
