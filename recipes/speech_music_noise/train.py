"""Train on manifests of speech, music and noise: slim, wide and fine, and what ships.

    python recipes/speech_music_noise/train.py MANIFEST.csv ... [key=value ...] [--recipes NAME ...]

A name that ends in _distilled is of a recipe whose network is taught, by MobileNet and the plain
network on the fine spectrum unless distill.teacher=[FOLDER,FOLDER] says others. Runs that share
their features read one bank of augmented clips, which is made first. A killed run goes on when
called again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sepaudio.cli import key_values, script
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/speech_music_noise")
TEACHERS = ("mobilenet", "swishnet_fine")
ALL = ("swishnet_slim", "swishnet_wide", *TEACHERS, "swishnet_fine_distilled")
TAUGHT = "_distilled"


def main() -> None:
    """Train what the recipes beside this file say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", help="CSV; key=value may stand anywhere")
    parser.add_argument("--recipes", nargs="+", default=ALL)
    given, others = key_values()
    options = parser.parse_args(others)
    manifests = [str(Path(a).resolve()) for a in options.manifests]
    common = [f"data.manifests={json.dumps(manifests)}"]
    common += [a for a in given if not a.startswith("distill.")]
    teachers = json.dumps([str(RUNS / name / "model") for name in TEACHERS])
    taught = [f"distill.teacher={teachers}"]
    taught += [a for a in given if a.startswith("distill.")]
    for name in options.recipes:
        words = [*common, *(taught if name.endswith(TAUGHT) else [])]
        recipe = HERE / f"{name.removesuffix(TAUGHT)}.yaml"
        print(train(recipe, words, output=RUNS / name))


if __name__ == "__main__":
    script(main)
