r"""Any folder of class folders as a manifest: `<root>/<class>/**/<recording>`.

    python data_prep/class_folders.py --root sounds --license CC0-1.0 --out sounds.csv
    python data_prep/class_folders.py --root sounds --group '(\w+)_\d+\.wav$' --folds 5 --out s.csv

Recordings are dealt to splits, and with `--folds` to folds, by a hash: the same on every machine,
and of every class about as many to each. `--kind` takes the class from the path
instead: a regular expression whose first group it is. Recordings that belong together (cut
from one, of one speaker or one instrument) must not lie on both sides: `--group` is a regular
expression searched in the path below the root, whose first group names what stays together.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import folders, manifest


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest; the first folder below the root is the class, or what --kind finds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument(
        "--kind", type=re.compile, help="regular expression whose group is the class, not a folder"
    )
    parser.add_argument("--group", type=re.compile, help="regular expression with one group")
    parser.add_argument("--folds", type=int, default=0, help="how many; the last one tests")
    parser.add_argument(
        "--shares", type=float, nargs=3, default=[0.7, 0.1, 0.2], help="train, valid, test"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--license", default="unknown")
    parser.add_argument("--source", help="name of the collection; that of the folder by default")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    bad: list[str] = []
    rows = folders.of_classes(
        args.root,
        kind=args.kind,
        group=args.group,
        folds=args.folds,
        shares=args.shares,
        seed=args.seed,
        license=args.license,
        source=args.source or "",
        bad=bad,
    )
    for line in bad:
        print(f"left out: {line}", file=sys.stderr)
    manifest.write(args.out, rows)
    groups = {row.source.split(":")[0] for row in rows}
    classes = {row.kind for row in rows}
    print(f"{args.out}: {len(rows)} recordings, {len(classes)} classes, {len(groups)} groups")


if __name__ == "__main__":
    script(main)
