"""A picture of a timeline: spectrogram and waveform above what was heard when."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import doors, files
from ..data.timeline import Timeline
from .given import Array
from .report import COLOURS, check_plot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = 1200  # at most, whatever the duration
SIZE, HOP = 512, 160  # [samples] of a frame of the spectrogram
RANGE = 80.0  # [dB] below its loudest point
FIRST = ("speech", "music", "noise")  # have the same colours in every picture
STEPS = (30, 60, 120, 300, 600, 1200, 3600)  # [s] between the labels of a long time
QUIET = "0.75"  # the grey of silence


def draw(path: str | Path, timeline: Timeline, blocks: Iterable[Array], sample_rate: int) -> None:
    """Draw a timeline under the sound it is of, read block by block.

    Args:
        path: of the picture: .png, .pdf or .svg.
        timeline: with segments.
        blocks: the same recording [T], all of it.
        sample_rate: of the blocks [Hz].

    Raises:
        ValueError: the suffix is no known format, or there is no segment.
        ImportError: matplotlib is not installed.
    """
    check_plot(path)
    if not timeline.segments:
        raise ValueError(f"{timeline.file or 'the timeline'} has no segments: expected some")
    n_samples = max(round(timeline.seconds * sample_rate), 1)
    power, low, high = summary(blocks, n_samples)
    figure = doors.matplotlib().figure.Figure(figsize=(11, 6), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.5, 1.5))
    extent = (0, timeline.seconds, 0, sample_rate / 2000)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    top = float(level.max())
    look = {"cmap": "magma", "vmin": -RANGE, "vmax": 0, "interpolation": "nearest"}
    image = above.imshow(level - top, origin="lower", aspect="auto", extent=extent, **look)
    figure.colorbar(
        image, ax=[above, middle, below], label="level, the loudest at 0 [dB]", aspect=50
    )
    above.set(ylabel="frequency [kHz]")
    above.set_title(files.name(timeline.file), parse_math=False)
    at = (np.arange(len(low)) + 0.5) * timeline.seconds / len(low)
    middle.fill_between(at, low, high, color="0.3", linewidth=0.5)
    middle.set(ylabel="amplitude")
    _bars(below, timeline)
    _time(below, timeline.seconds)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _time(axes: Any, seconds: float) -> None:
    """Label the time, that of long recordings in whole minutes."""
    long = seconds >= 120
    if long:
        step = next((s for s in STEPS if seconds <= 10 * s), STEPS[-1])
        ticks = np.arange(0, seconds, step)
        axes.set_xticks(ticks, [f"{int(t // 60)}:{int(t % 60):02}" for t in ticks])
    axes.set(xlabel=f"time [{'min:s' if long else 's'}]", xlim=(0, seconds))


def summary(blocks: Iterable[Array], n_samples: int) -> tuple[Floats, Floats, Floats]:
    """A recording of any length in N columns of equal time.

    Returns:
        Mean power [F, N] of the frames that begin in each column, its least and its largest sample
        [N]. What lies beyond `n_samples` counts to the last column.
    """
    n = max(min(COLUMNS, n_samples // HOP), 1)
    power, frames = np.zeros((n, SIZE // 2 + 1)), np.zeros(n)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    at, rest = 0, np.zeros(0, np.float32)

    def add(x: Array) -> int:
        """Take in the frames that are complete; how many samples are done with."""
        if (count := (len(x) - SIZE) // HOP + 1) < 1:
            return 0
        cut = np.lib.stride_tricks.sliding_window_view(x, SIZE)[::HOP]
        column = (at - len(rest) + np.arange(count) * HOP) * n // n_samples
        column = np.minimum(column, n - 1)
        spectra = np.abs(np.fft.rfft(cut * np.hanning(SIZE))) ** 2
        starts, spots = _stretches(column)
        power[spots] += np.add.reduceat(spectra, starts, axis=0)
        frames[:] += np.bincount(column, minlength=n)
        return count * HOP

    for block in blocks:
        column = np.minimum((at + np.arange(len(block))) * n // n_samples, n - 1)
        starts, spots = _stretches(column)
        low[spots] = np.minimum(low[spots], np.minimum.reduceat(block, starts))
        high[spots] = np.maximum(high[spots], np.maximum.reduceat(block, starts))
        rest = np.concatenate([rest, block])
        at += len(block)
        rest = rest[add(rest) :]
    add(np.pad(rest, (0, SIZE)))  # the rest is filled up with silence
    return power.T / np.maximum(frames, 1), low, high


def _stretches(column: Ints) -> tuple[Ints, Ints]:
    """Where each stretch of one column begins, and which column it is."""
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    return starts, column[starts]


def _bars(axes: Any, timeline: Timeline) -> None:
    """A row for every label, silence below; the paler, the less probable."""
    labels = sorted(
        {s.label for s in timeline.segments}, key=lambda name: (name != "silence", name)
    )
    sounds = [*FIRST, *(name for name in labels if name not in (*FIRST, "silence"))]
    for s in timeline.segments:
        colour = COLOURS[sounds.index(s.label) % len(COLOURS)] if s.label in sounds else QUIET
        sure = 1.0 if s.probability is None else 0.25 + 0.75 * s.probability
        spot = (s.start, s.end - s.start)
        axes.broken_barh([spot], (labels.index(s.label) - 0.4, 0.8), color=colour, alpha=sure)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_title("paler: less probable", fontsize="small", loc="right", pad=2)
