"""LibriMix as a list of mixtures that are made when they are needed: no mixture lies on disk.

METADATA is a file of LibriMix's repository, such as metadata/Libri2Mix/libri2mix_test-clean.csv.

    python data_prep/librimix.py --metadata METADATA --librispeech LibriSpeech --out test.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import mixtures, published


def main(argv: Sequence[str] | None = None) -> None:
    """Write the list; with --enrollments a row for every target, else one for every mixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata", type=Path, nargs="+", required=True)
    parser.add_argument("--librispeech", type=Path, required=True)
    parser.add_argument("--wham-noise", type=Path, help="needed unless --kind is clean")
    parser.add_argument("--kind", choices=published.KINDS, default="clean")
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--mode", choices=mixtures.MODES, default="min")
    parser.add_argument("--enrollments", type=Path, help="map_mixture2enrollment, or its CSV")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = [
        row
        for metadata in args.metadata
        for row in published.librimix(
            metadata,
            args.librispeech,
            args.wham_noise,
            sample_rate=args.rate,
            mode=args.mode,
            kind=args.kind,
        )
    ]
    if args.enrollments:
        rows = published.librimix_enrollments(rows, args.enrollments)
    mixtures.write(args.out, rows)
    print(f"{args.out}: {len(rows)} mixtures")


if __name__ == "__main__":
    script(main)
