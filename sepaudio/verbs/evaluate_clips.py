"""How right the labels of whole recordings are, whatever made them.

Figures: accuracy; balanced accuracy (mean recall of the classes that occur); macro F1 (mean over
the classes that occur or are predicted); and, where there are probabilities, the mean of the
average precisions of the classes that occur and have a column (`mean_average_precision`), and the
expected calibration error (15 bins) of the probability of what was said. That has no interval: in
files drawn again, some of them several times, it is larger than in the files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..data.labelled import Clip
from .judged import Floats, Judged

NOTHING = "(nothing)"  # the label of a recording without a prediction


def judge(
    reference: Mapping[str, Clip],
    predictions: Mapping[str, Clip],
    columns: Sequence[str],
    about: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] = (),
) -> Judged:
    """Judge labels by those of the same recordings in the reference.

    Args:
        reference: by name.
        predictions: by name; one that is missing counts as wrong.
        columns: classes whose probabilities the predictions have.
        about: plain values for the summary.
        groups: what each recording of the reference belongs to, see `Judged`.
        classes: that could have been said; those without a recording are named.

    Raises:
        ValueError: there is no recording.
    """
    if not reference:
        raise ValueError("no recording to judge: expected one at least")
    files = list(reference)
    said = [predictions.get(file) for file in files]
    answers = [NOTHING if clip is None else clip.label for clip in said]
    truths = [reference[file].label for file in files]
    known = sorted(set(truths))
    labels = [*known, *sorted({*answers, *classes} - set(known) - {NOTHING})]
    labels += [NOTHING] * (NOTHING in answers)
    truth, answer = (np.array([labels.index(x) for x in names]) for names in (truths, answers))
    code, n = truth * len(labels) + answer, len(labels)
    sure = np.array([np.nan if c is None or c.probability is None else c.probability for c in said])
    told = ~np.isnan(sure)
    scored = [label for label in known if label in columns]
    precision = metrics.ranked(
        np.array([[t == label for label in scored] for t in truths]).reshape(len(files), -1),
        [[0.0 if c is None else c.probabilities.get(x, 0.0) for x in scored] for c in said],
    )
    right = truth == answer

    def figures(weights: Floats) -> dict[str, float]:
        table = np.bincount(code, weights, n * n).reshape(n, n)
        found = {
            "accuracy": metrics.accuracy(table),
            "balanced_accuracy": metrics.balanced_accuracy(table),
            "macro_f1": metrics.macro_f1(table),
        }
        if scored:
            found["mean_average_precision"] = _mean(precision(weights))
        return found

    table = np.bincount(code, minlength=n * n).reshape(n, n).astype(np.float64)
    bins = metrics.reliability(sure[told], right[told]) if told.any() else None
    each = dict(zip(scored, precision(None).tolist(), strict=True))
    absent = sorted(set(classes) - set(known))
    return Judged(
        kind="clips",
        files=files,
        labels=labels,
        figures=figures,
        classes=_classes(labels, table, each),
        confusion=table,
        unit="recordings",
        rows=[
            {
                "file": file,
                "label": t,
                "prediction": "" if a == NOTHING else a,
                "right": int(t == a),
                "probability": None if clip is None else clip.probability,
            }
            for file, t, a, clip in zip(files, truths, answers, said, strict=True)
        ],
        about={
            **(about or {}),
            "without_probability": int((~told).sum()),
            "calibration_error": None if bins is None else metrics.gap(bins),
            **({"absent": absent} if absent else {}),
        },
        right=right,
        bins=bins,
        groups=groups,
    )


def _classes(
    labels: Sequence[str], table: NDArray[np.float64], each: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    found = {}
    there = table.sum(axis=0) + table.sum(axis=1) > 0
    f1 = np.where(there, metrics.f1_scores(table), np.nan)
    parts = (metrics.precisions(table), metrics.recalls(table), f1)
    for i, label in enumerate(labels):
        if label == NOTHING:
            continue
        row: dict[str, float] = {"recordings": int(table[i].sum())}
        row |= {
            name: float(part[i])
            for name, part in zip(("precision", "recall", "f1"), parts, strict=True)
        }
        if each:
            row["average_precision"] = each.get(label, float("nan"))
        found[label] = row
    return found


def _mean(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
