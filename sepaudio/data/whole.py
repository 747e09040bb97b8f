"""Whole recordings as SwishNet's authors prepare theirs: without silence, at one loudness.

Both look at all of a recording before anything is said of it, so that a model which hears a stream
cannot have them: they are for training and testing to the letter of the paper.

Source: Hussain & Haque 2018 (1812.00149), section on data, with the numbers of the first author's
code: what is 40 dB below the peak is silence, in frames of 400 by 160 samples at 16 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .augment import Array
from .denoise import log_mmse

FRAME, HOP = 0.025, 0.01  # [s] of the splitter
STEP = 0.01  # [s] between windows of loudness
LOUDNESS = {"paper": 0.25, "author": 0.2, "none": 0.0}  # [s]
QUIETEST = 1e-3  # a window counts as no quieter than this share of the recording's deviation


@dataclass(frozen=True, kw_only=True)
class CutCfg:
    """Clips of one length, cut from recordings without silence and at one loudness.

    Attributes:
        seconds: of a clip; 0 where clips come from the augmented bank instead.
        overlap: share of a clip that the next one repeats.
        silence_db: what lies so far below a recording's peak is silence [dB].
        loudness: windows in which it is made equal: a key of LOUDNESS, "paper" for 250 ms,
            "author" for the 200 ms of the first author's code, "none" for leaving it.
        denoise: take steady noise out first, see `denoise.log_mmse`.
        standardize: measure mean and deviation of every feature first, and make them 0 and 1; the
            authors do not, but networks that normalise themselves need it.
    """

    seconds: float = 0.0
    overlap: float = 0.5
    silence_db: float = 40.0
    loudness: str = "paper"
    denoise: bool = False
    standardize: bool = False

    def __post_init__(self) -> None:
        if self.seconds < 0 or not 0 <= self.overlap < 1 or not self.silence_db > 0:
            raise ValueError(
                f"seconds={self.seconds}, overlap={self.overlap}, silence_db={self.silence_db}: "
                "expected 0 or more, 0 to less than 1, and more than 0"
            )
        if self.loudness not in LOUDNESS:
            raise ValueError(f"loudness={self.loudness!r}: expected one of {', '.join(LOUDNESS)}")


def parted(
    x: Array, sample_rate: int, silence_db: float = CutCfg.silence_db
) -> tuple[Array, list[Array]]:
    """x [T] -> what sounds in it, one after the other [T'], and its silences, which are kept apart.

    Raises:
        ValueError: all of it is digital silence.
        ImportError: librosa, whose splitter it is, is not installed.
    """
    try:
        from librosa.effects import split
    except ImportError as error:
        raise ImportError(
            "taking silence out needs librosa: pip install 'sepaudio[train]'"
        ) from error
    if not np.any(x):
        raise ValueError("nothing but digital silence: expected a recording of something")
    frame, hop = round(FRAME * sample_rate), round(HOP * sample_rate)
    sounds = split(x, top_db=silence_db, frame_length=frame, hop_length=hop)
    edges = [0, *sounds.ravel().tolist(), len(x)]
    gaps = [x[a:b] for a, b in list(pairwise(edges))[::2] if b > a]
    return np.concatenate([x[a:b] for a, b in sounds]), gaps


def equalised(x: Array, sample_rate: int, window: float = LOUDNESS["paper"]) -> Array:
    """x [T] with every window of it divided by its own deviation, overlapping ones averaged.

    Windows start every 10 ms. As each sample is divided by something that changes every 10 ms
    alone, the result is x times a stairway of mean gains. Its deviation is about one.

    Args:
        x: without digital silence as a whole.
        sample_rate: [Hz].
        window: [s]; 0 leaves x as it is.
    """
    if not window:
        return x
    step = round(STEP * sample_rate)
    n = round(window * sample_rate / step)  # steps in a window
    deviation = max(float(np.std(x, dtype=np.float64)), 1e-30)
    blocks = len(x) // step
    if blocks <= n:
        return np.asarray(x / deviation, np.float32)
    wide = x[: blocks * step].astype(np.float64).reshape(blocks, step)
    mean, square = (_means(part.mean(axis=1), n) for part in (wide, wide**2))
    quiet = np.sqrt(np.maximum(square - mean**2, 0))
    gains = 1 / np.maximum(quiet, QUIETEST * deviation)  # of every window
    total = np.concatenate([[0.0], np.cumsum(gains)])
    block = np.arange(blocks)
    first, last = np.maximum(block - n + 1, 0), np.minimum(block, len(gains) - 1) + 1
    each = (total[last] - total[first]) / (last - first)
    stairs = np.repeat(each, step)
    stairs = np.concatenate([stairs, np.full(len(x) - len(stairs), each[-1])])
    return np.asarray(x * stairs, np.float32)


def _means(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Means of n neighbours in [N], [N - n + 1]."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(x, n).mean(axis=1))


def prepared(x: Array, sample_rate: int, cfg: CutCfg) -> Array:
    """x [T] without silence and at one loudness, [T'].

    Raises:
        ValueError: all of it is digital silence.
        ImportError: librosa is not installed.
    """
    if cfg.denoise and np.any(x):
        x = log_mmse(x, sample_rate)
    sound, _ = parted(x, sample_rate, cfg.silence_db)
    return equalised(sound, sample_rate, LOUDNESS[cfg.loudness])


def starts(frames: int, size: int, overlap: float) -> list[int]:
    """Where clips of `size` frames begin in so many; the last one ends where the recording ends.

    >>> starts(500, 200, 0.5)
    [0, 100, 200, 300]
    >>> starts(430, 200, 0.5), starts(90, 200, 0.5)
    ([0, 100, 200, 230], [0])
    """
    last = max(frames - size, 0)
    found = list(range(0, last + 1, max(size - round(size * overlap), 1)))
    return found if found[-1] == last else [*found, last]


def clip(features: NDArray[np.floating], start: int, size: int) -> NDArray[np.float32]:
    """The clip [F, size] of a recording's features [L, F]; what is missing in front comes round."""
    x = features[start : start + size]
    if len(x) < size:
        x = np.pad(x, ((size - len(x), 0), (0, 0)), mode="wrap")
    return np.ascontiguousarray(x.T, np.float32)
