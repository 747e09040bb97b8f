"""An AudioSet-style table of segments as a manifest, with a map from its labels to classes.

    python data_prep/audioset.py --root audio --segments balanced_train_segments.csv \
        --map classes.csv --split train --out train.csv

The table has lines `id, start, end, "label,label"` and comments that begin with `#`. A segment is
looked for as `<id>`, `Y<id>`, `<id>_<start>` or `<id>_<start>_<end>` (seconds, or milliseconds)
with any suffix that is audio, in `--root` and the folders below it. `--map` is a CSV with the
columns label and kind: /m/09x0r,speech. A segment whose labels mean no class is left out and
counted, and so is one of several classes, unless `--several` keeps them all: speech|music. Which
licences the recordings have is up to their authors: "unknown".
"""

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds the audio")
    parser.add_argument("--segments", type=Path, required=True)
    parser.add_argument("--map", type=Path, required=True, help="CSV with label and kind")
    parser.add_argument("--split", choices=manifest.SPLITS, required=True)
    parser.add_argument("--several", action="store_true", help="keep segments of several classes")
    parser.add_argument("--license", default="unknown")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    with args.map.open(newline="", encoding="utf-8") as file:
        kinds = {row["label"].strip(): row["kind"].strip() for row in csv.DictReader(file)}
    files = {path.stem: path for path in sorted(args.root.rglob("*")) if path.suffix in SUFFIXES}
    rows, lost = [], Counter[str]()
    for name, start, end, labels in _segments(args.segments):
        found = {kinds[label] for label in labels if label in kinds}
        path = next((files[stem] for stem in _stems(name, start, end) if stem in files), None)
        if not found or (len(found) > 1 and not args.several):
            lost["of several classes" if found else "of no class"] += 1
        elif path is None:
            lost["without audio"] += 1
        else:
            rows.append(
                manifest.of_file(
                    path,
                    kind="|".join(sorted(found)),
                    split=args.split,
                    source=f"audioset@{name}:{start:g}-{end:g}",
                    license=args.license,
                )
            )
    manifest.write(args.out, rows)
    told = "".join(f", {n} {what}" for what, n in sorted(lost.items()))
    print(f"{args.out}: {len(rows)} segments{told}")


def _segments(path: Path) -> list[tuple[str, float, float, list[str]]]:
    """(id, start [s], end [s], labels) by line."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.strip() and not line.startswith("#")]
    found = []
    for line in csv.reader(lines, skipinitialspace=True):
        if len(line) != 4:
            raise SystemExit(f"{path}: {line}: expected id, start, end and labels in quotes")
        found.append((line[0], float(line[1]), float(line[2]), line[3].split(",")))
    return found


def _stems(name: str, start: float, end: float) -> list[str]:
    """What a segment's file may be called."""
    stems = [name, f"Y{name}"]
    for unit in (1, 1000):
        times = f"{start * unit:.0f}", f"{end * unit:.0f}"
        for first in (name, f"Y{name}"):
            stems += [f"{first}_{times[0]}", f"{first}_{times[0]}_{times[1]}"]
    return [*stems, f"{name}_{start:.3f}", f"{name}_{start:.3f}_{end:.3f}"]


if __name__ == "__main__":
    script(main)
