"""How well embeddings tell speakers apart: trials, each a score and whether it is the same voice.

The equal error rate is where as many true speakers are refused as false ones are accepted. Its
interval comes from drawing the enrolled speakers, not the trials, again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Figures of a set of trials.

    Attributes:
        error_rate: equal error rate, 0 to 1.
        interval: of it, 95 %, enrolled speakers drawn again.
        targets: trials of the same voice.
        others: trials of another.
        speakers: that were enrolled.
    """

    error_rate: float
    interval: tuple[float, float]
    targets: int
    others: int
    speakers: int


def cosine(a: Any, b: Any) -> Floats:
    """Vectors [N, E] and [M, E] -> cosines [N, M]; 0 where a vector is zero."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sizes = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return np.asarray(a @ b.T / np.maximum(sizes, 1e-300))


def equal_error_rate(targets: Any, others: Any) -> float:
    """Error rate at the threshold where both kinds of error are as frequent.

    Between two thresholds both rates are taken to move in a straight line.

    Args:
        targets: scores of the same voice, higher is more alike.
        others: scores of another voice.

    Raises:
        ValueError: there are none of either, or a score is not a number.

    >>> equal_error_rate([0.9, 0.8, 0.3, 0.7], [0.1, 0.2, 0.5, 0.0])
    0.25
    """
    same = np.sort(np.asarray(targets, np.float64))
    other = np.sort(np.asarray(others, np.float64))
    if not len(same) or not len(other) or np.isnan(same).any() or np.isnan(other).any():
        raise ValueError(
            f"{len(same)} scores of the same voice and {len(other)} of another: expected numbers, "
            "at least one of each"
        )
    lines = np.append(np.unique(np.concatenate([same, other])), np.inf)
    misses = np.searchsorted(same, lines) / len(same)  # what lies below the line is refused
    alarms = 1 - np.searchsorted(other, lines) / len(other)
    after = int(np.argmax(misses >= alarms))
    before = max(after - 1, 0)
    gap, next_gap = alarms[before] - misses[before], misses[after] - alarms[after]
    share = gap / (gap + next_gap) if gap + next_gap > 0 else 0.0
    return float(misses[before] + share * (misses[after] - misses[before]))


def verify(
    scores: Any, enrolled: Sequence[str], heard: Sequence[str], draws: int = 200, seed: int = 0
) -> Verification:
    """Figures of all trials of enrolled speakers against recordings.

    Args:
        scores: [N, M]; NaN where a pair is no trial.
        enrolled: names of the N enrolled speakers.
        heard: names of the speakers of the M recordings.
        draws: for the interval.
        seed: of them.

    Raises:
        ValueError: there is no trial of the same voice, or none of another.
    """
    table = np.asarray(scores, np.float64)
    same = np.asarray(enrolled)[:, None] == np.asarray(heard)
    names = sorted(set(enrolled))
    rows = [np.flatnonzero(np.asarray(enrolled) == name) for name in names]
    trial = ~np.isnan(table)
    by_name = [
        (table[r][same[r] & trial[r]], table[r][~same[r] & trial[r]]) for r in rows
    ]  # of each enrolled speaker: scores of the same voice, of others
    targets = np.concatenate([t for t, _ in by_name]) if by_name else np.zeros(0)
    others = np.concatenate([o for _, o in by_name]) if by_name else np.zeros(0)
    rate = equal_error_rate(targets, others)
    random, found = np.random.default_rng(seed), []
    for _ in range(draws):
        some = [by_name[i] for i in random.integers(len(names), size=len(names))]
        t, o = (np.concatenate(part) for part in zip(*some, strict=True))
        if len(t) and len(o):
            found.append(equal_error_rate(t, o))
    low, high = np.quantile(found, [0.025, 0.975]) if found else (rate, rate)
    return Verification(
        error_rate=rate,
        interval=(float(low), float(high)),
        targets=len(targets),
        others=len(others),
        speakers=len(names),
    )
