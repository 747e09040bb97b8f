"""Any folder of speakers as a manifest: FOLDER/<speaker>/ with audio at any depth.

Speakers are dealt to the splits by a hash of their names, so none is in two.

    python data_prep/speaker_folders.py --root FOLDER --out manifest.csv --license CC0-1.0
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest; speakers with too little material are named and left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--license", default="")
    parser.add_argument("--shares", type=float, nargs=3, default=(0.8, 0.1, 0.1))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least-seconds", type=float, default=4.0, help="of a speaker in all")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = []
    for folder in sorted(path for path in args.root.iterdir() if path.is_dir()):
        files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in io.SUFFIXES]
        here = [
            manifest.of_file(
                path,
                kind="speech",
                split="train",
                source=f"{args.root.name}@{folder.name}:{path.relative_to(folder)}",
                license=args.license,
                speaker=folder.name,
            )
            for path in files
        ]
        seconds = sum(row.duration or 0.0 for row in here)
        if seconds < args.least_seconds:
            print(f"{folder.name}: left out, {seconds:.1f} s of {args.least_seconds:g} s")
        else:
            rows += here
    shares = dict(zip(manifest.SPLITS, args.shares, strict=True))
    splits = manifest.split({row.speaker for row in rows}, shares, args.seed)
    rows = [replace(row, split=splits[row.speaker]) for row in rows]
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} recordings, {len(splits)} speakers")


if __name__ == "__main__":
    script(main)
