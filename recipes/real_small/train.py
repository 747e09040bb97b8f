"""Train a small extractor, its speaker encoder, and a small separator, shared and unshared.

    python recipes/real_small/train.py MANIFEST.csv ... [key=value ...] [--recipes NAME ...]

A killed run goes on when called again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from stages import BEFORE, ENCODERS, EXTRACTORS, RUNS, SEPARATORS, runs_of

from sepaudio import train
from sepaudio.cli import key_values, script

HERE = Path(__file__).parent


BESIDE = ("tsenet_small_pair",)  # stages whose encoder is put beside the one that is there


def _start(name: str) -> list[str]:
    """What a recipe goes on from."""
    before, encoder = BEFORE.get(name), ENCODERS.get(name)
    init = [f"init={RUNS / before[-1] / 'model'}"] if before else []
    place = "second" if name in BESIDE else "speaker"
    return [*init, *([f"{place}={RUNS / encoder / 'model'}"] if encoder else [])]


LONG = ["data.mixing.noise=0.2", "optim.batch=32", "optim.lr=1.5e-3", "optim.ema=0.998"]
SAME = {  # stages without a recipe of their own: whose they have, and what is changed in it
    "voices_small_again": ("voices_small_longer", []),
    "tsenet_small_leftover": ("tsenet_small_steady", ["seed=23", "optim.steps=8000"]),
    "voices_small_manners": ("voices_small_leftover", ["seed=41", "data.mixing.manners=0.6"]),
    "tsenet_small_manners": (
        "tsenet_small_steady",
        ["seed=43", "optim.steps=4400", "level=0.1", "data.mixing.manners=0.3"],
    ),
    "tsenet_small_colours": (
        "tsenet_small_steady",
        [
            *("seed=89", "optim.steps=4600", "level=0.1", "data.mixing.manners=0.3"),
            "colours=0.5",
        ],
    ),
    "tsenet_small_pair": (
        "tsenet_small_steady",
        [
            *("seed=101", "optim.steps=200", "optim.lr=1e-4", "level=0.1", "presence=0"),
            *("data.mixing.manners=0.3", "colours=0.5"),
        ],
    ),
    "mitas_small_steady": ("mitas_small_muon", [*LONG, "seed=47", "optim.steps=9000"]),
    "mitas_small_onward": ("mitas_small_muon", [*LONG, "seed=61", "optim.steps=5600"]),
    "mitas_small_further": ("mitas_small_muon", [*LONG, "seed=71", "optim.steps=8000"]),
    "mitas_small_beyond": ("mitas_small_muon", [*LONG, "seed=97", "optim.steps=6400"]),
}


def _recipe(name: str) -> tuple[str, list[str], list[str]]:
    return *SAME.get(name, (name, [])), _start(name)


# recipe, what is changed in it unless the command line does, and what makes it this one
RECIPES = {
    **{name: _recipe(name) for name in (*runs_of(EXTRACTORS[-1]), *SEPARATORS)},
    "mitas_small_unshared": ("mitas_small", [], ["model.tcn.sharing=none"]),
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
        recipe, own, fixed = RECIPES[name]
        print(train(HERE / f"{recipe}.yaml", [*own, *changes, *fixed], output=RUNS / name))


if __name__ == "__main__":
    script(main)
