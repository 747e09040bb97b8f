"""A row of a list of mixtures becomes samples; lists of published sets give those sets' samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .. import io
from .augment import reverberate
from .mixtures import RULES, Mixture, Part

Array = NDArray[np.float32]
Reader = Callable[[Path], tuple[Array, int]]


@dataclass(frozen=True)
class Example:
    """A mixture and what it is made of.

    Attributes:
        mixture: [T].
        sources: [S, T], as loud as they are in the mixture.
        target: index of the source to extract; -1 when the enrolled speaker is absent, or when
            there is nothing to extract.
        enrollment: [T'] of the target, empty when there is none.
        sample_rate: [Hz].
        drawn: plain values that say how it came about, among them "speakers", names or ""; of a
            list's mixtures "spans" are start and stop of every source in samples, beyond which it
            is padding.
    """

    mixture: Array
    sources: Array
    target: int
    enrollment: Array
    sample_rate: int
    drawn: dict[str, Any]


def voices(speakers: Iterable[str], speeds: Iterable[float]) -> list[int]:
    """A number above 0 for each voice, always the same; 0 where the speaker has no name.

    A speaker who is played faster sounds like somebody else, and is.
    """
    named = zip(speakers, speeds, strict=True)
    return [crc32(f"{name} {speed:g}".encode()) + 1 if name else 0 for name, speed in named]


def first_channel(path: Path) -> tuple[Array, int]:
    """The first channel [T] of a file and its rate [Hz]."""
    return io.read(path, channel=0)


def render(row: Mixture, reader: Reader = first_channel, enrollment: int = 0) -> Example:
    """Make a mixture; a pure function of the row and the files it names.

    Args:
        row: the mixture.
        reader: gives the samples [T] and the rate [Hz] of a file; must not change them.
        enrollment: which of the row's enrollments to take.

    Raises:
        AudioError: a file cannot be read.
        ValueError: a part lies outside its file.
    """
    rules, rate = RULES[row.rules], row.sample_rate
    read = [_cut(part, reader) for part in row.sources]
    parts = [
        _place(x, own, part, row, reader) for (x, own), part in zip(read, row.sources, strict=True)
    ]
    noise = None
    if row.noise is not None:
        x, own = _cut(row.noise, reader)
        needed = max(
            -(-len(y) * own // its) + round(part.offset * own)
            for (y, its), part in zip(read, row.sources, strict=True)
        )
        noise = _place(extend(x, needed, own), own, row.noise, row, reader)
    ends = [len(x) for x in parts] + ([] if noise is None else [len(noise)])
    n = min(ends) if row.mode == "min" else max(ends)
    starts = [round(part.offset * rate) for part in row.sources]
    spans = [[min(start, n), min(len(x), n)] for start, x in zip(starts, parts, strict=True)]
    sources = np.stack([_fit(x, n) for x in parts])
    mixture = np.zeros_like(sources[0])
    for x in [*sources, *([] if noise is None else [_fit(noise, n)])]:
        mixture += x
    enrolled = np.zeros(0, mixture.dtype)
    if row.enrollments:
        part = row.enrollments[enrollment]
        enrolled = _place(*_cut(part, reader), part, row, reader)
    scale = row.scale
    if rules.peak is not None:
        heard = [mixture, sources, *([enrolled] if rules.peak_of_enrollment else [])]
        scale *= rules.peak / max(max(float(np.abs(x).max()) for x in heard if x.size), 1e-9)
    if scale != 1:
        mixture, sources = mixture * scale, sources * scale
        enrolled = enrolled * scale if rules.peak_of_enrollment else enrolled
    made = [_steps(x, rules.steps) for x in (mixture, sources, enrolled)]
    target = -1 if row.target is None else row.target
    enrolled_by = enrollment if row.enrollments else None
    speakers = [part.speaker for part in row.sources]
    drawn = {"id": row.id, "enrollment": enrolled_by, "spans": spans, "speakers": speakers}
    return Example(made[0], made[1], target, made[2], rate, drawn)


def extend(noise: Array, n: int, sample_rate: int) -> Array:
    """The first n samples of [T], which repeats with cross-fades of half a second if it is short.

    The fades are halves of a Hann window of one second; noise shorter than that repeats as it is.
    """
    fade = np.hanning(sample_rate + 1)[: sample_rate // 2 + 1]
    size = len(fade)
    if len(noise) <= size:
        return np.resize(noise, n)
    y = noise
    while len(y) < n:
        seam = y[-size:] * fade[::-1] + noise[:size] * fade  # in float64, as the published sets
        y = np.concatenate([y[:-size], seam, noise[size:]])
    return y[:n]


def _cut(part: Part, reader: Reader) -> tuple[Array, int]:
    """The samples [T] that a part takes of its file, and their rate [Hz]."""
    x, rate = reader(part.path)
    start = round(part.start * rate)
    stop = len(x) if part.duration is None else start + round(part.duration * rate)
    if not start < stop <= len(x):
        end = "" if part.duration is None else f" to {part.start + part.duration:g} s"
        raise ValueError(
            f"{part.path}: from {part.start:g} s{end}, expected a part of its {len(x) / rate:g} s; "
            "mend start_s and duration_s"
        )
    return x[start:stop], rate


def _place(x: Array, own: int, part: Part, row: Mixture, reader: Reader) -> Array:
    """Samples [T] at their own rate -> as they are heard in the mixture, at its rate."""
    rules, rate = RULES[row.rules], row.sample_rate
    if not rules.double:
        x = x * part.gain
    if rules.poly:
        x = poly(x, own, rate)
    elif own != rate:
        x = io.resample(x, own, rate)
    if rules.double:
        x = np.multiply(x, part.gain, dtype=np.float64)
    if part.room is not None:
        response, of = reader(part.room)
        x = reverberate(x, io.resample(response, of, rate))
    return np.pad(x, (round(part.offset * rate), 0)) if part.offset else x


def poly(x: Array, own: int, rate: int) -> Array:
    """x [T] from one rate to another [Hz], by SciPy's polyphase filter with its default window."""
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(x, rate, own))


def _fit(x: Array, n: int) -> Array:
    return x[:n] if len(x) >= n else np.pad(x, (0, n - len(x)))


def _steps(x: Array, how: str) -> Array:
    if how:
        steps = np.floor(x * 32768.0) if how == "floor" else np.round(x * 32768.0)
        x = np.clip(steps, -32768, 32767) / 32768.0
    return x.astype(np.float32)
