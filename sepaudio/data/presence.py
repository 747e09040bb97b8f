"""Where in a recording an enrolled speaker is heard, from how likely it is in each window.

Windows overlap by half. Nobody comes and goes from window to window, so that each says something of
those around it, too (`lasting`). A stretch stays where any window over it may hold the speaker; the
rest becomes true silence, faded over a few milliseconds (`silenced`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FADE = 0.02  # [s]
TURN = 6.0  # [s] a speaker is there, or is not, for so long on the mean


def windows(n: int, size: int) -> list[int]:
    """Where windows of `size` samples begin that cover n samples and overlap by half or more."""
    last = max(n - size, 0)
    return [*range(0, last, max(size // 2, 1)), last]


def lasting(probabilities: Array, n: int, size: int, rate: int) -> Array:
    """The probability of each window given all of them [W], as presence and absence last.

    Presence is a chain of two states, which changes at random every `TURN` seconds on the mean;
    the probabilities are what it is seen by, one window after the other. What two windows hear
    both counts once: the log-odds have the weight that n samples have among those of all windows.

    Source: Rabiner 1989, "A tutorial on hidden Markov models", III B (forward and backward).

    Args:
        probabilities: [W] of `windows(n, size)`, each by itself.
        n: samples of the recording.
        size: of a window [samples].
        rate: [Hz]
    """
    starts = np.asarray(windows(n, size))
    known = np.clip(probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
    told = np.log(known / (1 - known)) * n / (size * len(starts))
    moves = np.exp(-2 * np.diff(starts) / (rate * TURN))  # 1: as before; 0: forgotten
    before, after = _carried(told, moves), _carried(told[::-1], moves[::-1])[::-1]
    return np.asarray(1 / (1 + np.exp(-(before + told + after))), np.float32)


def _carried(told: Any, moves: Any) -> Any:
    """What windows before each say of it [log-odds]."""
    carried = np.zeros(len(told))
    for i, move in enumerate(moves):
        # the probability shrinks towards a half by `move`, so its tanh of half the log-odds does
        carried[i + 1] = 2 * np.arctanh(move * np.tanh((carried[i] + told[i]) / 2))
    return carried


def stays(n: int, probabilities: Array, size: int, least: float) -> NDArray[np.bool_]:
    """Which of n samples a window lies over that is as probable as `least`: [n]."""
    found = np.zeros(n, dtype=bool)
    for start, probability in zip(windows(n, size), probabilities, strict=True):
        found[start : start + size] |= bool(probability >= least)
    return found


def silenced(estimate: Array, probabilities: Array, size: int, rate: int, least: float) -> Array:
    """estimate [T] with silence where no window is as probable as `least`.

    Args:
        estimate: [T]
        probabilities: [W] of `windows(T, size)`.
        size: of a window [samples].
        rate: [Hz]
        least: probability.
    """
    kept = stays(len(estimate), probabilities, size, least)
    if kept.all():
        return estimate
    half = round(FADE / 2 * rate)
    ramp = np.hanning(2 * half + 3)[1:-1]
    gain = np.convolve(np.pad(kept, half, mode="edge"), ramp / ramp.sum(), mode="valid")
    faded: Array = (estimate * gain).astype(np.float32)
    return faded
