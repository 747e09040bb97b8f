"""Recordings of two tables that belong together, by their names.

Names fit when they are equal without folders and without the suffix of an audio file. Where that
tells the recordings of a table no longer apart, as many of their last folders count as are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from .. import io

Reference = TypeVar("Reference")
Other = TypeVar("Other")
SHOWN = 5  # names in an error


@dataclass(frozen=True)
class Pairs(Generic[Reference, Other]):
    """What belongs together.

    Attributes:
        reference: by name.
        other: by the names of the reference, in its order.
        missing: names of the reference that the other side lacks.
        extra: names of the other side that the reference lacks.
    """

    reference: Mapping[str, Reference]
    other: Mapping[str, Other]
    missing: Sequence[str]
    extra: Sequence[str]


def pair(
    reference: Sequence[tuple[str, Reference]], other: Sequence[tuple[str, Other]]
) -> Pairs[Reference, Other]:
    """Match names and values of two sides; a single recording without a name fits a single one.

    Raises:
        ValueError: two recordings of one side have one name.
    """
    if len(reference) == len(other) == 1 and not (reference[0][0] and other[0][0]):
        ((name, value),), ((_, theirs),) = reference, other
        return Pairs({name: value}, {name: theirs}, (), ())
    names = [name for name, _ in reference], [name for name, _ in other]
    deepest = max((len(_parts(name)) for side in names for name in side), default=1)
    for depth in range(1, deepest + 1):
        mine, found = ({_key(n, depth): i for i, n in enumerate(side)} for side in names)
        if len(mine) == len(reference) and len(found) == len(other):
            break
    else:
        for side in names:
            _refuse_twins(side, deepest)
    return Pairs(
        reference=dict(reference),
        other={reference[i][0]: other[found[key]][1] for key, i in mine.items() if key in found},
        missing=[reference[i][0] for key, i in mine.items() if key not in found],
        extra=[other[i][0] for key, i in found.items() if key not in mine],
    )


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name or "(no name)" for name in names[:SHOWN]) + more


def _refuse_twins(names: Sequence[str], depth: int) -> None:
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(_key(name, depth), name)
        if twin is not name:
            raise ValueError(
                f"{twin} and {name} have one name: expected one label or timeline a recording"
            )


def _key(name: str, depth: int) -> str:
    return "/".join(_parts(name)[-depth:])


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.suffix.lower() in (*io.SUFFIXES, *io.FOREIGN):
        path = path.with_suffix("")
    return path.parts or (name,)
