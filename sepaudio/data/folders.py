"""Folders as manifests: of a folder for every class, or of a folder for every speaker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import io
from . import manifest
from .manifest import Recording

LEAST = 3  # speakers to validate and to test with: two that talk, one who is absent


def of_classes(
    root: Path,
    *,
    kind: re.Pattern[str] | None = None,
    group: re.Pattern[str] | None = None,
    folds: int = 0,
    shares: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    license: str = "unknown",
    source: str = "",
    bad: list[str] | None = None,
) -> list[Recording]:
    """The recordings of `<root>/<class>/**/`, dealt to splits or folds by a hash.

    Args:
        root: the folder.
        kind: takes the class from the path below the root instead, as its first group.
        group: its first group names what must stay together; each recording by itself when None.
        folds: how many; the last one tests, the one before validates. 0: splits by `shares`.
        shares: of train, valid and test.
        seed: another deals otherwise.
        license: of all of them.
        source: name of the collection; that of the folder by default.
        bad: takes what is wrong with files; they are left out.

    Raises:
        ValueError: there are no classes, fewer groups of one than folds, or a file is no audio.
    """
    name = source or root.resolve().name
    files = _of_classes(root, kind)
    groups = {path: _group(path.relative_to(root).as_posix(), group) for _, path in files}
    kinds = {groups[path]: of for of, path in files}
    splits: dict[str, str] = {}
    dealt: dict[str, int] = {}
    for one in sorted(set(kinds.values())):
        own = sorted({group for group, of in kinds.items() if of == one})
        if len(own) < folds:
            raise ValueError(
                f"{root}: {one} has {len(own)} that stay together: expected {folds} or more, one "
                "a fold; use fewer folds, or a --group that keeps less together"
            )
        if folds:
            order = sorted(own, key=lambda group: _hash(group, seed))
            dealt |= {group: i % folds + 1 for i, group in enumerate(order)}
        splits |= manifest.split(own, _named(shares), seed, salt=one)
    rows = []
    for of, path in files:
        fold = dealt.get(groups[path])
        split = splits[groups[path]]
        if fold is not None:
            split = {folds: "test", folds - 1: "valid"}.get(fold, "train")
        label = f"{name}@{groups[path]}:{path.relative_to(root).as_posix()}"
        about = {"kind": of, "split": split, "fold": fold, "source": label, "license": license}
        rows += _recording(path, bad, **about)
    return rows


def of_speakers(
    root: Path,
    *,
    shares: Sequence[float] | None = None,
    seed: int = 0,
    license: str = "",
    least_seconds: float = 4.0,
    bad: list[str] | None = None,
) -> list[Recording]:
    """The recordings of `<root>/<speaker>/**/`; no speaker is in two splits.

    Args:
        root: the folder.
        shares: of the speakers for train, valid and test; by default a tenth, or three, to
            validate with and as many to test with.
        seed: another deals otherwise.
        license: of all of them.
        least_seconds: that a speaker must have in all.
        bad: takes what is wrong with files, and who has too little; they are left out.

    Raises:
        ValueError: there is no folder, or a file is no audio.
    """
    rows = []
    for folder in _folders(root):
        here: list[Recording] = []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in io.SUFFIXES:
                label = f"{root.resolve().name}@{folder.name}:{path.relative_to(folder)}"
                about = {"kind": "speech", "split": "train", "source": label, "license": license}
                here += _recording(path, bad, speaker=folder.name, **about)
        seconds = sum(row.duration or 0.0 for row in here)
        if seconds >= least_seconds:
            rows += here
        elif bad is not None:
            bad.append(f"{folder.name}: {seconds:.1f} s of {least_seconds:g} s")
    speakers = {row.speaker for row in rows}
    part = min(max(0.1, LEAST / max(len(speakers), 1)), 0.3)
    dealt = manifest.split(speakers, _named(shares or (1 - 2 * part, part, part)), seed)
    return [replace(row, split=dealt[row.speaker]) for row in rows]


def _recording(path: Path, bad: list[str] | None, **about: Any) -> list[Recording]:
    """The row of a recording; none, and a word in `bad`, where it is no audio."""
    try:
        return [manifest.of_file(path, **about)]
    except io.AudioError as error:
        if bad is None:
            raise
        bad.append(str(error))
        return []


def _named(shares: Sequence[float]) -> dict[str, float]:
    return dict(zip(manifest.SPLITS, shares, strict=True))


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise ValueError(f"{root} is no folder: expected one that holds a folder each")
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _of_classes(root: Path, kind: re.Pattern[str] | None) -> list[tuple[str, Path]]:
    """Classes and recordings."""
    folders = _folders(root)
    if kind is None:
        files = [(folder.name, path) for folder in folders for path in io.find([folder])]
    else:
        found = [(kind.search(path.relative_to(root).as_posix()), path) for path in io.find([root])]
        files = [(match.group(1), path) for match, path in found if match]
    if not files:
        raise ValueError(f"{root}: no <class>/<recording>: expected a folder for every class")
    return files


def _hash(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{group}".encode()).digest()


def _group(path: str, pattern: re.Pattern[str] | None) -> str:
    """What a recording must stay together with."""
    if pattern is None:
        return path
    found = pattern.search(path)
    if found is None or pattern.groups < 1:
        raise ValueError(
            f"{path}: --group {pattern.pattern!r} finds nothing, or has no group in brackets"
        )
    return found.group(1)
