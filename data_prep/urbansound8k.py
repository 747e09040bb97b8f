"""UrbanSound8K as a manifest, with its ten official folds.

    python data_prep/urbansound8k.py --root UrbanSound8K --out urbansound8k.csv

Reads `metadata/UrbanSound8K.csv` beside `audio/fold1` to `audio/fold10`. Slices of one recording
share a fold, so the folds must not be shuffled. Fold 10 tests and fold 9 validates where only
splits are asked for. Licence: CC BY-NC 3.0, the data set's.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

SPLITS = {9: "valid", 10: "test"}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of all slices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds audio and metadata")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    table = args.root / "metadata" / "UrbanSound8K.csv"
    if not table.is_file():
        raise SystemExit(f"{table} does not exist: expected UrbanSound8K's table")
    rows = []
    with table.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            name, fold = line["slice_file_name"], int(line["fold"])
            rows.append(
                manifest.of_file(
                    args.root / "audio" / f"fold{fold}" / name,
                    kind=line["class"],
                    split=SPLITS.get(fold, "train"),
                    fold=fold,
                    source=f"UrbanSound8K@{line['fsID']}:{name}",
                    license="CC-BY-NC-3.0",
                )
            )
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} slices in {len({row.fold for row in rows})} folds")


if __name__ == "__main__":
    script(main)
