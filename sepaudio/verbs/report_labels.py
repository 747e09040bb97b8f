"""How right labels are, for people: tables in Markdown, and a picture of what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import doors, files
from .judged import Judged
from .report import COLOURS, check_plot, table

TEXTS = 20  # classes, beyond which cells hold no figures
COUNTS = ("recordings", "events", "minutes")


def as_markdown(summary: Mapping[str, Any]) -> str:
    """A summary of `judged.summarise` as tables: figures, classes, and a small confusion."""
    parts = [about(summary), figures_table(summary["figures"]), classes_table(summary["classes"])]
    if 0 < len(summary["confusion"]["labels"]) <= TEXTS:
        parts.append(confusion_table(summary["confusion"]))
    return "\n".join(parts)


def about(summary: Mapping[str, Any]) -> str:
    """What was judged, in a line, and one more where classes do not occur."""
    text = f"{summary['files']} files"
    if "minutes" in summary:
        text += f", {summary['minutes']:.1f} minutes"
    told = (("missing", "without a prediction"), ("extra", "predictions without a reference"))
    text += "".join(f"; {summary[key]} {what}" for key, what in told if summary.get(key))
    if summary.get("calibration_error") is not None:
        text += f"; calibration error {_percent(summary['calibration_error'])} %"
    text += "\n"
    if absent := summary.get("absent"):
        text += (
            f"No recording is of {', '.join(absent)}: no recall there, and a part in no mean but "
            "in that of macro f1, where it is predicted.\n"
        )
    return text


def figures_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures and their intervals, in percent."""
    lines = [("figure", "percent (95 %)")]
    for name, one in figures.items():
        interval = one["interval"]
        spread = (
            "" if interval is None else f" ({_percent(interval[0])} to {_percent(interval[1])})"
        )
        lines.append((name.replace("_", " "), _percent(one["value"]) + spread))
    return table(lines, left=(0,))


def classes_table(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for every class; shares in percent."""
    names = list(dict.fromkeys(name for row in classes.values() for name in row))
    lines = [("class", *(name.replace("_", " ") for name in names))]
    for label, row in classes.items():
        lines.append((label, *(_cell(name, row.get(name)) for name in names)))
    return table(lines, left=(0,))


def confusion_table(confusion: Mapping[str, Any]) -> str:
    """What is taken for what: a row for every true class."""
    labels = confusion["labels"]
    lines = [(f"true, in {confusion['unit']}", *labels)]
    for label, row in zip(labels, confusion["rows"], strict=True):
        lines.append((label, *(f"{value:.5g}" for value in row)))
    return table(lines, left=(0,))


def _cell(name: str, value: float | None) -> str:
    if name in COUNTS:
        return "" if value is None else f"{value:.1f}" if name == "minutes" else str(value)
    return _percent(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def plot(path: str | Path, judged: Judged) -> None:
    """Draw the confusion in shares of each true class and, with probabilities, their calibration.

    Args:
        path: of the picture: .png, .pdf or .svg.
        judged: what is drawn.

    Raises:
        ValueError: the suffix is no known format, or the folder is not there.
        ImportError: matplotlib is not installed.
    """
    check_plot(path)
    n, bins = len(judged.labels), judged.bins
    side = min(max(0.45 * n + 2, 4.5), 24)
    wide = (side + 1, 4.5) if bins is not None else (side + 1,)
    figure = doors.matplotlib().figure.Figure(figsize=(sum(wide), side), layout="constrained")
    axes = figure.subplots(1, len(wide), width_ratios=wide, squeeze=False)[0]
    _confusion(figure, axes[0], judged.confusion, judged.labels)
    if bins is not None:
        _reliability(axes[1], bins)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _confusion(figure: Any, axes: Any, counts: Any, labels: Sequence[str]) -> None:
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for i, row in enumerate(shares if len(labels) <= TEXTS else ()):
        for j, share in enumerate(row):
            if counts[i, j]:
                colour = "white" if share > 0.6 else "black"
                text = f"{100 * share:.0f}"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    names = [name.replace("$", r"\$") for name in labels]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="taken for", ylabel="true class")
    figure.colorbar(image, ax=axes, label="share of the true class [%]", shrink=0.8)


def _reliability(axes: Any, bins: Any) -> None:
    """Confidence against accuracy; the area of a mark is the share of its bin."""
    there = bins[bins[:, 0] > 0]
    sure, right = there[:, 1] / there[:, 0], there[:, 2] / there[:, 0]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    size = 400 * there[:, 0] / there[:, 0].sum() + 8
    axes.scatter(sure, right, s=size, color=COLOURS[0], alpha=0.8, clip_on=False, zorder=3)
    axes.set(xlabel="probability of what was said", ylabel="share that is right")
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
