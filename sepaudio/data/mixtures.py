"""Lists of fixed mixtures: a CSV row says all there is to a mixture.

Columns: mixture_id, split, rules, sample_rate [Hz], mode, scale, target (counted from 1), and for
every part (source_1, source_2 ... noise, enrollment_1 ...) its path, speaker, gender (of the
speaker), start_s, duration_s, offset_s, gain and room, as in source_1_gain. Columns that no row
needs are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import table
from .manifest import SPLITS

NEEDED = ("mixture_id", "split", "rules", "sample_rate", "mode", "source_1_path")
MODES = ("min", "max")  # a mixture ends with its shortest source, or with its longest
PART = ("path", "speaker", "gender", "start_s", "duration_s", "offset_s", "gain", "room")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the samples of a list are made, so that they equal a published set's.

    Attributes:
        poly: resample by SciPy's polyphase filter with its default window, else by soxr.
        double: gain, sum and scale are done on the resampled float64 samples, else the gain is
            applied in float32 before resampling.
        peak: the largest sample of mixture and sources, which one common scale sets.
        peak_of_enrollment: whether the enrollment counts for the peak and gets the same scale.
        steps: how samples become those of a 16-bit file: "floor" as libsndfile does with floats,
            "round", or "" for not at all.
    """

    poly: bool = False
    double: bool = False
    peak: float | None = None
    peak_of_enrollment: bool = False
    steps: str = ""


