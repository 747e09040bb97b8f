"""What is wrong with a manifest or a list of mixtures, row by row, before training starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
        unreadable: those of the problems because of which a row's samples cannot be had.
        warnings: what is unusual, but may be meant.
        rows: how many were looked at.
        hours: of audio, by split and kind ("train speech"), or of mixtures, by split.
        speakers: how many, by split.
        gigabytes: that a shelf of the audio takes at `sample_rate`, in memory or on disk; for
            mixtures, what they would take as 16-bit files with their sources.
    """

    problems: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
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

    def lost(self, text: str) -> None:
        """Add a problem that leaves a row without samples."""
        self.problems.append(text)
        self.unreadable.append(text)


def validate(
    path: str | Path,
    *,
    sample_rate: int | None = None,
    least_seconds: float = 1.0,
    read_all: bool = False,
    refused_speakers: Sequence[str] = (),
    used: Callable[[Recording], bool] | None = None,
) -> Report:
    """Look at a manifest or, by its columns, at a list of mixtures.

    Args:
        path: the CSV file.
        sample_rate: that a model wants [Hz]; lower ones are named and sizes are of this one.
        least_seconds: a shorter recording is named, and a speaker with less than twice as much.
        read_all: decode every file, which finds damage and NaN behind the header.
        refused_speakers: beginnings of names that stand for more than one person.
        used: of a manifest's rows, which ones to look at; all when None.
    """
    path = Path(path)
    look = _Look(Report(), sample_rate, least_seconds, read_all, tuple(refused_speakers))
    try:
        with path.open(encoding="utf-8-sig") as file:
            is_list = "mixture_id" in file.readline()
    except (OSError, UnicodeDecodeError) as error:
        look.report.lost(f"{path} cannot be read ({error}): expected a CSV file")
        return look.report
    bad: list[str] = []
    try:
        if is_list:
            _mixtures(mixtures.numbered(path, bad), look)
        else:
            rows = manifest.numbered(path, bad)
            _recordings([(n, row) for n, row in rows if used is None or used(row)], look)
    except ValueError as error:
        bad.append(str(error))
    if not look.report.rows and not bad and used is None:
        bad.append("no rows: expected one for every recording or mixture")
    for text in bad:
        look.report.lost(text)
    return look.report


@dataclass
class _Look:
    """How to look, what was found, and the files that were seen already."""

    report: Report
    sample_rate: int | None
    least_seconds: float
    read_all: bool
    refused_speakers: tuple[str, ...]
    seen: dict[Path, io.AudioInfo | None] = field(default_factory=dict)

    def at(self, path: Path, where: str) -> io.AudioInfo | None:
        """What the header says; None where the file cannot be read, which is said once."""
        if path not in self.seen:
            try:
                self.seen[path] = _decoded(path) if self.read_all else io.info(path)
            except ValueError as error:
                self.seen[path] = None
                self.report.lost(f"{where}: {error}")
        return self.seen[path]


def _recordings(rows: Sequence[tuple[int, Recording]], look: _Look) -> None:
    report, hours = look.report, defaultdict[str, float](float)
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    first: dict[tuple[Path, float | None], int] = {}
    for number, row in rows:
        report.rows += 1
        where = f"line {number} ({row.path.name})"
        if first.setdefault((row.path, row.start), number) != number:
            line = first[row.path, row.start]
            report.problems.append(f"{where} is also line {line}: remove one")
        length = _recording(row, where, look)
        hours[f"{row.split} {row.kind}"] += length / 3600
        if row.speaker and not row.speaker.startswith(look.refused_speakers):
            splits[row.speaker].setdefault(row.split, f"line {number}")
            seconds[row.split, row.speaker] += length
    remedy = "move the rows, or use another name if these are different people"
    _one_split_each(splits, report, remedy)
    least = 2 * look.least_seconds
    for (split, speaker), total in seconds.items():
        if total < least:
            report.warnings.append(
                f"speaker {speaker!r} has {total:.3g} s in {split}, {least:g} s or "
                "more expected for a target and its enrollment: only mixed in as another voice"
            )
    report.hours = dict(hours)


def _recording(row: Recording, where: str, look: _Look) -> float:
    """Look at one row; gives its seconds, 0 when its file cannot be read."""
    report, rate, about = look.report, look.sample_rate, look.at(row.path, where)
    if about is None:
        return 0.0
    length = _length(row, about, where, report)
    if row.sample_rate not in (None, about.sample_rate):
        report.problems.append(
            f"{where}: sample_rate={row.sample_rate}, but the file has "
            f"{about.sample_rate} Hz: mend the column"
        )
    if rate is not None and about.sample_rate < rate:
        report.warnings.append(
            f"{where} is {about.sample_rate} Hz, {rate} Hz expected: it lacks the "
            "upper band; leave it out or train at the lower rate"
        )
    if row.speaker and length < look.least_seconds:
        report.warnings.append(
            f"{where} lasts {length:.3g} s, {look.least_seconds:g} s or more expected: it is not "
            "used; join it with others"
        )
    report.gigabytes += length * (rate or about.sample_rate) * BYTES / 1e9
    return length


def _mixtures(rows: Sequence[tuple[int, Mixture]], look: _Look) -> None:
    report, hours = look.report, defaultdict[str, float](float)
    splits: dict[str, dict[str, str]] = defaultdict(dict)
    for number, row in rows:
        report.rows += 1
        where = f"line {number} (mixture {row.id!r})"
        parts = [*row.sources, *row.enrollments, *([row.noise] if row.noise else [])]
        for path in dict.fromkeys([p.path for p in parts] + [p.room for p in parts if p.room]):
            look.at(path, where)
        lengths = [_span(part, look.seen[part.path], where, report) for part in row.sources]
        seconds = min(lengths) if row.mode == "min" else max(lengths)
        hours[row.split] += seconds / 3600
        report.gigabytes += seconds * row.sample_rate * BYTES * (1 + len(row.sources)) / 1e9
        _speakers(row, where, report)
        for part in row.sources:
            if part.speaker:
                splits[part.speaker].setdefault(row.split, f"line {number}")
    _one_split_each(splits, report, "split by speaker")
    report.hours = dict(hours)


def _one_split_each(splits: dict[str, dict[str, str]], report: Report, remedy: str) -> None:
    """Name the speakers of several splits, and count those of each."""
    for speaker, places in splits.items():
        if len(places) > 1:
            named = ", ".join(f"{split} ({where})" for split, where in places.items())
            report.problems.append(
                f"speaker {speaker!r} is in {named}: expected one split each; {remedy}"
            )
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


def _decoded(path: Path) -> io.AudioInfo:
    """What the header says, after all samples were read."""
    about, n = io.info(path), sum(len(x) for x in io.blocks(path, 10.0))
    if about.n_samples is None:  # the header of a stream does not say
        return replace(about, n_samples=n, duration=n / about.sample_rate)
    return about


def _length(row: Recording, about: io.AudioInfo, where: str, report: Report) -> float:
    """Seconds of a row's recording."""
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
        report.lost(
            f"{where}: {part.path.name} from {part.start:g} s for {wanted:g} s, but it lasts "
            f"{about.duration:.3f} s: mend start_s and duration_s"
        )
    return min(wanted, max(rest, 0.0)) + part.offset
