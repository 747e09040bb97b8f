"""Any folder of speakers as a manifest: FOLDER/<speaker>/ with audio at any depth.

Speakers are dealt to the splits by a hash of their names, so none is in two.

    python data_prep/speaker_folders.py --root FOLDER --out manifest.csv --license CC0-1.0
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import folders, manifest


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest; speakers with too little material are named and left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--license", default="")
    parser.add_argument(
        "--shares",
        type=float,
        nargs=3,
        help="train, valid, test; without it three speakers or a tenth validate, as many test",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least-seconds", type=float, default=4.0, help="of a speaker in all")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    bad: list[str] = []
    rows = folders.of_speakers(
        args.root,
        shares=args.shares,
        seed=args.seed,
        license=args.license,
        least_seconds=args.least_seconds,
        bad=bad,
    )
    for line in bad:
        print(f"left out: {line}", file=sys.stderr)
    manifest.write(args.out, rows)
    dealt = [row.split for row in {row.speaker: row for row in rows}.values()]
    told = ", ".join(f"{dealt.count(name)} {name}" for name in manifest.SPLITS)
    print(f"{args.out}: {len(rows)} recordings, {len(dealt)} speakers ({told})")


if __name__ == "__main__":
    script(main)
