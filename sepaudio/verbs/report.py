"""Scores for people: tables in Markdown, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import doors, files
from ..metrics import Comparison
from .scores import Row

HEAD = ("list", "of", "files", "figure", "input", "output", "improvement (95 %)", "wrong speaker")
COMPARED = ("list", "figure", "difference (95 %)", "p", "files")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
PLOTS = (".png", ".pdf", ".svg")
MARKS = "os^Dv<>"


def as_markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Summaries by list as one table: a line for every list, group of mixtures and figure.

    Without mixtures there is no improvement, and the interval stands beside the output.
    """
    lines = [HEAD]
    for name, summary in found.items():
        for of, part in {"all": summary, **summary["groups"]}.items():
            figures = part["figures"]
            for key in figures:
                if key.endswith(("_input", "_i")) or key in ("wrong", "presence"):
                    continue
                wrong = figures.get("wrong") if key == "si_snr" else None
                share = f"{100 * wrong['mean']:.1f} %" if wrong else ""
                lines.append((name, of, str(part["files"]), key, *_cells(figures, key), share))
    return table(lines, left=(0, 1, 3))


def compared_as_markdown(found: Mapping[str, Mapping[str, Comparison]]) -> str:
    """Comparisons by list as one table, and the name of the test."""
    lines = [COMPARED]
    for name, comparisons in found.items():
        for key, one in comparisons.items():
            spread = _spread({"mean": one.difference, "interval": one.interval}, 3)
            lines.append((name, key, spread, f"{one.p:.2g}", str(one.n)))
    tests: dict[str, set[str]] = {}
    for comparisons in found.values():
        for key, one in comparisons.items():
            tests.setdefault(one.test, set()).add(key)
    told = [
        test if len(tests) == 1 else f"{test} ({', '.join(sorted(keys))})"
        for test, keys in sorted(tests.items())
    ]
    return f"{table(lines, left=(0, 1))}\np: {'; '.join(told)}, files paired\n"


def check_plot(path: str | Path) -> None:
    """Find out whether `plot` could write there, before what it draws is measured.

    Raises:
        ValueError: the suffix is no known format, or the folder is not there.
        ImportError: matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in PLOTS:
        raise ValueError(f"{path} ends with {path.suffix!r}: expected {', '.join(PLOTS)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is no folder: expected one to write into; make it")
    doors.matplotlib()


def plot(path: str | Path, found: Mapping[str, Sequence[Row]]) -> None:
    """Draw the improvement of SI-SNR against the SIR of the input, and how often each occurs.

    Lists have colours of their own; of a single one the same and different genders have, where
    they are known.

    Args:
        path: of the picture; its suffix, one of `PLOTS`, says the format.
        found: rows by list.

    Raises:
        ValueError: no row has an improvement, or as `check_plot`.
        ImportError: matplotlib is not installed.
    """
    check_plot(path)
    points = _points(found)
    figure = doors.matplotlib().figure.Figure(figsize=(9, 4.5), layout="constrained")
    scatter, counts = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    every = np.concatenate([xy[1] for xy in points.values()])
    bins = np.linspace(np.floor(every.min()), np.ceil(every.max() + 0.01), 25)
    for number, (name, (x, y)) in enumerate(points.items()):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        label = f"{name}: {len(y)}, mean {y.mean():.1f} dB"
        scatter.scatter(x, y, s=20, c=colour, marker=mark, alpha=0.6, linewidths=0, label=label)
        look = {"color": colour, "linewidth": 1.5}
        counts.hist(y, bins, orientation="horizontal", histtype="step", **look)
        counts.axhline(y.mean(), linestyle="--", **look)
    scatter.set(xlabel="SIR of the input [dB]", ylabel="SI-SNR improvement [dB]")
    counts.set(xlabel="how many (dashed: means)")
    counts.xaxis.get_major_locator().set_params(integer=True)
    for axes in (scatter, counts):
        axes.axhline(0, color="0.4", linewidth=1, zorder=0)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=min(len(points), 3), frameon=False)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _points(found: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Input SIR and improvement [2, N] by what the legend calls them."""
    rows = [(name, row) for name, part in found.items() for row in part]
    if len(found) == 1 and any(row.pair for _, row in rows):
        rows = sorted(((row.pair or "unknown gender", row) for _, row in rows), key=lambda r: r[0])
    points: dict[str, list[tuple[float, float]]] = {}
    for name, row in rows:
        gain = row.figures.get("si_snr_i")
        if gain is not None and row.sir_db is not None:
            points.setdefault(name, []).append((row.sir_db, gain))
    if not points:
        raise ValueError(
            "no row has an improvement of SI-SNR and an input SIR: expected scores with mixtures"
        )
    return {name: np.array(pairs).T for name, pairs in points.items()}


def _cells(figures: Mapping[str, Any], key: str) -> list[str]:
    """Input, output and improvement of a figure."""
    before, after, gain = figures.get(f"{key}_input"), figures[key], figures.get(f"{key}_i")
    digits = 3 if key == "stoi" else 2
    return [
        f"{before['mean']:.{digits}f}" if before else "",
        f"{after['mean']:.{digits}f}" if gain else _spread(after, digits),
        _spread(gain, digits) if gain else "",
    ]


def _spread(one: Mapping[str, Any], digits: int) -> str:
    low, high = one["interval"]
    return f"{one['mean']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(lines: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Markdown whose columns are as wide as their widest cell; the first line is the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    marks = ["-" * w if i in left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    text = ""
    for line in (lines[0], marks, *lines[1:]):
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += f"| {' | '.join(cells)} |\n"
    return text
