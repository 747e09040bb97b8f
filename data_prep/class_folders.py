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
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest


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
    root, name = args.root, args.source or args.root.resolve().name
    files = _files(root, args.kind)
    groups = {path: _group(path.relative_to(root).as_posix(), args.group) for _, path in files}
    kinds = {groups[path]: kind for kind, path in files}
    splits: dict[str, str] = {}
    shares = dict(zip(manifest.SPLITS, args.shares, strict=True))
    folds: dict[str, int] = {}
    for kind in sorted(set(kinds.values())):
        own = [group for group, of in kinds.items() if of == kind]
        if args.folds:
            order = sorted(set(own), key=lambda g: _hash(g, args.seed))
            folds |= {group: i % args.folds + 1 for i, group in enumerate(order)}
        splits |= manifest.split(own, shares, args.seed, salt=kind)
    rows = []
    for kind, path in files:
        group, fold = groups[path], None
        split = splits[group]
        if args.folds:
            fold = folds[group]
            split = {args.folds: "test", args.folds - 1: "valid"}.get(fold, "train")
        rows.append(
            manifest.of_file(
                path,
                kind=kind,
                split=split,
                fold=fold,
                source=f"{name}@{group}:{path.relative_to(root).as_posix()}",
                license=args.license,
            )
        )
    manifest.write(args.out, rows)
    classes = {row.kind for row in rows}
    print(f"{args.out}: {len(rows)} recordings, {len(classes)} classes, {len(splits)} groups")


def _files(root: Path, kind: re.Pattern[str] | None) -> list[tuple[str, Path]]:
    """Classes and recordings."""
    if kind is None:
        folders = sorted(path for path in root.glob("*") if path.is_dir())
        files = [(folder.name, path) for folder in folders for path in io.find([folder])]
    else:
        found = [(kind.search(path.relative_to(root).as_posix()), path) for path in io.find([root])]
        files = [(match.group(1), path) for match, path in found if match]
    if not files:
        raise SystemExit(f"{root}: no <class>/<recording>: expected a folder for every class")
    return files


def _hash(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{group}".encode()).digest()


def _group(path: str, pattern: re.Pattern[str] | None) -> str:
    """What a recording must stay together with."""
    if pattern is None:
        return path
    found = pattern.search(path)
    if found is None or pattern.groups < 1:
        raise SystemExit(
            f"{path}: --group {pattern.pattern!r} finds nothing, or has no group in brackets"
        )
    return found.group(1)


if __name__ == "__main__":
    script(main)
