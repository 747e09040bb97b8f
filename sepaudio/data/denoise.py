"""Steady noise taken out of whole recordings, as SwishNet's authors do with GTZAN's.

Source: Ephraim & Malah 1985, "Speech enhancement using a minimum mean-square error log-spectral
amplitude estimator" (10.1109/TASSP.1985.1164550), eq. 20, and the decision-directed prior of their
paper of 1984, eq. 51; where both are silent about frames and noise, what is usual with it: 20 ms,
half overlapping, noise from the first 120 ms and wherever the likelihood ratio finds no speech
(Sohn, Kim & Sung 1999, eq. 5, threshold 0.15).
"""

from __future__ import annotations

import numpy as np

from .augment import Array

FRAME = 0.02  # [s]
FIRST = 6  # frames without speech
KEPT = 0.98  # of the estimate before, for the prior and for noise
LEAST_PRIOR, MOST_POSTERIOR = 10**-2.5, 40.0
THRESHOLD = 0.15  # mean log likelihood ratio below which a frame is noise
TINY = 1e-20


def log_mmse(x: Array, sample_rate: int) -> Array:
    """x [T] with steady noise taken out, [T].

    Args:
        x: begins with some noise alone.
        sample_rate: [Hz].

    Raises:
        ImportError: scipy is not installed.
    """
    try:
        from scipy.special import exp1
    except ImportError as error:
        raise ImportError("taking noise out needs scipy: pip install 'sepaudio[train]'") from error
    hop = round(FRAME * sample_rate / 2)
    size = 2 * hop
    window = np.hanning(size + 1)[:-1]  # neighbours add up to one
    padded = np.pad(x.astype(np.float64), (hop, size + -len(x) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    spec = np.fft.rfft(frames * window, 2 * size, axis=1)  # [L, bins]
    power = np.abs(spec) ** 2
    noise = np.maximum(power[1 : FIRST + 1].mean(axis=0), TINY)  # the first frame is half empty
    before = None
    out = np.zeros(len(padded) + size)
    for i, (bins, energy) in enumerate(zip(spec, power, strict=True)):
        posterior = np.minimum(energy / noise, MOST_POSTERIOR)
        now = np.maximum(posterior - 1, 0)
        past = 1.0 if before is None else before / noise
        prior = np.maximum(KEPT * past + (1 - KEPT) * now, LEAST_PRIOR)
        ratio = posterior * prior / (1 + prior) - np.log1p(prior)
        if ratio.mean() < THRESHOLD:
            noise = np.maximum(KEPT * noise + (1 - KEPT) * energy, TINY)
        gain = gain_of(prior, posterior, exp1)
        before = gain**2 * energy
        out[i * hop : i * hop + 2 * size] += np.fft.irfft(gain * bins, 2 * size)
    return np.asarray(out[hop : hop + len(x)], np.float32)


def gain_of(prior: np.ndarray, posterior: np.ndarray, exp1: np.ufunc) -> np.ndarray:
    """Gain of every bin by its ratios of signal to noise, expected and observed."""
    part = prior / (1 + prior)
    return np.asarray(part * np.exp(0.5 * exp1(np.maximum(part * posterior, 1e-10))))
