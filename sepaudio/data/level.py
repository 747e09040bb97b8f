"""Active speech level: the power of speech while someone speaks.

Source: ITU-T P.56 (12/2011), method B, behind the band limits that VOICEBOX puts before it
(200 Hz to 5.5 kHz), since the published WSJ0 mixtures were made with that tool.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MARGIN = 15.9  # active level over threshold [dB]
SMOOTH = 0.03  # of either of two poles [s]
HANGOVER = 0.2  # how long activity outlasts the envelope [s]
TAIL = 0.35  # silence appended, in which the last hangover ends [s]
N_STEPS = 20  # thresholds, 3 dB apart
EDGE = 0.39791  # stop edge over pass edge of a fifth-order filter with 0.25 dB and 50 dB


def active_level(x: NDArray[np.floating], sample_rate: int) -> float:
    """Mean power of [T] while active, as a ratio of full scale squared; 0 for silence.

    Thresholds are powers of two of the squared envelope, so that a scaled copy is measured on
    the same grid only if the scale is a power of two; else the level may differ by tenths of a dB.

    Raises:
        ValueError: x is not [T] with T > 0, or its rate leaves no room for the lower band limit.
    """
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x has shape {list(x.shape)}: expected [T], T > 0; take one channel")
    y = band_limited(np.pad(x.astype(np.float64), (0, int(TAIL * sample_rate))), sample_rate)
    energy = float(np.sum(y * y))
    if energy == 0:
        return 0.0
    pole = np.exp(-1 / (SMOOTH * sample_rate))
    envelope = lfilter([(1 - pole) ** 2], [1, -2 * pole, pole * pole], np.abs(y))
    squared = np.maximum(envelope**2, np.finfo(np.float64).tiny)
    exponent = np.frexp(squared)[1]  # squared lies between 2^(exponent - 1) and 2^exponent
    n = int(np.ceil(HANGOVER * sample_rate)) + 1
    held = maximum_filter1d(exponent, n, mode="nearest", origin=n - 1 - n // 2)
    top = int(held.max())
    counts = np.cumsum(np.bincount(np.minimum(top - held, N_STEPS - 1), minlength=N_STEPS))
    levels = 10 * np.log10(energy / counts)
    over = levels - 10 * np.log10(2) * (top - 1 - np.arange(N_STEPS)) - MARGIN
    crossed = np.flatnonzero((over[:-1] < 0) & (over[1:] >= 0))
    if len(crossed) == 0:  # over every threshold, or under all of them
        level = levels[0] if over[0] >= 0 else levels[-1]
    else:
        at = int(crossed[0])
        part = over[at] / (over[at] - over[at + 1])
        level = levels[at] + part * (levels[at + 1] - levels[at])
    return float(10 ** (level / 10))


def band_limited(x: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """x [T] between 200 Hz and, where the rate is 14 kHz or more, 5.5 kHz.

    Raises:
        ValueError: the rate is 800 Hz or less.
    """
    from scipy.signal import cheby2, sosfilt

    if sample_rate <= 800:
        raise ValueError(f"sample_rate={sample_rate}: expected more than 800 Hz; resample first")

    def edge(hz: float, ratio: float) -> float:  # where the bilinear map puts the stop edge [Hz]
        return float(sample_rate / np.pi * np.arctan(np.tan(np.pi * hz / sample_rate) * ratio))

    passes = [("high", edge(200, EDGE))]
    if sample_rate >= 14000:
        passes.append(("low", edge(5500, 1 / EDGE)))
    for kind, hz in passes:
        x = sosfilt(cheby2(5, 50, hz, kind, fs=sample_rate, output="sos"), x)
    return x
