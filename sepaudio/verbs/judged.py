"""What was judged file by file: summed up with intervals, and compared with another system.

Whatever is judged, clips or timelines, its figures are functions of how often each file counts.
Intervals come from drawing files again, with replacement; two systems are compared on the same
draws, so that what is hard for both does not blur their difference.
"""

from __future__ import annotations

import csv
import io as text_io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..metrics import MCNEMAR, REDRAWN, Comparison

Floats = NDArray[np.float64]
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The answers of one system to all files.

    Attributes:
        kind: "clips" or "timelines".
        files: their names.
        labels: classes, in the order of the tables.
        figures: how often each file counts [files] -> figures by name; NaN where there is none.
        classes: figures by name, by class.
        confusion: [K, K] a row per true class.
        unit: of the confusion.
        rows: what is known of each file, by column.
        about: plain values on what was judged and how.
        right: [files] whether the answer to it is right; None where that is no yes or no.
        bins: [n, 3] of `metrics.reliability`; None without probabilities.
        groups: [files] what each belongs to, such as the recording it is cut from, which is drawn
            again as a whole; each file by itself when None.
    """

    kind: str
    files: Sequence[str]
    labels: Sequence[str]
    figures: Callable[[Floats], Mapping[str, float]]
    classes: Mapping[str, Mapping[str, float]]
    confusion: Floats
    unit: str
    rows: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)
    right: NDArray[np.bool_] | None = None
    bins: Floats | None = None
    groups: Sequence[str] | None = None


def summarise(judged: Judged, draws: int = DRAWS) -> dict[str, Any]:
    """Plain values: what was judged, figures with 95 % intervals, figures by class, confusion.

    Args:
        judged: by what.
        draws: resamplings of the files; 0 for no intervals.

    Raises:
        ValueError: draws is negative.
    """
    if draws < 0:
        raise ValueError(f"draws={draws}: expected 0 or more")
    n = len(judged.files)
    found = dict(judged.figures(np.ones(n)))
    again = _redrawn(judged, judged.figures, list(found), draws)
    figures = {}
    for i, (name, value) in enumerate(found.items()):
        interval = list(metrics.spread(again[:, i])) if draws else None
        figures[name] = {"value": value, "interval": interval}
    plain: dict[str, Any] = _plain(
        {
            "kind": judged.kind,
            "files": n,
            **judged.about,
            "figures": figures,
            "classes": judged.classes,
            "confusion": {
                "labels": list(judged.labels),
                "unit": judged.unit,
                "rows": judged.confusion.tolist(),
            },
        }
    )
    return plain


def compare(ours: Judged, theirs: Judged, draws: int = DRAWS) -> dict[str, Comparison]:
    """What differs between two systems, by figure, on the same files in the same order.

    The p of the accuracy of clips is McNemar's; all others come from the redrawn files.

    Raises:
        ValueError: the files differ, are fewer than two, or there are no draws.
    """
    n = len(ours.files)
    if list(ours.files) != list(theirs.files) or n < 2:
        raise ValueError(
            f"{n} and {len(theirs.files)} files: expected the same two or more of both systems"
        )
    if draws < 1:
        raise ValueError(f"draws={draws}: expected 1 or more to compare with")

    def apart(counts: Floats) -> dict[str, float]:
        a, b = ours.figures(counts), theirs.figures(counts)
        return {name: a[name] - b[name] for name in a if name in b}

    whole = apart(np.ones(n))
    again = _redrawn(ours, apart, list(whole), draws)
    found = {}
    for i, (name, difference) in enumerate(whole.items()):
        if math.isnan(difference):
            continue
        p, test = metrics.redrawn_p(again[:, i]), REDRAWN
        if name == "accuracy" and ours.right is not None and theirs.right is not None:
            p, test = metrics.mcnemar(ours.right, theirs.right), MCNEMAR
        interval = metrics.spread(again[:, i])
        found[name] = Comparison(n=n, difference=difference, interval=interval, p=p, test=test)
    return found


def to_csv(judged: Judged) -> str:
    """A row per file; what is unknown is empty."""
    out = text_io.StringIO()
    columns = list(dict.fromkeys(name for row in judged.rows for name in row))
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in judged.rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def confusion_csv(judged: Judged) -> str:
    """The confusion: a row per true class, a column per answer."""
    out = text_io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["true", *judged.labels])
    for label, row in zip(judged.labels, judged.confusion.tolist(), strict=True):
        writer.writerow([label, *(f"{value:.10g}" for value in row)])
    return out.getvalue()


def _redrawn(
    judged: Judged,
    figures: Callable[[Floats], Mapping[str, float]],
    names: Sequence[str],
    draws: int,
) -> Floats:
    """Figures [draws, names] when groups of files are drawn again."""
    of = np.arange(len(judged.files))
    if judged.groups is not None:
        of = np.unique(np.asarray(judged.groups), return_inverse=True)[1]

    def again(counts: Floats) -> list[float]:
        found = figures(counts[of])
        return [found[name] for name in names]

    return metrics.redrawn(int(of.max()) + 1, again, draws)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    return "" if value is None else value


def _plain(value: Any) -> Any:
    """JSON has no NaN: None instead."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
