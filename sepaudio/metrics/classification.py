"""Figures of classifiers; higher is better unless the name says error.

Labels and predictions are integer class numbers [N].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(labels: Ints, predictions: Ints, n_classes: int) -> Ints:
    """[K, K] counts, a row per true class, a column per predicted one."""
    table = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(table, (labels, predictions), 1)
    return table


def accuracy(table: Any) -> float:
    """Share of right answers in a confusion table; NaN when it is empty."""
    table = np.asarray(table, dtype=np.float64)
    return float(np.trace(table) / table.sum()) if table.sum() else float("nan")


def recalls(table: Any) -> Floats:
    """[K] share of each true class that was found; NaN for a class that does not occur."""
    table = np.asarray(table, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.diag(table) / table.sum(axis=1))


def balanced_accuracy(table: Any) -> float:
    """Mean recall over the classes that occur."""
    found = recalls(table)
    found = found[~np.isnan(found)]
    return float(found.mean()) if len(found) else float("nan")


def f1_scores(table: Any) -> Floats:
    """[K] harmonic mean of precision and recall; 0 for a class that was never right."""
    table = np.asarray(table, dtype=np.float64)
    hits, both = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    return np.asarray(np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0))


def calibration_error(labels: Ints, probabilities: Floats, n_bins: int = 15) -> float:
    """Expected calibration error: |confidence - accuracy| averaged over bins of confidence.

    Args:
        labels: [N]
        probabilities: [N, K]
        n_bins: equal bins of the largest probability.

    Source: Guo et al. 2017 (1706.04599), eq. 3.
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    gap = 0.0
    for b in range(n_bins):
        chosen = which == b
        if chosen.any():
            gap += chosen.mean() * abs(sure[chosen].mean() - right[chosen].mean())
    return float(gap)
