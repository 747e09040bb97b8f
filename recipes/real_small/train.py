"""Train a small extractor and a small separator on a manifest of speakers.

    python recipes/real_small/train.py MANIFEST.csv ... [key=value ...] [--recipes tsenet_small]

A killed run goes on when called again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sepaudio import train

HERE = Path(__file__).parent
RUNS = Path("runs/real_small")


def main() -> None:
    """Train what the recipes beside this file say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arguments", nargs="+", help="manifests (CSV) and key=value")
    parser.add_argument("--recipes", nargs="+", default=["tsenet_small", "mitas_small"])
    options = parser.parse_args()
    manifests = [str(Path(a).resolve()) for a in options.arguments if "=" not in a]
    overrides = [f"data.manifests={json.dumps(manifests)}"]
    overrides += [a for a in options.arguments if "=" in a]
    for name in options.recipes:
        print(train(HERE / f"{name}.yaml", overrides, output=RUNS / name))


if __name__ == "__main__":
    main()
