"""Train recipes on ESC-10, a run for every fold that is left out.

    python data_prep/esc.py --root ESC-50 --only-esc10 --out esc10.csv
    python recipes/esc10/train.py esc10.csv [--recipes NAME ...] [--folds 1 2 3 4 5] [key=value ...]

Runs go to runs/esc10/NAME/foldN. A killed run goes on when called again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/esc10")


def main() -> None:
    """Train what the recipes beside this file say."""
    names = sorted(path.stem for path in HERE.glob("*.yaml"))
    changes = [word for word in sys.argv[1:] if re.match(r"[\w.]+=", word)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["esresnet_separable"], choices=names)
    parser.add_argument("--folds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args([word for word in sys.argv[1:] if word not in changes])
    manifests = f"data.manifests={json.dumps([str(options.manifest.resolve())])}"
    for name in options.recipes:
        for fold in options.folds:
            more = [manifests, f"data.fold={fold}", *changes]
            folder = RUNS / name / f"fold{fold}"
            print(train(HERE / f"{name}.yaml", more, output=folder, quiet=options.quiet))


if __name__ == "__main__":
    main()
