"""From probabilities of every frame to few, long stretches of one class each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Chances = NDArray[np.float32]  # [L, K]
Ints = NDArray[np.int64]  # [L]
Flags = NDArray[np.bool_]  # [L]
Run = tuple[int, int, int]  # start, end [frames], label

FLOOR = 1e-6  # a frame may be sure, but no frame outweighs all others


def median(chances: Chances, size: int) -> Chances:
    """Median of every class over `size` frames around each; the edges are repeated.

    An even size counts as the next odd one. Rows need not add up to one afterwards.
    """
    half = size // 2
    if half == 0 or not len(chances):
        return chances
    padded = np.pad(chances, ((half, half), (0, 0)), mode="edge")
    out = np.empty_like(chances)
    for start in range(0, len(chances), 4096):  # the windows of all frames would not fit
        part = padded[start : start + 4096 + 2 * half]
        windows = np.lib.stride_tricks.sliding_window_view(part, 2 * half + 1, axis=0)
        out[start : start + 4096] = np.median(windows, axis=-1)
    return out


def hysteresis(chances: Chances, margin: float) -> Ints:
    """The class of every frame; another takes over when it leads the present one by `margin`."""
    best: Ints = chances.argmax(axis=1)
    if not margin:
        return best
    labels = np.empty(len(best), dtype=np.int64)
    now = int(best[0]) if len(best) else 0
    for i, (row, leader) in enumerate(zip(_rows(chances), best, strict=True)):
        if leader != now and row[leader] - row[now] > margin:
            now = int(leader)
        labels[i] = now
    return labels


def viterbi(chances: Chances, switch: float) -> Ints:
    """The most probable sequence of classes when every change of class costs `switch` nats."""
    if not len(chances):
        return np.zeros(0, dtype=np.int64)
    evidence = np.log(np.maximum(chances, FLOOR))
    n = evidence.shape[1]
    stay = np.empty((len(evidence), n), dtype=np.bool_)
    leaders = np.empty(len(evidence), dtype=np.int16)
    score = [0.0] * n
    for i, row in enumerate(_rows(evidence)):
        top = max(score)
        leaders[i] = score.index(top)
        top -= switch
        stay[i] = [s >= top for s in score]
        score = [(s if s >= top else top) + e for s, e in zip(score, row, strict=True)]
    labels = np.empty(len(evidence), dtype=np.int64)
    now = score.index(max(score))
    for i in range(len(evidence) - 1, -1, -1):
        labels[i] = now
        if not stay[i, now]:
            now = int(leaders[i])
    return labels


def _rows(x: Chances) -> Iterator[list[float]]:
    """Rows as Python numbers, which are faster one by one; not all at once, for they are large."""
    for start in range(0, len(x), 4096):
        yield from x[start : start + 4096].tolist()


def runs(labels: Sequence[int] | NDArray[np.integer]) -> list[Run]:
    """Stretches of one label."""
    found = np.asarray(labels)
    if not len(found):
        return []
    edges = [0, *(np.flatnonzero(found[1:] != found[:-1]) + 1).tolist(), len(found)]
    return [(a, b, int(found[a])) for a, b in pairwise(edges)]


def drawn_in(labels: Ints, label: int, reach: int, fixed: Flags) -> Ints:
    """Labels where the stretches of one end `reach` frames earlier and begin as much later.

    At the edges of the recording and beside `fixed` frames nothing moves, and an end that meets a
    fixed frame stops there.
    A stretch that is too short for this leaves its frames to its neighbours, half to each.
    """
    out, stretches = labels.copy(), runs(labels)
    for i, (start, end, its) in enumerate(stretches):
        if its != label or not reach:
            continue
        still = i == 0 or bool(fixed[start - 1])
        later = start if still else _until(fixed, start, start + reach)
        still = i == len(stretches) - 1 or bool(fixed[end])
        sooner = (
            end
            if still
            else len(labels) - _until(fixed[::-1], len(labels) - end, len(labels) - end + reach)
        )
        if later >= sooner:
            later = sooner = min(max((later + sooner) // 2, start), end)
        if i:
            out[start:later] = stretches[i - 1][2]
        if i < len(stretches) - 1:
            out[sooner:end] = stretches[i + 1][2]
    return out


def _until(fixed: Flags, start: int, end: int) -> int:
    """The first fixed frame from `start` on, `end` if there is none before."""
    found = np.flatnonzero(fixed[start:end])
    return start + int(found[0]) if len(found) else end


def without_short(
    labels: Ints, least: int, likeness: Callable[[int, int, int], float] = lambda a, b, k: 0.0
) -> Ints:
    """Labels in which no stretch is shorter than `least` frames, unless it is the only one.

    A short stretch gets the label of the stretch before or after it, whichever is likelier there;
    that before where both are alike.

    Args:
        labels: [L]
        least: frames.
        likeness: of a label k in the frames from a to b.
    """
    kept: list[Run] = []
    waiting = runs(labels)[::-1]
    while waiting:
        start, end, label = waiting.pop()
        if kept and kept[-1][2] == label:
            start = kept.pop()[0]
        after = waiting[-1] if waiting else None
        if end - start >= least or not (kept or after):
            kept.append((start, end, label))
        elif after and (
            not kept or likeness(start, end, after[2]) > likeness(start, end, kept[-1][2])
        ):
            waiting[-1] = (start, after[1], after[2])
        else:
            kept[-1] = (kept[-1][0], end, kept[-1][2])
    out = np.empty_like(labels)
    for start, end, label in kept:
        out[start:end] = label
    return out
