"""Where in a recording the enrolled speaker is heard, and silence where not.

The recording is judged in windows as long as the extractor was calibrated for, which overlap by
half. A stretch stays where any window over it may hold the speaker; the rest becomes true silence,
faded over a few milliseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .given import Array

FADE = 0.02  # [s]
BATCH = 16  # windows at once


def where_present(
    net: Any, mixture: Array, estimate: Array, embedding: Any, least: float | None = None
) -> tuple[Array, Array]:
    """The estimate with silence where the speaker is not, and the probability of each window.

    Args:
        net: an extractor; one that judges no presence gives the estimate back, and no window.
        mixture: [T] at the model's rate.
        estimate: [T]
        embedding: of the speaker.
        least: probability below which a window becomes silence; 0 keeps all, None takes the
            model's own.
    """
    if not net.cfg.presence:
        return estimate, np.zeros(0, np.float32)
    least = net.cfg.least_presence if least is None else least
    size = min(round(net.cfg.presence * net.sample_rate), len(mixture))
    found = presence(net, mixture, embedding)
    return silenced(estimate, found, size, int(net.sample_rate), least), found


def windows(n: int, size: int) -> list[int]:
    """Where windows of `size` samples begin that cover n samples and overlap by half or more."""
    last = max(n - size, 0)
    return [*range(0, last, max(size // 2, 1)), last]


def presence(net: Any, mixture: Array, embedding: Any) -> Array:
    """How likely the speaker is in each of `windows`: mixture [T] -> [W].

    Every window is heard by itself, as those that it was calibrated on.
    """
    import torch

    like = next(net.parameters())
    size = min(round(net.cfg.presence * net.sample_rate), len(mixture))
    starts, found = windows(len(mixture), size), []
    for first in range(0, len(starts), BATCH):
        some = [mixture[start : start + size] for start in starts[first : first + BATCH]]
        with torch.inference_mode():
            told = net.presence(torch.from_numpy(np.stack(some)).to(like), embedding)
        found.append(told.float().cpu().numpy())
    return np.concatenate(found)


def silenced(estimate: Array, probabilities: Array, size: int, rate: int, least: float) -> Array:
    """estimate [T] with silence where no window is as probable as `least`.

    Args:
        estimate: [T]
        probabilities: [W] of `windows(T, size)`.
        size: of a window [samples].
        rate: [Hz]
        least: probability.
    """
    n = len(estimate)
    stays = np.zeros(n, dtype=bool)
    for start, probability in zip(windows(n, size), probabilities, strict=True):
        stays[start : start + size] |= bool(probability >= least)
    if stays.all():
        return estimate
    half = round(FADE / 2 * rate)
    ramp = np.hanning(2 * half + 3)[1:-1]
    gain = np.convolve(np.pad(stays, half, mode="edge"), ramp / ramp.sum(), mode="valid")
    faded: Array = (estimate * gain).astype(np.float32)
    return faded
