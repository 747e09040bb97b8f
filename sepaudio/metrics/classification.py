"""Figures of classifiers; higher is better unless the name says error.

Labels and predictions are integer class numbers [N].
"""

from __future__ import annotations

from collections.abc import Callable
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


def precisions(table: Any) -> Floats:
    """[K] share of what was taken for each class that is of it; NaN for a class never predicted."""
    return recalls(np.asarray(table).T)


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


def macro_f1(table: Any) -> float:
    """Mean F1 over the classes that occur or are predicted."""
    table = np.asarray(table)
    there = table.sum(axis=0) + table.sum(axis=1) > 0
    return float(f1_scores(table)[there].mean()) if there.any() else float("nan")


def ranked(hits: Any, scores: Any) -> Callable[[Floats | None], Floats]:
    """Sort scores once, for average precisions under any weights of the items.

    Args:
        hits: [N, K] whether the item is of the class.
        scores: [N, K] higher where it is more likely; equal ones are taken in together.

    Returns:
        weights [N], or None for one each -> average precisions [K]: the sum over thresholds of
        (recall - recall before) * precision; NaN for a class without any item.

    Source: scikit-learn's `average_precision_score`, which gives 0 where we give NaN.
    """
    hits, scores = np.asarray(hits, dtype=np.bool_), np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, axis=0, kind="stable")
    fallen = np.take_along_axis(scores, order, axis=0)
    last = np.ones(scores.shape, dtype=np.bool_)  # of those with one score
    last[:-1] = fallen[1:] < fallen[:-1]
    right = np.take_along_axis(hits, order, axis=0)

    def average_precisions(weights: Floats | None = None) -> Floats:
        weight = np.ones(len(hits)) if weights is None else np.asarray(weights, dtype=np.float64)
        found = np.zeros(hits.shape[1])
        for k in range(hits.shape[1]):
            mine = weight[order[:, k]]
            all_so_far = np.cumsum(mine)[last[:, k]]
            hits_so_far = np.cumsum(mine * right[:, k])[last[:, k]]
            gained = np.diff(hits_so_far, prepend=0.0)
            with np.errstate(invalid="ignore", divide="ignore"):
                precision = np.where(all_so_far > 0, hits_so_far / all_so_far, 0.0)
                found[k] = (gained * precision).sum() / hits_so_far[-1] if len(gained) else np.nan
        return found

    return average_precisions


def calibration_error(labels: Ints, probabilities: Floats, n_bins: int = 15) -> float:
    """Expected calibration error: |confidence - accuracy| averaged over bins of confidence.

    Args:
        labels: [N]
        probabilities: [N, K]
        n_bins: equal bins of the largest probability.

    Source: Guo et al. 2017 (1706.04599), eq. 3.
    """
    right = probabilities.argmax(axis=1) == labels
    return gap(reliability(probabilities.max(axis=1), right, n_bins))


def reliability(sure: Any, right: Any, n_bins: int = 15) -> Floats:
    """How often what is said with some confidence is right.

    Args:
        sure: [N] probabilities of what was said.
        right: [N] whether it is.
        n_bins: equal bins of confidence.

    Returns:
        [n_bins, 3] numbers of answers, sums of their confidences, and how many are right.
    """
    sure = np.asarray(sure, dtype=np.float64)
    which = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    parts = (np.ones(len(sure)), sure, np.asarray(right))
    return np.stack([np.bincount(which, part, n_bins) for part in parts], axis=1)


def gap(bins: Floats) -> float:
    """Expected calibration error of the bins of `reliability`; NaN when they are empty."""
    total = bins[:, 0].sum()
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / total) if total else float("nan")
