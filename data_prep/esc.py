"""ESC-10 and ESC-50 as a manifest, with their official folds.

    python data_prep/esc.py --root ESC-50 --out esc50.csv
    python data_prep/esc.py --root ESC-50 --only-esc10 --out esc10.csv

Reads `meta/esc50.csv` beside `audio/`, or `meta.csv` beside `audio/`, whose columns are the same.
Licences of clips are taken from `attribution.csv` (filename, license) or from `LICENSE` (a line a
clip, with its name and its licence) where one is there; else a clip of ESC-10 has CC BY, another
CC BY-NC, as the data set says of itself.
Fold 5 tests and fold 4 validates where only splits are asked for.
"""

import argparse
import csv
import re
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

WHOLE = {"False": "CC-BY-NC-3.0", "True": "CC-BY-3.0"}  # by whether it is in ESC-10
SPLITS = {4: "valid", 5: "test"}
NAMES = {  # as the tables of the set write them -> SPDX
    "CC0": "CC0-1.0",
    "CC-BY": "CC-BY-3.0",
    "CC-BY-NC": "CC-BY-NC-3.0",
    "CC-SAMPLING+": "CC-Sampling+",
}
CLIP = re.compile(r"\d-\d+-[A-Z]")  # fold, recording and take; the class may follow
LICENCE = re.compile(r"CC0|CC[- ]BY[- ]NC|CC[- ]BY|CC[- ]Sampling\+", re.IGNORECASE)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest: every clip, or those of the ten classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds audio and the table")
    parser.add_argument("--only-esc10", action="store_true", help="the ten classes of ESC-10")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    tables = [args.root / "meta" / "esc50.csv", args.root / "meta.csv"]
    table = next((path for path in tables if path.is_file()), None)
    if table is None:
        raise SystemExit(f"{args.root}: no meta/esc50.csv and no meta.csv: expected ESC-50")
    with table.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if args.only_esc10:
        lines = [line for line in lines if line["esc10"] == "True"]
    small = all(line["esc10"] == "True" for line in lines)
    name = "ESC-10" if small else "ESC-50"
    licences = _licences(args.root)
    rows = []
    for line in lines:
        clip, fold = line["filename"], int(line["fold"])
        rows.append(
            manifest.of_file(
                args.root / "audio" / clip,
                kind=line["category"],
                split=SPLITS.get(fold, "train"),
                fold=fold,
                source=f"{name}@{line['src_file']}:{clip}",
                license=licences.get(_clip(clip), WHOLE[line["esc10"]]),
            )
        )
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} recordings of {len({row.kind for row in rows})} classes")


def _licences(root: Path) -> dict[str, str]:
    """Licences by clip, without its class."""
    found = {}
    if (root / "attribution.csv").is_file():
        with (root / "attribution.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found[_clip(row["filename"])] = _name(row["license"])
    elif (root / "LICENSE").is_file():
        for line in (root / "LICENSE").read_text(encoding="utf-8").splitlines():
            if licence := LICENCE.findall(line):
                found[_clip(line)] = _name(licence[-1])
    return found


def _clip(text: str) -> str:
    """The clip that a text names; "" for none."""
    found = CLIP.search(text)
    return found.group() if found else ""


def _name(text: str) -> str:
    return NAMES.get(text.upper().replace(" ", "-"), text)


if __name__ == "__main__":
    script(main)
