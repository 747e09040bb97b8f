"""Stretches of classes that may sound at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import smooth

Flags = NDArray[np.bool_]
Stretch = tuple[int, int, str, float | None]  # start, end [frames], label, probability

REST = "noise"  # what sounds and is of no class


def apart(
    flags: Flags, chances: Any, silent: Flags, labels: Sequence[str], least: int
) -> list[Stretch]:
    """Stretches of every class, of what is of none, and of silence, by their starts.

    A stretch of a class that is shorter than `least` frames, unless a silence cuts it short, is
    none, and a shorter gap in one is filled. What is of no class for less goes to the likeliest.

    Args:
        flags: [L, K] what each frame is said to be.
        chances: [L, K] probabilities.
        silent: [L] frames that are of no class whatever is said.
        labels: K classes.
        least: frames.
    """
    flags = flags.copy()
    for start, end, quiet in smooth.runs(silent.astype(np.int64)):
        if quiet:
            flags[start:end] = False
            continue
        for k in range(len(labels)):
            found = smooth.without_short(
                flags[start:end, k].astype(np.int64), least, _likeness(chances[start:end, k])
            )
            flags[start:end, k] = found > 0
    rest = ~flags.any(axis=1) & ~silent
    for start, end, alone in smooth.runs(rest.astype(np.int64)):
        whole = not _meets(flags, start, end)
        if alone and end - start < least and not whole:
            flags[start:end, chances[start:end].mean(axis=0).argmax()] = True
    rest = ~flags.any(axis=1) & ~silent
    out: list[Stretch] = []
    for k, label in enumerate(labels):
        out += _stretches(flags[:, k], label, chances[:, k])
    out += _stretches(rest, REST, np.prod(1 - np.asarray(chances, np.float64), axis=1))
    out += _stretches(silent, "silence", None)
    return sorted(out, key=lambda s: s[:3])


def _meets(flags: Flags, start: int, end: int) -> bool:
    """Whether something of a class comes right before or after frames from start to end."""
    return bool(flags[max(start - 1, 0) : start].any() or flags[end : end + 1].any())


def _likeness(chances: Any) -> Any:
    """How much frames from a to b are like 1, the class, or 0, as `without_short` asks."""
    total = np.concatenate([[0.0], np.cumsum(chances, dtype=np.float64)])

    def likeness(a: int, b: int, label: int) -> float:
        there = float(total[b] - total[a])
        return there if label else b - a - there

    return likeness


def _stretches(flags: Flags, label: str, chances: Any) -> list[Stretch]:
    """Stretches in which flags [L] are set, and the mean probability [L] in each."""
    return [
        (start, end, label, None if chances is None else float(np.mean(chances[start:end])))
        for start, end, here in smooth.runs(flags.astype(np.int64))
        if here
    ]
