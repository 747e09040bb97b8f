"""Which recordings are learned from, and which judge, by folds that a set has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from .manifest import SPLITS, Recording

RULES = ("official", "shuffled")
LEAK = (
    "folds are shuffled by chance: clips cut from one recording lie on both sides, so that "
    "accuracy comes out too high; such a figure is not to be compared with those of official folds"
)


def parts(
    rows: Sequence[Recording], test: int = 0, valid: int = 0, rule: str = "official", seed: int = 0
) -> dict[str, list[int]]:
    """Numbers of the rows in "train", "valid" and "test".

    Args:
        rows: of manifests.
        test: the fold that tests; with 0 the rows' own splits say what each is for.
        valid: the fold that validates, 0 for none.
        rule: "official": the folds that the manifests give, and no fold may lie in two splits.
            "shuffled": as many folds, dealt by chance (`LEAK` says what that does).
        seed: of "shuffled".

    Raises:
        ValueError: there is no such fold, a row has none, or the splits cut through folds.
    """
    if rule not in RULES:
        raise ValueError(f"folds={rule!r}: expected one of {', '.join(RULES)}")
    if test and test == valid:
        raise ValueError(f"fold={test} and valid_fold={valid}: expected two folds")
    if not test:
        if valid:
            raise ValueError(f"valid_fold={valid} with fold=0: name the fold that tests, too")
        if rule == "official":
            _whole(rows)
        return {name: [i for i, row in enumerate(rows) if row.split == name] for name in SPLITS}
    known = sorted({row.fold for row in rows if row.fold is not None})
    for row in rows:
        if row.fold is None:
            raise ValueError(f"{row.path} has no fold: fill the column, or take fold=0: splits")
    for fold in (test, valid):
        if fold and fold not in known:
            raise ValueError(f"fold {fold} is not there: expected one of {known}")
    if rule == "shuffled":
        rows = shuffled(rows, len(known), seed)
    place = {test: "test", **({valid: "valid"} if valid else {})}
    found: dict[str, list[int]] = {name: [] for name in SPLITS}
    for i, row in enumerate(rows):
        found[place.get(row.fold or 0, "train")].append(i)
    return found


def shuffled(rows: Sequence[Recording], n: int, seed: int) -> list[Recording]:
    """The rows with one of n folds each, dealt by a hash of their names, class by class."""
    groups = defaultdict(list)
    for i, row in enumerate(rows):
        digest = hashlib.sha256(f"{seed}|{row.path.name}".encode()).digest()
        groups[row.kind].append((digest, i))
    folds = {i: k % n + 1 for group in groups.values() for k, (_, i) in enumerate(sorted(group))}
    return [replace(row, fold=folds[i]) for i, row in enumerate(rows)]


def _whole(rows: Sequence[Recording]) -> None:
    """Refuse splits that cut through a fold: that is a split by chance under another name."""
    where: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        if row.fold is not None:
            where[row.fold].add(row.split)
    for fold, names in sorted(where.items()):
        if len(names) > 1:
            raise ValueError(
                f"fold {fold} lies in the splits {', '.join(sorted(names))}: expected whole folds, "
                "since clips of one recording share a fold; give data.fold, or say "
                "data.folds=shuffled if you mean it"
            )
