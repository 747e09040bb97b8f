"""Labels of whole recordings: a CSV with a row for each, whoever or whatever labelled them.

The name stands under path, file or filename, the label under label, kind or category: tables of
labels, manifests, ESC-50's own table and what `sepaudio classify` writes can be read. Columns named
like labels hold their probabilities; a column `probability` holds that of the label itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import table

NAMES = ("path", "file", "filename")
LABELS = ("label", "kind", "category")
OTHERS = ("probability", "silence", "seconds", "error")  # of `sepaudio classify`


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A recording and its label.

    Attributes:
        file: its name, as the table has it.
        label: its class; empty where `error` says why it has none.
        probability: of the label; None where the table has none.
        probabilities: of every class that has a column; empty where there is none, or no value.
        error: why it has no label.
    """

    file: str
    label: str = ""
    probability: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


def read(path: str | Path, labels: Collection[str] = ()) -> tuple[list[Clip], list[str]]:
    """The rows of a table, and which classes have probabilities in it.

    Args:
        path: of the CSV.
        labels: classes beside those in the table that a column may be named after.

    Raises:
        ValueError: it is missing, lacks a column or has no row; a row has no name or no label, has
            probabilities of some classes only, or one that is not 0 to 1. The message names the
            line.
    """
    path = Path(path)
    rows = table.read(path, (), "labels of recordings (CSV)")
    if not rows:
        raise ValueError(f"{path} has no rows: expected one a recording")
    name, said = (_column(path, rows[0][1], known) for known in (NAMES, LABELS))
    classes = {row[said] for _, row in rows} | set(labels)
    fixed = {name, said, *OTHERS}
    columns = [column for column in rows[0][1] if column in classes and column not in fixed]
    return [_clip(row, name, said, columns, f"{path}, line {i}") for i, row in rows], columns


def _column(path: Path, row: Mapping[str, str], known: Sequence[str]) -> str:
    for column in known:
        if column in row:
            return column
    raise ValueError(f"{path} lacks a column {' or '.join(known)}; found {', '.join(row)}")


def _clip(row: Mapping[str, str], name: str, said: str, columns: Sequence[str], where: str) -> Clip:
    table.need(row, (name,), where)
    if row.get("error"):
        return Clip(file=row[name], error=row["error"])
    table.need(row, (said,), where)
    chances = {column: _probability(row, column, where) for column in columns}
    given = {column: value for column, value in chances.items() if value is not None}
    if given and len(given) < len(columns):
        lost = ", ".join(column for column in columns if column not in given)
        raise ValueError(
            f"{where}: no probability of {lost}: expected that of every class, or none; "
            "write all of them, without --top-k"
        )
    own = _probability(row, "probability", where)
    return Clip(
        file=row[name],
        label=row[said],
        probability=given.get(row[said], own),
        probabilities=given,
    )


def _probability(row: Mapping[str, str], name: str, where: str) -> float | None:
    value = table.number(row, name, where, least=0)
    if value is not None and value > 1:
        raise ValueError(f"{where}: {name}={value:g}, expected a probability of 0 to 1")
    return value
