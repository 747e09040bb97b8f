"""The doubt left over: intervals of figures, and whether two systems differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
TEST = "Wilcoxon signed-rank, two-sided"
REDRAWN = "files drawn again, two-sided"
MCNEMAR = "McNemar, exact, two-sided"


def redrawn(n: int, figures: Callable[[Floats], Any], n_draws: int = 1000, seed: int = 0) -> Floats:
    """Figures [n_draws, ...] of n files that are drawn again, with replacement, so many times.

    Args:
        n: files.
        figures: from how often each file was drawn [n].
        n_draws: resamplings.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed)
    drawn = (np.bincount(draw.integers(n, size=n), minlength=n) for _ in range(n_draws))
    return np.array([figures(counts.astype(np.float64)) for counts in drawn])


def spread(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """The interval that holds a share `level` of the values [n_draws]; NaN where there is none."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(
    tables: Floats,
    figure: Callable[[Any], float],
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a figure when the tracks, not the windows, are drawn again.

    Windows of one track are alike, so that drawing windows would give intervals that are far
    too narrow.

    Args:
        tables: [tracks, K, K] one confusion table per track.
        figure: from a summed table.
        n_draws: resamplings.
        level: share of the draws inside the interval.
        seed: of the draws.
    """
    tables = np.asarray(tables, dtype=np.float64)
    summed = lambda counts: figure(np.tensordot(counts, tables, 1))  # noqa: E731
    return spread(redrawn(len(tables), summed, n_draws, seed), level)


def mean_interval(
    groups: Sequence[ArrayLike], n_draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean over all values when the groups, such as files, are drawn again.

    Args:
        groups: values of each; those of one group (the sources of one mixture) are alike.
        n_draws: resamplings.
        level: share of the draws inside the interval.
        seed: of the draws.

    Raises:
        ValueError: there is no value.
    """
    sums = np.array([[np.sum(values), np.size(values)] for values in groups], dtype=np.float64)
    if not len(groups) or not sums[:, 1].all():
        raise ValueError("a group holds no value: expected at least one in each, and one group")
    return bootstrap(sums, lambda total: total[0] / total[1], n_draws, level, seed)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one system differs from another on the same files.

    Attributes:
        n: pairs of values.
        difference: mean of the first's minus the second's.
        interval: of the difference, 95 %, pairs drawn again.
        p: of differences like these if there was none.
        test: where p comes from.
    """

    n: int
    difference: float
    interval: tuple[float, float]
    p: float
    test: str = TEST


def compare(ours: ArrayLike, theirs: ArrayLike, n_draws: int = 1000, seed: int = 0) -> Comparison:
    """Compare values [N] of two systems, pair by pair.

    Pairs should not depend on each other: average the sources of one mixture first.

    Raises:
        ValueError: shapes differ, there are fewer than two pairs, or a value is not finite.
        ImportError: scipy, which has the test, is not installed.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2 or not np.isfinite(a - b).all():
        raise ValueError(
            f"values of shapes {list(a.shape)} and {list(b.shape)}: expected two or more finite "
            "ones of each, in the same order"
        )
    difference = a - b
    p = 1.0  # of no difference at all, for which the test is not defined
    if difference.any():
        try:
            from scipy.stats import wilcoxon
        except ImportError as error:
            raise ImportError(
                "the paired test needs scipy: pip install 'sepaudio[metrics]'"
            ) from error
        p = float(wilcoxon(difference).pvalue)
    interval = mean_interval(list(difference), n_draws=n_draws, seed=seed)
    return Comparison(n=len(a), difference=float(difference.mean()), interval=interval, p=p)


def redrawn_p(differences: Any) -> float:
    """Two-sided p of no difference, from differences [n_draws] of systems on redrawn files."""
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not values.any():
        return 1.0
    rare = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (rare + 1) / (len(values) + 1))


def mcnemar(ours: Any, theirs: Any) -> float:
    """Exact two-sided p of two systems being right equally often.

    Only items that one of them alone has right tell; they would fall to either side by chance.

    Args:
        ours: [N] whether the first is right.
        theirs: [N] whether the second is, for the same items.

    Source: McNemar, Psychometrika 12 (1947); exact by the binomial distribution.
    """
    a, b = np.asarray(ours, dtype=np.bool_), np.asarray(theirs, dtype=np.bool_)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(
            f"answers of shapes {list(a.shape)} and {list(b.shape)}: expected [N] of both"
        )
    one, other = int((a & ~b).sum()), int((b & ~a).sum())
    n = one + other
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    tail = sum(math.exp(log - n * math.log(2)) for log in logs[: min(one, other) + 1])
    return min(1.0, 2 * tail)
