"""How right a classifier is whose recordings may be of several classes at once, or of none.

Figures: the mean of the average precisions of the classes that occur (`mean_average_precision`), as
AudioSet is judged; and F1 of what is at least as likely as not, as the mean over classes that occur
or are said (`macro_f1`) and over all answers together (`micro_f1`).

Source: Gemmeke et al. 2017, 10.1109/ICASSP.2017.7952261, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import metrics
from .judged import Floats, Judged

LIKELY = 0.5


def judge(
    files: Sequence[str],
    labels: Sequence[str],
    hits: Any,
    chances: Any,
    groups: Sequence[str] | None = None,
) -> Judged:
    """Judge probabilities of classes.

    Args:
        files: names [N].
        labels: classes [K].
        hits: [N, K] whether a file is of a class.
        chances: [N, K] probabilities.
        groups: [N] what is drawn again for intervals; the files themselves when None.

    Raises:
        ValueError: shapes differ, or there is no file.
    """
    hits, chances = np.asarray(hits, np.bool_), np.asarray(chances, np.float64)
    if hits.shape != chances.shape or hits.shape != (len(files), len(labels)) or not len(files):
        raise ValueError(
            f"hits {list(hits.shape)} and chances {list(chances.shape)}: expected "
            f"[{len(files)}, {len(labels)}] of both, one file at least"
        )
    said = chances >= LIKELY
    ranked = metrics.ranked(hits, chances)

    def counts(weights: Floats) -> Floats:
        """True positives, answers and truths by class [3, K]."""
        return np.stack([weights @ part for part in (hits & said, said, hits)])

    def figures(weights: Floats) -> dict[str, float]:
        right, answered, true = counts(weights)
        there = answered + true > 0
        f1 = 2 * right[there] / (answered + true)[there]
        whole = (answered + true).sum()
        return {
            "mean_average_precision": _mean(ranked(weights)),
            "macro_f1": _mean(f1),
            "micro_f1": float(2 * right.sum() / whole) if whole else float("nan"),
        }

    right, answered, true = counts(np.ones(len(files)))
    each = ranked(None)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (right / answered, right / true, 2 * right / (answered + true), each)
    names = ("precision", "recall", "f1", "average_precision")
    classes = {
        label: {
            "recordings": int(true[k]),
            **{name: float(share[k]) for name, share in zip(names, shares, strict=True)},
        }
        for k, label in enumerate(labels)
    }
    absent = [label for label in labels if not classes[label]["recordings"]]
    return Judged(
        kind="clips",
        files=files,
        labels=(),  # no class is taken for another
        figures=figures,
        classes=classes,
        confusion=np.zeros((0, 0)),
        unit="recordings",
        rows=[
            {
                "file": file,
                "label": "|".join(np.array(labels)[one]),
                "prediction": "|".join(np.array(labels)[answer]),
                **dict(zip(labels, map(float, row), strict=True)),
            }
            for file, one, answer, row in zip(files, hits, said, chances, strict=True)
        ],
        groups=groups,
        about={
            "calibration_error": _gap(hits, chances),
            **({"absent": absent} if absent else {}),
        },
    )


def _gap(hits: Any, chances: Floats) -> float:
    """Calibration error of every probability by itself: yes or no, of each class."""
    sure = np.maximum(chances, 1 - chances).ravel()
    return metrics.gap(metrics.reliability(sure, ((chances >= LIKELY) == hits).ravel()))


def _mean(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