RULES = {
    "plain": Rules(),
    "librimix": Rules(poly=True, steps="floor"),
    "wsj0_mix": Rules(poly=True, double=True, peak=0.9, steps="round"),
    "wsj0_mix_extr": Rules(
        poly=True, double=True, peak=0.9, peak_of_enrollment=True, steps="round"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A recording's part in a mixture.

    Attributes:
        path: of the file; its first channel is taken.
        speaker: who speaks.
        gender: of the speaker, in small letters: f, m or any other word; "" when unknown.
        start: where in the file it begins [s].
        duration: how much of the file is taken [s]; to its end when None.
        offset: where in the mixture it begins [s].
        gain: its samples are multiplied by this.
        room: a file with the impulse response it is heard through.
    """

    path: Path
    speaker: str = ""
    gender: str = ""
    start: float = 0.0
    duration: float | None = None
    offset: float = 0.0
    gain: float = 1.0
    room: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """One row of a list of mixtures.

    Attributes:
        id: names the mixture in its list.
        sources: who is heard.
        sample_rate: of the result [Hz].
        noise: what lies under them; repeated with cross-fades where it is shorter.
        enrollments: of the target; any of them will do.
        target: index of the source to extract, None when no one is.
        mode: min or max.
        rules: a name in RULES.
        scale: the whole result is multiplied by this.
        split: train, valid or test.
    """

    id: str
    sources: tuple[Part, ...]
    sample_rate: int
    noise: Part | None = None
    enrollments: tuple[Part, ...] = ()
    target: int | None = None
    mode: str = "max"
    rules: str = "plain"
    scale: float = 1.0
    split: str = "train"


def read(path: str | Path) -> list[Mixture]:
    """The rows of a list of mixtures.

    Raises:
        ValueError: it is missing, or a row makes no sense; the message names the row.
    """
    return [row for _, row in numbered(path)]


def numbered(path: str | Path, bad: list[str] | None = None) -> list[tuple[int, Mixture]]:
    """The rows of a list of mixtures and their lines; see `table.parsed`."""
    path, seen = Path(path), dict[str, str]()

    def parse(row: dict[str, str], where: str) -> Mixture:
        _check_columns(row, path)
        table.need(row, NEEDED, where)
        for name, known in (("split", SPLITS), ("rules", tuple(RULES)), ("mode", MODES)):
            table.one_of(row, name, known, where)
        first = seen.setdefault(row["mixture_id"], where)
        if first != where:
            raise ValueError(
                f"{where}: mixture_id={row['mixture_id']!r} is also in {first.rsplit(', ')[-1]}: "
                "expected each once; rename one"
            )
        return _mixture(row, path, where)

    return table.parsed(path, NEEDED, "a list of mixtures (CSV)", parse, bad)


def _mixture(row: dict[str, str], path: Path, where: str) -> Mixture:
    sources = _parts(row, "source", path, where)
    rate, scale = table.rate(row, where), table.number(row, "scale", where)
    assert rate is not None  # needed above
    return Mixture(
        id=row["mixture_id"],
        sources=sources,
        sample_rate=rate,
        noise=_part(row, "noise", path, where),
        enrollments=_parts(row, "enrollment", path, where),
        target=_target(row, len(sources), where),
        mode=row["mode"],
        rules=row["rules"],
        scale=1.0 if scale is None else scale,
        split=row["split"],
    )


def write(path: str | Path, rows: Iterable[Mixture]) -> None:
    """Write a list of mixtures, whole or not at all; paths under its folder become relative.

    Raises:
        ValueError: there is no row.
    """
    path = Path(path)
    lines = []
    for row in rows:
        line: dict[str, Any] = {
            "mixture_id": row.id,
            "split": row.split,
            "rules": row.rules,
            "sample_rate": row.sample_rate,
            "mode": row.mode,
            "scale": None if row.scale == 1 else row.scale,
            "target": None if row.target is None else row.target + 1,
        }
        for part, name in _named(row):
            values = {
                "path": table.relative(part.path, path.parent),
                "speaker": part.speaker,
                "gender": part.gender,
                "start_s": part.start or None,
                "duration_s": part.duration,
                "offset_s": part.offset or None,
                "gain": part.gain,
                "room": part.room and table.relative(part.room, path.parent),
            }
            line.update({f"{name}_{key}": value for key, value in values.items()})
        lines.append(line)
    used = {key: None for line in lines for key, value in line.items() if value not in (None, "")}
    head = [key for key in NEEDED[:5] if key in used]
    columns = [*head, *sorted(set(used) - set(head), key=_rank)]
    table.write(path, columns, [{key: line.get(key) for key in columns} for line in lines])


def _check_columns(row: dict[str, str], path: Path) -> None:
    for name in row:
        found = re.fullmatch(r"(?:source_\d+|enrollment_\d+|noise)_(\w+)", name)
        if found and found[1] not in PART:
            raise ValueError(
                f"{path} has a column {name!r}: expected _{', _'.join(PART)} at its end"
            )


def _parts(row: dict[str, str], kind: str, path: Path, where: str) -> tuple[Part, ...]:
    """source_1, source_2 ... as far as there are any; a gap is an error."""
    numbers = [int(n[len(kind) + 1 : -5]) for n in row if re.fullmatch(rf"{kind}_\d+_path", n)]
    found = {number: _part(row, f"{kind}_{number}", path, where) for number in sorted(numbers)}
    there = [number for number, part in found.items() if part is not None]
    if there != list(range(1, len(there) + 1)):
        raise ValueError(f"{where}: {kind}_{there[-1]} but not all before it; number them from 1")
    return tuple(part for part in found.values() if part is not None)


def _part(row: dict[str, str], name: str, path: Path, where: str) -> Part | None:
    if not row.get(f"{name}_path"):
        return None
    room, gain = row.get(f"{name}_room"), table.number(row, f"{name}_gain", where)
    return Part(
        path=path.parent / row[f"{name}_path"],
        speaker=row.get(f"{name}_speaker", ""),
        gender=row.get(f"{name}_gender", "").lower(),
        start=table.number(row, f"{name}_start_s", where, least=0) or 0.0,
        duration=table.number(row, f"{name}_duration_s", where, least=0),
        offset=table.number(row, f"{name}_offset_s", where, least=0) or 0.0,
        gain=1.0 if gain is None else gain,
        room=path.parent / room if room else None,
    )


def _target(row: dict[str, str], n_src: int, where: str) -> int | None:
    value = table.number(row, "target", where)
    if value is None:
        return None
    if value not in range(1, n_src + 1):
        raise ValueError(f"{where}: target={value:g}, expected 1 to {n_src}: a source's number")
    return int(value) - 1


def _named(row: Mixture) -> list[tuple[Part, str]]:
    """All parts and how their columns begin."""
    named = [(part, f"source_{i}") for i, part in enumerate(row.sources, 1)]
    named += [(row.noise, "noise")] if row.noise else []
    return named + [(part, f"enrollment_{i}") for i, part in enumerate(row.enrollments, 1)]


def _rank(column: str) -> tuple[int, int, int]:
    """Where a column stands: whole mixture, sources, noise, enrollments; each part together."""
    found = re.fullmatch(r"(source|noise|enrollment)_?(\d*)_(\w+)", column)
    if not found:
        return 0, 0, ("scale", "target").index(column)
    kind = ("source", "noise", "enrollment").index(found[1]) + 1
    return kind, int(found[2] or 0), PART.index(found[3])
