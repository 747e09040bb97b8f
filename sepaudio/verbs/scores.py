"""Figures of many files: as a CSV with a row per source, summed up, and compared pair by pair.

A separator has a row for every source of a mixture, an extractor one for every mixture.
"""

from __future__ import annotations

import csv
import io as text_io
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..metrics import Comparison

FIXED = ("file", "source", "estimate", "seconds", "silent", "genders", "sir_db")
# then come the figures, then the error
PAIRS = ("same gender", "different gender")
SIR = (-5.0, -2.0, 2.0, 5.0)  # [dB] where ranges meet


@dataclass(frozen=True, kw_only=True)
class Row:
    """How near one estimate is to its reference.

    Attributes:
        file: name without folder and suffix, or of a mixture in its list.
        source: s1, s2 ...; empty where a file has one source.
        estimate: the number of the estimate that answers it, from 1.
        seconds: that were measured.
        silent: which is silent: "reference", "estimate", "both" or "".
        genders: of the speakers in the mixture in the order of the sources, as in "f+m"; empty
            when one is unknown, or only one speaks.
        sir_db: of the source over everything else in the mixture [dB]; None when it is unknown.
        figures: by name; None where there is none.
        error: what went wrong; figures beside it hold all the same.
    """

    file: str
    source: str = ""
    estimate: int | None = None
    seconds: float | None = None
    silent: str = ""
    genders: str = ""
    sir_db: float | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    error: str = ""

    @property
    def pair(self) -> str:
        """Whether the genders are the same, one of `PAIRS`; empty when they are unknown."""
        return PAIRS[len(set(self.genders.split("+"))) > 1] if self.genders else ""


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV; what is unknown is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    out = text_io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*FIXED, *names, "error"])
    for row in rows:
        head = [row.file, row.source, row.estimate, _number(row.seconds), row.silent, row.genders]
        figures = [_number(row.figures.get(name)) for name in names]
        writer.writerow([*head, _number(row.sir_db), *figures, row.error])
    return out.getvalue()


def from_csv(path: str | Path) -> list[Row]:
    """Rows as `to_csv` wrote them.

    Raises:
        ValueError: the file is missing, or is no such CSV; the message says where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected scores (CSV)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): expected scores (CSV)") from error
    reader = csv.DictReader(text_io.StringIO(text))
    missing = [name for name in (*FIXED, "error") if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}: expected what "
            "`sepaudio evaluate ... -o` writes"
        )
    names = [name for name in reader.fieldnames or [] if name not in (*FIXED, "error")]
    rows = []
    for number, line in enumerate(reader, start=2):
        try:
            estimate = _parsed(line["estimate"])
            row = Row(
                file=line["file"],
                source=line["source"],
                estimate=None if estimate is None else int(estimate),
                seconds=_parsed(line["seconds"]),
                silent=line["silent"],
                genders=line["genders"],
                sir_db=_parsed(line["sir_db"]),
                figures={name: _parsed(line[name]) for name in names},
                error=line["error"],
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        rows.append(row)
    return rows


def summarise(rows: Sequence[Row], sir: Sequence[float] = SIR) -> dict[str, Any]:
    """Plain values: counts, figures of all rows, and of every group of them that has any.

    A figure is a mean, its 95 % interval, the median and the number of values. The interval comes
    from drawing files again, not sources, which are alike within a file.

    Args:
        rows: what was measured.
        sir: where ranges of the input SIR meet [dB], rising.

    Raises:
        ValueError: `sir` does not rise.
    """
    parts = groups(rows, sir)
    return {
        "files": len({row.file for row in rows}),
        "rows": len(rows),
        "failed": sum(bool(row.error) for row in rows),
        "silent_references": sum(row.silent in ("reference", "both") for row in rows),
        "silent_estimates": sum(row.silent in ("estimate", "both") for row in rows),
        "figures": _figures(rows),
        "groups": {
            name: {"files": len({row.file for row in part}), "figures": _figures(part)}
            for name, part in parts.items()
        },
    }


def groups(rows: Sequence[Row], sir: Sequence[float] = SIR) -> dict[str, list[Row]]:
    """Rows by whether the genders are the same, and by range of the input SIR; none is empty.

    Raises:
        ValueError: `sir` does not rise.
    """
    if list(sir) != sorted(set(sir)) or len(sir) < 2:
        raise ValueError(f"sir={list(sir)}: expected two or more rising levels, as -5,-2,2,5")
    ranges = [f"SIR [{low:g}, {high:g}) dB" for low, high in pairwise(sir)]
    ranges[-1] = ranges[-1].replace(")", "]")  # the last holds its upper end
    ranges = [f"SIR < {sir[0]:g} dB", *ranges, f"SIR > {sir[-1]:g} dB"]
    found: dict[str, list[Row]] = {name: [] for name in (*PAIRS, *ranges)}
    for row in rows:
        if row.genders:
            found[row.pair].append(row)
        if row.sir_db is not None:
            last = row.sir_db == sir[-1]
            found[ranges[bisect_right(sir, row.sir_db) - last]].append(row)
    return {name: part for name, part in found.items() if part}


def compare(ours: Sequence[Row], theirs: Sequence[Row]) -> dict[str, Comparison]:
    """What differs between two systems, by figure, on the files that both have a value for.

    The sources of a file are averaged first, so that pairs do not depend on each other.

    Raises:
        ValueError: no figure has two files that both systems have.
        ImportError: scipy is not installed.
    """
    found = {}
    for name in dict.fromkeys(name for row in ours for name in row.figures):
        if name.endswith("_input"):  # of the mixture, which both heard
            continue
        keys = _keys(ours, name) & _keys(theirs, name)
        a, b = (
            {file: np.mean(values) for file, values in _by_file(rows, name, keys).items()}
            for rows in (ours, theirs)
        )
        shared = sorted(a)
        if len(shared) > 1:
            found[name] = metrics.compare(
                [a[file] for file in shared], [b[file] for file in shared]
            )
    if not found:
        raise ValueError(
            "the two have no figure for two files in common: expected scores of the same files; "
            "names without suffix and sources must be equal"
        )
    return found


def as_dict(found: dict[str, Comparison]) -> dict[str, Any]:
    """Comparisons as plain JSON values."""
    return {name: asdict(one) for name, one in found.items()}


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row.figures):
        values = list(_by_file(rows, name).values())
        if values:
            every = np.concatenate(values)
            found[name] = {
                "mean": float(every.mean()),
                "interval": list(metrics.mean_interval(values)),
                "median": float(np.median(every)),
                "n": len(every),
            }
    return found


def _keys(rows: Iterable[Row], name: str) -> set[tuple[str, str]]:
    return {(row.file, row.source) for row in rows if row.figures.get(name) is not None}


def _by_file(
    rows: Iterable[Row], name: str, keys: set[tuple[str, str]] | None = None
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        value = row.figures.get(name)
        if value is not None and (keys is None or (row.file, row.source) in keys):
            found.setdefault(row.file, []).append(value)
    return found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _parsed(text: str) -> float | None:
    if text == "":
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value
