"""Timelines: what is heard when, and the text formats that programs exchange them in.

`read(path)` gives back what `text` wrote: times to the microsecond, probabilities to four digits.
CSV and JSON lines hold many recordings by name, and errors. RTTM holds many by the stem of their
name. A TextGrid (Praat) and a label track (Audacity) are one recording each, known by the stem of
their own name; the probability is a second tier, or stands behind the label.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from . import table, textgrid

COLUMNS = ("file", "start_s", "end_s", "label", "probability", "error")
SURE = "probability"  # begins the names of tiers that hold them


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording that has one label.

    Attributes:
        start: [s], rounded to microseconds, as is the end.
        end: [s], later than the start.
        label: printable, without spaces around it.
        probability: of the label, its mean, rounded to four digits; None where there is none.

    Raises:
        ValueError: it does not last, or a value is out of range.
    """

    start: float
    end: float
    label: str
    probability: float | None = None

    def __post_init__(self) -> None:
        for name, digits in (("start", 6), ("end", 6), ("probability", 4)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, round(float(value), digits))
        if not 0 <= self.start < self.end < math.inf:
            raise ValueError(
                f"segment from {self.start} to {self.end} s: expected 0 <= start < end"
            )
        if not self.label or self.label != self.label.strip() or not self.label.isprintable():
            raise ValueError(f"label={self.label!r}: expected printable text, no spaces around it")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"probability={self.probability}: expected 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What is heard when in one recording.

    Attributes:
        segments: in the order of their starts.
        file: name of the recording.
        error: why there are no segments.
    """

    segments: tuple[Segment, ...] = ()
    file: str = ""
    error: str | None = None

    @property
    def seconds(self) -> float:
        """When the last segment ends."""
        return max((segment.end for segment in self.segments), default=0.0)


Row = tuple[str, Segment | None, str | None]  # file, segment, error


def text(timelines: Sequence[Timeline], format: str) -> str:
    """Timelines in one of `FORMATS`.

    Raises:
        ValueError: the format is unknown or holds one recording only, or stretches of one label
            overlap, which a TextGrid does not know.
    """
    chosen = known(format)
    if chosen.single and len(timelines) != 1:
        raise ValueError(f"{len(timelines)} recordings: {format} holds one; use csv or jsonl")
    return chosen.write(timelines)


def read(path: str | Path, format: str | None = None) -> list[Timeline]:
    """The timelines of a file; the suffix says the format unless it is given.

    Raises:
        ValueError: it is missing or not in this format; the message names the line.
    """
    path = Path(path)
    return known(format or format_of(path)).read(path)


def format_of(path: str | Path) -> str:
    """The format that a suffix stands for.

    Raises:
        ValueError: it stands for none.
    """
    suffix = Path(path).suffix
    for name, one in FORMATS.items():
        if suffix.lower() in (s.lower() for s in one.suffixes):
            return name
    wanted = ", ".join(one.suffixes[0] for one in FORMATS.values())
    raise ValueError(f"{path} ends with {suffix!r}: expected {wanted}; or name the format")


def known(format: str) -> Format:
    """The format of that name; a ValueError lists those that there are."""
    if format not in FORMATS:
        raise ValueError(f"format={format!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[format]


def _rows(timelines: Iterable[Timeline]) -> list[dict[str, Any]]:
    """One row a segment or error, by the names of COLUMNS."""
    rows: list[dict[str, Any]] = []
    for one in timelines:
        rows += [
            {
                "file": one.file,
                "start_s": segment.start,
                "end_s": segment.end,
                "label": segment.label,
                "probability": segment.probability,
            }
            for segment in one.segments
        ]
        if one.error is not None:
            rows.append({"file": one.file, "error": one.error})
    return rows


def _group(rows: Iterable[Row]) -> list[Timeline]:
    """Rows of one file after the other -> timelines."""
    found = []
    for file, group in groupby(rows, key=lambda row: row[0]):
        part = list(group)
        segments = tuple(segment for _, segment, _ in part if segment is not None)
        error = next((error for *_, error in part if error is not None), None)
        found.append(Timeline(file=file, segments=segments, error=error))
    return found


def _row(row: dict[str, str], where: str) -> Row:
    """Read one row of text values."""
    file, error = row.get("file") or "", row.get("error") or None
    if error is not None:
        return file, None, error
    table.need(row, ("start_s", "end_s", "label"), where)
    try:
        start, end = (table.number(row, name, where) for name in ("start_s", "end_s"))
        assert start is not None and end is not None  # needed above
        probability = table.number(row, "probability", where)
        segment = Segment(start=start, end=end, label=row["label"], probability=probability)
    except ValueError as fault:
        said = str(fault)
        raise ValueError(said if said.startswith(where) else f"{where}: {said}") from fault
    return file, segment, None


def _write_csv(timelines: Sequence[Timeline]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(timelines):
        if "label" in row:
            sure = row["probability"]
            row |= {name: f"{row[name]:.6f}" for name in ("start_s", "end_s")}
            row["probability"] = "" if sure is None else f"{sure:.4f}"
        writer.writerow(row)
    return out.getvalue()


def _read_csv(path: Path) -> list[Timeline]:
    rows = table.read(path, ("start_s", "end_s", "label"), "a timeline (CSV)")
    return _group(_row(row, f"{path}, line {number}") for number, row in rows)


def _write_jsonl(timelines: Sequence[Timeline]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(timelines))


def _read_jsonl(path: Path) -> list[Timeline]:
    rows = []
    for where, line in _lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: no JSON ({error})") from error
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected an object with {', '.join(COLUMNS[:-1])}")
        said = {name: str(value[name]) for name in COLUMNS if value.get(name) is not None}
        rows.append(_row({"start_s": "", "end_s": "", "label": "", **said}, where))
    return _group(rows)


def _write_rttm(timelines: Sequence[Timeline]) -> str:
    lines = []
    for one in timelines:
        name = _word(Path(one.file).stem)
        for s in one.segments:
            sure = "<NA>" if s.probability is None else f"{s.probability:.4f}"
            time = f"{s.start:.6f} {s.end - s.start:.6f}"
            lines.append(f"SPEAKER {name} 1 {time} <NA> <NA> {_word(s.label)} {sure} <NA>\n")
    return "".join(lines)


def _read_rttm(path: Path) -> list[Timeline]:
    rows = []
    for where, line in _lines(path):
        values = line.split()
        if line.startswith(";;") or values[0] != "SPEAKER":
            continue
        if len(values) < 8:
            raise ValueError(f"{where}: {len(values)} values, expected 9 or 10")
        given = {"start_s": values[3], "end_s": values[3], "label": unquote(values[7])}
        given["file"] = "" if values[1] == "<NA>" else unquote(values[1])
        start, length = (
            table.number({"time": value}, "time", where) or 0.0 for value in (values[3], values[4])
        )
        given["end_s"] = repr(start + length)
        given["probability"] = values[8] if len(values) > 8 and values[8] != "<NA>" else ""
        rows.append(_row(given, where))
    return _group(rows)


def _word(text: str) -> str:
    """Text as one word, since spaces separate values; `unquote` gives it back."""
    return "".join(quote(c) if c == "%" or c.isspace() else c for c in text) or "<NA>"


def _write_textgrid(timelines: Sequence[Timeline]) -> str:
    """One tier of labels; one of each label, named after it, where they overlap."""
    (one,) = timelines
    ends = [s.end for s in one.segments]
    overlap = any(s.start < end for s, end in zip(one.segments[1:], ends, strict=False))
    parts: dict[str, list[Segment]] = {}
    for s in one.segments:
        parts.setdefault(s.label if overlap else "label", []).append(s)
    tiers = {}
    for name, part in parts.items():
        tiers[name] = [(s.start, s.end, s.label) for s in part]
        sure = f"{SURE} of {name}" if overlap else SURE
        tiers[sure] = [(s.start, s.end, _digits(s.probability)) for s in part]
    return textgrid.write(tiers or {"label": [], SURE: []}, one.seconds)


def _read_textgrid(path: Path) -> list[Timeline]:
    """The first tier; all of them where each is named after the only label that it has."""
    tiers = textgrid.read(path)
    sure = {name: {i[:2]: i[2] for i in tier} for name, tier in tiers.items()}
    said = {name: tier for name, tier in tiers.items() if not name.startswith(SURE)}
    own = {name: f"{SURE} of {name}" for name in said}
    if not said or any({label for *_, label in tier} != {name} for name, tier in said.items()):
        own = dict.fromkeys(list(said)[:1], SURE)
    rows = []
    for start, end, label, tier in sorted((*i, name) for name in own for i in said[name]):
        given = {
            "start_s": repr(start),
            "end_s": repr(end),
            "file": path.stem,
            "label": label,
            "probability": sure.get(own[tier], {}).get((start, end), ""),
        }
        rows.append(_row(given, f"{path}, at {start} s"))
    return _group(rows)


def _write_audacity(timelines: Sequence[Timeline]) -> str:
    (one,) = timelines
    return "".join(
        f"{s.start:.6f}\t{s.end:.6f}\t{f'{s.label} {_digits(s.probability)}'.strip()}\n"
        for s in one.segments
    )


def _read_audacity(path: Path) -> list[Timeline]:
    rows = []
    for where, line in _lines(path):
        if line.startswith("\\"):  # the range of frequencies that the label above was set on
            continue
        values = line.split("\t")
        if len(values) != 3:
            raise ValueError(f"{where}: {len(values)} values, expected start, end, label and tabs")
        label, _, last = values[2].rpartition(" ")
        is_probability = len(last) == 6 and last[:2] in ("0.", "1.") and last[2:].isdigit()
        given = {"file": path.stem, "start_s": values[0], "end_s": values[1]}
        given |= {"label": label, "probability": last} if is_probability else {"label": values[2]}
        rows.append(_row(given, where))
    return _group(rows)


def _digits(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.4f}"


def _lines(path: Path) -> list[tuple[str, str]]:
    """Lines that hold something, and where they stand."""
    try:
        said = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected a timeline") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: expected a timeline") from None
    lines = said.replace("\r\n", "\n").split("\n")
    return [(f"{path}, line {i}", line) for i, line in enumerate(lines, 1) if line.strip()]


@dataclass(frozen=True)
class Format:
    """How timelines are written and read, by which suffixes it is known, whether it holds one."""

    write: Callable[[Sequence[Timeline]], str]
    read: Callable[[Path], list[Timeline]]
    suffixes: tuple[str, ...]
    single: bool = False


FORMATS = {
    "csv": Format(_write_csv, _read_csv, (".csv",)),
    "jsonl": Format(_write_jsonl, _read_jsonl, (".jsonl", ".json")),
    "rttm": Format(_write_rttm, _read_rttm, (".rttm",)),
    "textgrid": Format(_write_textgrid, _read_textgrid, (".TextGrid",), single=True),
    "audacity": Format(_write_audacity, _read_audacity, (".txt",), single=True),
}
