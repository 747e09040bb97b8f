"""Tables that people can read: CSV files, and what their values must be, said by line."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .. import files

Row = TypeVar("Row")


def read(
    path: Path, needed: Sequence[str], what: str, bad: list[str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file and their line numbers.

    Args:
        path: the file.
        needed: columns.
        what: the file is, for the error where it is missing.
        bad: takes rows with too many values, each from its line on; they are left out.

    Raises:
        ValueError: it is missing, is no UTF-8 text, or lacks a column; a row has too many values.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            there = reader.fieldnames or []
            missing = [name for name in needed if name not in there]
            if missing:
                other = "".join(there[:1]) if len(there) == 1 else ""
                hint = "; put commas between values" if {";", "\t"} & set(other) else ""
                raise ValueError(
                    f"{path} lacks the columns {', '.join(missing)}: expected {', '.join(needed)}"
                    f"{hint}"
                )
            rows = []
            for row in reader:
                if None in row:
                    fault = (
                        f"line {reader.line_num}: more values than columns: expected "
                        f"{len(row) - 1}; put values that hold a comma in double quotes"
                    )
                    if bad is None:
                        raise ValueError(f"{path}, {fault}")
                    bad.append(fault)
                    continue
                rows.append((reader.line_num, row))
            return rows
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected {what}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder: expected {what}; name a file in it") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: expected {what}") from None


def parsed(
    path: Path,
    needed: Sequence[str],
    what: str,
    parse: Callable[[dict[str, str], str], Row],
    bad: list[str] | None = None,
) -> list[tuple[int, Row]]:
    """Line numbers and rows of a CSV file.

    Args:
        path: the file.
        needed: columns.
        what: the file is, for the error where it is missing.
        parse: a row's values, and where it is -> the row; a ValueError says what is wrong.
        bad: takes what is wrong with rows, each from its line on; they are left out.

    Raises:
        ValueError: as `read`; without `bad` also for the first row that is wrong.
    """
    found = []
    for number, row in read(path, needed, what, bad):
        try:
            found.append((number, parse(row, f"{path}, line {number}")))
        except ValueError as error:
            if bad is None:
                raise
            bad.append(str(error).removeprefix(f"{path}, "))
    return found


def write(path: Path, columns: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; None becomes an empty value.

    Raises:
        ValueError: there is no row.
    """
    if not lines:
        raise ValueError(f"{path}: no rows to write: expected at least one; check the folder read")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    files.atomic_text(path, text.getvalue())


def relative(path: Path, folder: Path) -> str:
    """How a table in `folder` names `path`: relative if it lies under the folder, else in full."""
    whole, above = Path(os.path.abspath(path)), Path(os.path.abspath(folder))  # noqa: PTH100
    return (whole.relative_to(above) if whole.is_relative_to(above) else whole).as_posix()


def need(row: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Raise a ValueError for the first of `names` that has no value."""
    for name in names:
        if not row[name]:
            raise ValueError(f"{where}: no {name}")


def one_of(row: Mapping[str, str], name: str, known: Sequence[str], where: str) -> None:
    """Raise a ValueError if a value is none of those known."""
    if row[name] not in known:
        raise ValueError(f"{where}: {name}={row[name]!r}, expected {', '.join(known)}")


def number(row: Mapping[str, str], name: str, where: str, least: float = -math.inf) -> float | None:
    """A finite number, None where there is none; a ValueError where it is no such number."""
    text = row.get(name) or ""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < least:
        bound = "" if least == -math.inf else f" of {least:g} or more"
        raise ValueError(f"{where}: {name}={text!r}, expected a number{bound}")
    return value


def rate(row: Mapping[str, str], where: str) -> int | None:
    """A sample rate [Hz], None where there is none; a ValueError where it is no whole number."""
    return whole(row, "sample_rate", where, " of Hz")


def whole(row: Mapping[str, str], name: str, where: str, unit: str = "") -> int | None:
    """A number 1, 2 ..., None where there is none; a ValueError where it is no such number."""
    value = number(row, name, where, least=1)
    if value is not None and value != int(value):
        raise ValueError(f"{where}: {name}={value}, expected a whole number{unit}")
    return None if value is None else int(value)
