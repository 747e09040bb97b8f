"""TextGrid, the annotation format of Praat: tiers of intervals that follow each other.

Praat reads quoted text, free-standing numbers and <exists>, and takes everything else for comment,
so that its long and its short form are read alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Interval = tuple[float, float, str]  # start, end [s], text

VALUE = re.compile(
    r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>'
)
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # Praat writes it for some texts


def write(tiers: Mapping[str, Sequence[Interval]], seconds: float) -> str:
    """Tiers by name, in Praat's long form; what lies between intervals has an empty text.

    Raises:
        ValueError: intervals of a tier overlap.
    """
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    out += ["xmin = 0", f"xmax = {seconds:.6f}", "tiers? <exists>", f"size = {len(tiers)}"]
    out.append("item []:")
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        whole = list(_whole(intervals, seconds))
        out += [f"    item [{number}]:", '        class = "IntervalTier"']
        out += [f"        name = {_quoted(name)}", "        xmin = 0"]
        out += [f"        xmax = {seconds:.6f}", f"        intervals: size = {len(whole)}"]
        for i, (start, end, text) in enumerate(whole, 1):
            out += [f"        intervals [{i}]:", f"            xmin = {start:.6f}"]
            out += [f"            xmax = {end:.6f}", f"            text = {_quoted(text)}"]
    return "\n".join(out) + "\n"


def read(path: Path) -> dict[str, list[Interval]]:
    """The interval tiers of a file by name, without intervals that have no text.

    Raises:
        ValueError: it is missing, or no TextGrid.
    """
    try:
        raw = path.read_bytes()
        said = raw.decode(MARKS.get(raw[:2], "utf-8-sig"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected a TextGrid") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 or UTF-16 text: expected a TextGrid") from None
    values = (m[1].replace('""', '"') if m[1] is not None else m[2] or m[3]
              for m in VALUE.finditer(said))  # fmt: skip
    try:
        return _tiers(values)
    except (StopIteration, ValueError) as error:
        raise ValueError(f"{path} is no TextGrid, or is cut short: save it again") from error


def _tiers(values: Iterator[str]) -> dict[str, list[Interval]]:
    if next(values) not in ("ooTextFile", "ooTextFile short") or next(values) != "TextGrid":
        raise ValueError("another kind of file")
    float(next(values)), float(next(values))
    found: dict[str, list[Interval]] = {}
    n_tiers = int(next(values)) if next(values) == "exists" else 0
    for _ in range(n_tiers):
        kind, name = next(values), next(values)
        float(next(values)), float(next(values))
        n = int(next(values))
        if kind != "IntervalTier":  # points: a time and a text each
            for _ in range(n):
                float(next(values)), next(values)
            continue
        intervals = [(float(next(values)), float(next(values)), next(values)) for _ in range(n)]
        found.setdefault(name, [i for i in intervals if i[2].strip()])
    return found


def _whole(intervals: Sequence[Interval], seconds: float) -> Iterator[Interval]:
    """Intervals from 0 to the end, since Praat wants no gaps."""
    at = 0.0
    for start, end, text in intervals:
        if start < at:
            raise ValueError(
                f"intervals overlap at {start} s: a TextGrid's tier holds one at a time; use csv"
            )
        if start > at:
            yield at, start, ""
        yield start, end, text
        at = end
    if at < seconds:
        yield at, seconds, ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
