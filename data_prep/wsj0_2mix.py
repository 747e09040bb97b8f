"""WSJ0-2mix (or 3, 4, 5) as a list of mixtures that are made when they are needed.

LISTS are the published mix_2_spk_tr.txt and so on. Active levels come from published files, or
are measured where none is given.

    python data_prep/wsj0_2mix.py --lists LISTS --wsj0 FOLDER --out list.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import mixtures, published


def main(argv: Sequence[str] | None = None) -> None:
    """Write the list of all mixtures of the lists given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, nargs="+", required=True)
    parser.add_argument("--wsj0", type=Path, required=True, help="holds the names in the lists")
    parser.add_argument("--levels", type=Path, nargs="*", default=[], help="activlev_*.txt")
    parser.add_argument("--enrollments", type=Path, help="aux.scp or aux_generated_list.scp")
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--mode", choices=mixtures.MODES, default="min")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    levels = published.wsj0_levels(args.levels)
    rows = [
        row
        for listed in args.lists
        for row in published.wsj0_mix(
            listed, args.wsj0, levels, sample_rate=args.rate, mode=args.mode
        )
    ]
    if args.enrollments:
        rows = published.wsj0_enrollments(rows, args.enrollments, args.wsj0)
    mixtures.write(args.out, rows)
    print(f"{args.out}: {len(rows)} mixtures")


if __name__ == "__main__":
    script(main)
