"""FMA as a manifest: the top genre of every track, with the split and the licences of its table.

    python data_prep/fma.py --root fma_small --metadata fma_metadata --subset small --out fma.csv

Reads `fma_metadata/tracks.csv`, whose head has two lines, and `<root>/<first three digits>/<six
digits>.mp3`. In the published split no artist is in two parts. Tracks without a top genre are left
out, and so are files that are missing or cannot be read: some clips of the set are cut short.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

SPLITS = {"training": "train", "validation": "valid", "test": "test"}
SUBSETS = ("small", "medium", "large", "full")  # each holds those before it
LEAST = 5.0  # [s]; clips are 30 s long, the broken ones much less


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of one subset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds 000, 001 ...")
    parser.add_argument("--metadata", type=Path, required=True, help="holds tracks.csv")
    parser.add_argument("--subset", choices=SUBSETS, default="small")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    wanted = SUBSETS[: SUBSETS.index(args.subset) + 1]
    rows, bad = [], 0
    for track, values in _tracks(args.metadata / "tracks.csv"):
        genre = values["track", "genre_top"]
        if values["set", "subset"] not in wanted or not genre:
            continue
        name = f"{track:06d}"
        try:
            row = manifest.of_file(
                args.root / name[:3] / f"{name}.mp3",
                kind=genre.lower().replace(" / ", "_").replace(" ", "_").replace("-", "_"),
                split=SPLITS[values["set", "split"]],
                source=f"fma@{name}:{name}.mp3",
                license=values["track", "license"] or "unknown",
            )
        except ValueError as error:
            print(f"left out: {error}")
            bad += 1
            continue
        if (row.duration or 0) < LEAST:
            print(f"left out: {row.path} lasts {row.duration} s")
            bad += 1
            continue
        rows.append(row)
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} tracks, {bad} left out")


def _tracks(path: Path) -> list[tuple[int, dict[tuple[str, str], str]]]:
    """Numbers of tracks, and their values by both lines of the head."""
    if not path.is_file():
        raise SystemExit(f"{path} does not exist: expected FMA's table")
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        head = list(zip(next(lines), next(lines), strict=True))
        return [
            (int(line[0]), dict(zip(head[1:], line[1:], strict=True)))
            for line in lines
            if line[0].isdigit()
        ]


if __name__ == "__main__":
    script(main)
