"""What was drawn for a mixture, as a small record, and how its samples are made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import io
from .augment import Array, at_level, reverberate, rms
from .render import Example
from .shelf import Shelf

CEILING = 0.99  # no sample of a result exceeds it
Shelves = Mapping[str, Shelf]  # by kind: speech, rir, noise, music


@dataclass(frozen=True)
class Stretch:
    """Part of a recording of speech.

    Attributes:
        row: of the shelf.
        start: where in the recording it begins [samples].
        n: how much of it is read [samples].
        speed: at which it is played.
        heard: how long it then is [samples].
    """

    row: int
    start: int
    n: int
    speed: float
    heard: int


@dataclass(frozen=True)
class Bed:
    """What lies under the speakers; a recording that is too short repeats.

    Attributes:
        kind: noise or music.
        row: of that kind's shelf.
        start: where in the recording it begins [samples].
        snr_db: of all speech over it [dB].
    """

    kind: str
    row: int
    start: int
    snr_db: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """All that makes a mixture what it is, beside the shelves.

    Attributes:
        speakers: who is heard.
        enrolled: who is enrolled, "" for none.
        absent: whether the enrolled one is not among the speakers.
        length: of the mixture [samples].
        parts: what every speaker says.
        rooms: of every speaker the row of the shelf "rir", or a simulated response [T]; empty
            where there is no room.
        sir_db: of the first speaker over each other one [dB].
        offsets: where every part begins in the mixture [samples].
        beds: what lies under them.
        level_db: of the mixture, unless it would clip [dB of full scale].
        enrollment: another stretch of the enrolled speaker.
        enrollment_db: its level [dB of full scale].
    """

    speakers: tuple[str, ...]
    enrolled: str
    absent: bool
    length: int
    parts: tuple[Stretch, ...]
    rooms: tuple[int | Array, ...]
    sir_db: tuple[float, ...]
    offsets: tuple[int, ...]
    beds: tuple[Bed, ...]
    level_db: float
    enrollment: Stretch | None = None
    enrollment_db: float = 0.0

    @property
    def target(self) -> int:
        """Index of the enrolled speaker among those heard; -1 where there is none."""
        return 0 if self.enrollment and not self.absent else -1


def mixdown(drawn: Drawn, shelves: Shelves) -> Example:
    """The samples of what was drawn: mixture [T], sources [S, T], enrollment [T']."""
    speech = shelves["speech"]
    parts = [_played(speech, part) for part in drawn.parts]
    if drawn.rooms:
        responses = [_response(room, shelves) for room in drawn.rooms]
        parts = [reverberate(x, response) for x, response in zip(parts, responses, strict=True)]
    sources = _together(parts, drawn)
    mixture = sources.sum(axis=0)
    level = 20 * math.log10(max(rms(mixture), 1e-9))
    for bed in drawn.beds:
        x = shelves[bed.kind].looped(bed.row, bed.start, len(mixture))
        mixture = mixture + at_level(x, level - bed.snr_db)
    peak = max(float(np.abs(mixture).max()), float(np.abs(sources).max()), 1e-9)
    scale = min(10 ** (drawn.level_db / 20) / max(rms(mixture), 1e-9), CEILING / peak)
    reached = 20 * math.log10(max(rms(mixture) * scale, 1e-9))
    enrollment = np.zeros(0, np.float32)
    if drawn.enrollment:
        enrollment = at_level(_played(speech, drawn.enrollment), drawn.enrollment_db)
        most = max(float(np.abs(enrollment).max()), 1e-9)
        enrollment = (enrollment * min(1.0, CEILING / most)).astype(np.float32)
    return Example(
        (mixture * scale).astype(np.float32),
        (sources * scale).astype(np.float32),
        drawn.target,
        enrollment,
        speech.sample_rate,
        {**told(drawn, shelves), "level_db": reached},
    )


def told(drawn: Drawn, shelves: Shelves) -> dict[str, Any]:
    """What was drawn in plain values: names, files, seconds and dB."""
    speech = shelves["speech"]
    about: dict[str, Any] = {
        "speakers": list(drawn.speakers),
        "enrolled": drawn.enrolled,
        "absent": drawn.absent,
        "from": [_place(speech, part) for part in drawn.parts],
        "speeds": [part.speed for part in drawn.parts],
    }
    if drawn.enrollment:
        about["enrollment"] = _place(speech, drawn.enrollment)
    if drawn.rooms:
        about["room"] = True
    about["sir_db"] = list(drawn.sir_db)
    about["offsets_s"] = [offset / speech.sample_rate for offset in drawn.offsets]
    for bed in drawn.beds:
        path = shelves[bed.kind].rows[bed.row].path
        about[bed.kind] = {"from": str(path), "snr_db": bed.snr_db}
    return about


def lasts(n: int, from_rate: int, to_rate: int) -> int:
    """How many samples `io.resample` makes of n."""
    return n if from_rate == to_rate else max(1, int(n * (to_rate / from_rate) + 0.5))


def _played(speech: Shelf, part: Stretch) -> Array:
    x, rate = speech.take(part.row, part.start, part.n), speech.sample_rate
    return x if part.speed == 1 else io.resample(x, round(rate * part.speed), rate)


def _response(room: int | Array, shelves: Shelves) -> Array:
    return shelves["rir"].take(room) if isinstance(room, int) else room


def _together(parts: list[Array], drawn: Drawn) -> Array:
    """Parts [t] of any length -> sources [S, T], the others relative to the first."""
    n = drawn.length
    sources = np.zeros((len(parts), n), np.float32)
    first = max(rms(parts[0][:n]), 1e-9)
    for i, (part, offset) in enumerate(zip(parts, drawn.offsets, strict=True)):
        x, gain = part[:n], 1.0
        if i > 0:
            gain = first / max(rms(x), 1e-9) * 10 ** (-drawn.sir_db[i - 1] / 20)
        sources[i, offset : offset + len(x)] = gain * x
    return sources


def _place(speech: Shelf, part: Stretch) -> dict[str, Any]:
    row, rate = speech.rows[part.row], speech.sample_rate
    begin = (row.start or 0.0) + part.start / rate
    place = {"path": str(row.path), "start_s": begin, "duration_s": part.n / rate}
    # in another manner a recording has another length, which these seconds are of
    return {**place, "manner": row.manner} if row.manner else place
