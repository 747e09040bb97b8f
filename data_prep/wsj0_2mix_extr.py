"""WSJ0-2mix-extr as a list of mixtures that are made when they are needed.

The first, louder speaker is the target, and every row has its enrollment. Active levels are
measured (P.56).

LISTS are the published mix_2_spk_tr_extr.txt and so on.

    python data_prep/wsj0_2mix_extr.py --lists LISTS --wsj0 FOLDER --out list.csv
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
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--mode", choices=mixtures.MODES, default="max")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = [
        row
        for listed in args.lists
        for row in published.wsj0_mix(listed, args.wsj0, sample_rate=args.rate, mode=args.mode)
    ]
    if without := [row.id for row in rows if not row.enrollments]:
        raise SystemExit(f"{without[0]}: no enrollment: expected lists that end in _extr.txt")
    mixtures.write(args.out, rows)
    print(f"{args.out}: {len(rows)} mixtures")


if __name__ == "__main__":
    script(main)
