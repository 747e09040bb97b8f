"""What is wrong with a manifest or a list of mixtures, row by row, before training starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import io
from . import manifest, mixtures
from .manifest import Recording
from .mixtures import Mixture, Part

BYTES = 2  # a sample on a shelf


@dataclass
class Report:
    """What was found.

    Attributes:
        problems: each names a row and a remedy; training would stop or go wrong.
        warnings: what is unusual, but may be meant.
        rows: how many were looked at.
        hours: of audio, by split and kind ("train speech"), or of mixtures, by split.
        speakers: how many, by split.
        gigabytes: that a shelf of the audio takes at `sample_rate`, in memory or on disk; for
            mixtures, what they would take as 16-bit files with their sources.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rows: int = 0
    hours: dict[str, float] = field(default_factory=dict)
    speakers: dict[str, int] = field(default_factory=dict)
    gigabytes: float = 0.0

    @property
    def fine(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def summary(self) -> str:
        """One line of numbers."""
        return (
            f"{self.rows} rows, {sum(self.hours.values()):.2f} h of audio, "
            f"{self.gigabytes:.3f} GB at 16 bits, {len(self.problems)} problems"
        )


def validate(
    path: str | Path,
    *,
    sample_rate: int | None = None,
    least_seconds: float = 1.0,
    read_all: bool = False,
) -> Report:
    """Look at a manifest or, by its columns, at a list of mixtures.

    Args:
        path: the CSV file.
        sample_rate: that a model wants [Hz]; lower ones are named and sizes are of this one.
        least_seconds: a shorter recording is named, and a speaker with less than twice as much.
        read_all: decode every file, which finds damage and NaN behind the header.
    """
    path = Path(path)
    report = Report()
    try:
        with path.open(encoding="utf-8-sig") as file:
            is_list = "mixture_id" in file.readline()
    except (OSError, UnicodeDecodeError) as error:
        report.problems.append(f"{path} cannot be read ({error}): expected a CSV file")
        return report
    try:
        if is_list:
            _mixtures(mixtures.read(path), report, read_all)
        else:
            rows = manifest.read(path)
            _recordings(rows, report, sample_rate, least_seconds, read_all)
    except ValueError as error:
        report.problems.append(str(error))
    return report


def _recordings(
    rows: Sequence[Recording],
    report: Report,
    sample_rate: int | None,
    least_seconds: float,
    read_all: bool,
) -> None:
    splits: dict[str, dict[str, int]] = defaultdict(dict)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    hours: dict[str, float] = defaultdict(float)
    seen: dict[tuple[Path, float | None], int] = {}
    seen_files: dict[Path, io.AudioInfo | None] = {}
    for number, row in enumerate(rows, start=2):
        where = f"line {number} ({row.path.name})"
        report.rows += 1
        first = seen.setdefault((row.path, row.start), number)
        if first != number:
            report.problems.append(f"{where} is also line {first}: remove one")
        if row.path not in seen_files:
            seen_files[row.path] = _look(row.path, where, report, read_all)
        about = seen_files[row.path]
        length = _length(row, about, where, report)
        if about is not None:
            if row.sample_rate not in (None, about.sample_rate):
                report.problems.append(
                    f"{where}: sample_rate={row.sample_rate}, but the file has "
                    f"{about.sample_rate} Hz: mend the column"
                )
            if sample_rate is not None and about.sample_rate < sample_rate:
                report.warnings.append(
                    f"{where} is {about.sample_rate} Hz, {sample_rate} Hz expected: it lacks the "
                    "upper band; leave it out or train at the lower rate"
                )
            report.gigabytes += length * (sample_rate or about.sample_rate) * BYTES / 1e9
        if row.speaker and about is not None and length < least_seconds:
            report.warnings.append(
                f"{where} lasts {length:.3g} s, {least_seconds:g} s or more expected: it is not "
                "used; join it with others"
            )
        hours[f"{row.split} {row.kind}"] += length / 3600
        if row.speaker:
            splits[row.speaker].setdefault(row.split, number)
            seconds[row.split, row.speaker] += length
    for speaker, lines in splits.items():
        if len(lines) > 1:
            places = ", ".join(f"{split} (line {number})" for split, number in lines.items())
            report.problems.append(
                f"speaker {speaker!r} is in {places}: expected one split each; move the rows, or "
                "use another name if these are different people"
            )
    for (split, speaker), total in seconds.items():
        if total < 2 * least_seconds:
            report.warnings.append(
                f"speaker {speaker!r} has {total:.3g} s in {split}, {2 * least_seconds:g} s or "
                "more expected for a target and its enrollment: only mixed in as another voice"
            )
    report.hours = dict(hours)
    for split, _ in seconds:
        report.speakers[split] = report.speakers.get(split, 0) + 1


def _mixtures(rows: Sequence[Mixture], report: Report, read_all: bool) -> None:
    known: dict[Path, io.AudioInfo | None] = {}
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    hours: dict[str, float] = defaultdict(float)
    for row in rows:
        report.rows += 1
        where = f"mixture {row.id!r}"
        parts = [*row.sources, *row.enrollments, *([row.noise] if row.noise else [])]
        for path in dict.fromkeys([p.path for p in parts] + [p.room for p in parts if p.room]):
            if path not in known:
                known[path] = _look(path, f"{where}: {path}", report, read_all)
        lengths = [_span(part, known[part.path], where, report) for part in row.sources]
        seconds = min(lengths) if row.mode == "min" else max(lengths)
        hours[row.split] += seconds / 3600
        report.gigabytes += seconds * row.sample_rate * BYTES * (1 + len(row.sources)) / 1e9
        _speakers(row, where, report)
        for part in row.sources:
            if part.speaker:
                splits[part.speaker].setdefault(row.split, row.id)
    for speaker, places in splits.items():
        if len(places) > 1:
            where = ", ".join(f"{split} ({name})" for split, name in places.items())
            report.problems.append(
                f"speaker {speaker!r} is in {where}: expected one split each; split by speaker"
            )
    report.hours = dict(hours)
    for places in splits.values():
        for split in places:
            report.speakers[split] = report.speakers.get(split, 0) + 1


def _speakers(row: Mixture, where: str, report: Report) -> None:
    """A target and its enrollment are one person, in stretches that share nothing."""
    names = [part.speaker for part in row.sources if part.speaker]
    if len(set(names)) < len(names):
        report.problems.append(
            f"{where}: speakers {names}: expected different people; mend the row"
        )
    if row.target is None:
        return
    target = row.sources[row.target]
    for part in row.enrollments:
        if part.speaker and target.speaker and part.speaker != target.speaker:
            report.problems.append(
                f"{where}: target {target.speaker!r}, but the enrollment is of {part.speaker!r}: "
                "mend target or enrollment"
            )
        if part.path == target.path and _overlap(part, target):
            report.problems.append(
                f"{where}: the enrollment and the target share samples of {part.path.name}: take "
                "another recording, or mend start_s and duration_s"
            )


def _overlap(one: Part, two: Part) -> bool:
    ends = [part.start + (part.duration or float("inf")) for part in (one, two)]
    return one.start < ends[1] and two.start < ends[0]


def _look(path: Path, where: str, report: Report, read_all: bool) -> io.AudioInfo | None:
    try:
        about = io.info(path)
        if read_all:
            n = sum(len(x) for x in io.blocks(path, 10.0))
            if about.n_samples is None:  # the header of a stream does not say
                known = {**about.__dict__, "n_samples": n, "duration": n / about.sample_rate}
                about = io.AudioInfo(**known)
        return about
    except ValueError as error:
        report.problems.append(f"{where}: {error}")
        return None


def _length(row: Recording, about: io.AudioInfo | None, where: str, report: Report) -> float:
    """Seconds of a row's recording; 0 when its file cannot be read."""
    if about is None:
        return 0.0
    part = Part(path=row.path, start=row.start or 0.0, duration=row.duration)
    if row.start is not None:
        return _span(part, about, where, report)
    whole = about.duration or row.duration or 0.0
    if row.duration is not None and abs(row.duration - whole) > 0.01 + 0.001 * whole:
        report.problems.append(
            f"{where}: duration_s={row.duration:g}, but the file lasts {whole:.3f} s: mend the "
            "column, or give start_s if a part is meant"
        )
    return whole


def _span(part: Part, about: io.AudioInfo | None, where: str, report: Report) -> float:
    """Seconds until a part ends in its mixture, or in its file; 0 when it cannot be read."""
    if about is None or about.duration is None:
        return part.duration or 0.0
    rest = about.duration - part.start
    wanted = rest if part.duration is None else part.duration
    if wanted <= 0 or wanted > rest + 0.001:
        report.problems.append(
            f"{where}: {part.path.name} from {part.start:g} s for {wanted:g} s, but it lasts "
            f"{about.duration:.3f} s: mend start_s and duration_s"
        )
    return min(wanted, max(rest, 0.0)) + part.offset
