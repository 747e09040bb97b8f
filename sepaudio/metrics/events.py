"""Figures of timelines: which classes are active when, and which events were found.

Events of a class are spans [N, 2], starts and ends in seconds; they may overlap. Times are compared
in whole microseconds, so that no rounding decides what lies on a border.

Source: Mesaros, Heittola & Virtanen 2016 (Metrics for polyphonic sound event detection, Applied
Sciences 6, 162), sections 3.1 and 3.2; sed_eval 0.2.1 with its optimal matching gives equal counts.
sed_eval leaves a class that is predicted but does not occur out of its mean over classes; here its
F1 is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MICROSECONDS = 1_000_000  # in a second


def active(spans: Any, times: Any) -> Bools:
    """Whether one of the spans [N, 2] holds each of the rising times [L]; ends are outside."""
    whole, at = _whole(spans), np.rint(np.asarray(times) * MICROSECONDS)
    return _covered(np.searchsorted(at, whole[:, 0]), np.searchsorted(at, whole[:, 1]), len(at))


def segment_counts(
    reference: Sequence[Any], estimate: Sequence[Any], length: float = 1.0
) -> Floats:
    """[K, 3] segments in which a class is active: in both, in the reference, in the estimate.

    Args:
        reference: spans of every class.
        estimate: the same of what is judged.
        length: of a segment [s]; a class is active in it if an event reaches into it at all.

    Raises:
        ValueError: the length is less than a microsecond, or classes are missing.
    """
    step = round(length * MICROSECONDS)
    if step < 1:
        raise ValueError(f"length={length}: expected seconds, a microsecond at least")
    counts = []
    for there, said in zip(reference, estimate, strict=True):
        whole = [_whole(there), _whole(said)]
        n = max((-(-int(x[:, 1].max()) // step) for x in whole if len(x)), default=0)
        a, b = (_covered(x[:, 0] // step, -(-x[:, 1] // step), n) for x in whole)
        counts.append([(a & b).sum(), a.sum(), b.sum()])
    return np.array(counts, dtype=np.float64).reshape(-1, 3)


def event_counts(
    reference: Sequence[Any], estimate: Sequence[Any], collar: float = 0.2, share: float = 0.5
) -> Floats:
    """[K, 3] events of each class: found, in the reference, in the estimate.

    As many pairs are found as possible, each event in one at most.

    Args:
        reference: spans of every class.
        estimate: the same of what is judged.
        collar: how far the starts of a pair may lie apart, and the ends [s].
        share: of the reference event's length that the ends may lie apart, where it is more.

    Raises:
        ValueError: the collar or the share is negative, or classes are missing.
    """
    if collar < 0 or share < 0:
        raise ValueError(f"collar={collar}, share={share}: expected 0 or more")
    counts = []
    for there, said in zip(reference, estimate, strict=True):
        a, b = _whole(there), _whole(said)
        b = b[np.argsort(b[:, 0], kind="stable")]
        reach = round(collar * MICROSECONDS)
        first = np.searchsorted(b[:, 0], a[:, 0] - reach, side="left")
        end = np.searchsorted(b[:, 0], a[:, 0] + reach, side="right")
        late = np.maximum(reach, share * (a[:, 1] - a[:, 0]))
        near = [
            [j for j in range(first[i], end[i]) if abs(a[i, 1] - b[j, 1]) <= late[i]]
            for i in range(len(a))
        ]
        counts.append([_pairs(near), len(a), len(b)])
    return np.array(counts, dtype=np.float64).reshape(-1, 3)


def f1_of(counts: Any) -> Floats:
    """Counts [..., 3] of the functions above -> F1 [...]; NaN where there is nothing to find."""
    counts = np.asarray(counts, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * counts[..., 0] / (counts[..., 1] + counts[..., 2]))


def _whole(spans: Any) -> Ints:
    """Spans in microseconds."""
    x = np.asarray(spans, dtype=np.float64).reshape(-1, 2)
    return np.asarray(np.rint(x * MICROSECONDS), dtype=np.int64)


def _covered(first: Ints, end: Ints, n: int) -> Bools:
    """[n] whether an index lies in one of the ranges."""
    change = np.zeros(n + 1, dtype=np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, end, -1)
    return np.asarray(np.cumsum(change)[:n] > 0)


def _pairs(near: Sequence[Sequence[int]]) -> int:
    """Most pairs of a row and one of its columns, none in two (breadth-first augmenting paths)."""
    row_of: dict[int, int] = {}
    column_of: dict[int, int] = {}

    def place(row: int) -> bool:
        came: dict[int, int] = {}  # which row asked for a column
        asking = [row]
        for asker in asking:
            for column in near[asker]:
                if column in came:
                    continue
                came[column] = asker
                if column in row_of:
                    asking.append(row_of[column])
                    continue
                free: int | None = column
                while free is not None:  # everyone on the way moves to what it asked for
                    asker, left = came[free], column_of.get(came[free])
                    row_of[free], column_of[asker], free = asker, free, left
                return True
        return False

    return sum(place(row) for row in range(len(near)))
