"""Where in a recording the enrolled speaker is heard, and silence where not.

The recording is judged in windows as long as the extractor was calibrated for; what follows from
them is told by `sepaudio.data.presence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.presence import lasting, silenced, stays, windows
from .given import Array

BATCH = 16  # windows at once


@dataclass(frozen=True)
class Heard:
    """How likely the enrolled speaker is in each window of a recording.

    Attributes:
        starts: [W] of the windows [s]; they overlap by half or more.
        seconds: length of a window [s].
        presence: [W] from 0 to 1, calibrated.
        least: probability below which a window becomes silence.
        kept: how much of the recording does not become silence [s].
    """

    starts: tuple[float, ...]
    seconds: float
    presence: Array
    least: float
    kept: float


def where_present(
    net: Any, mixture: Array, estimate: Array, embedding: Any, least: float | None = None
) -> tuple[Array, Heard | None]:
    """The estimate with silence where the speaker is not, and what was heard of it.

    Args:
        net: an extractor; one that judges no presence gives the estimate back, and None.
        mixture: [T] at the model's rate.
        estimate: [T]
        embedding: of the speaker.
        least: probability below which a window becomes silence; 0 keeps all, None takes the
            model's own.
    """
    if not net.cfg.presence:
        return estimate, None
    least = net.cfg.least_presence if least is None else least
    n, rate = len(mixture), int(net.sample_rate)
    size = min(round(net.cfg.presence * rate), n)
    found = lasting(each_window(net, mixture, embedding), n, size, rate)
    kept = float(stays(n, found, size, least).sum()) / rate
    starts = tuple(start / rate for start in windows(n, size))
    heard = Heard(starts, size / rate, found, least, kept)
    return silenced(estimate, found, size, rate, least), heard


def each_window(net: Any, mixture: Array, embedding: Any) -> Array:
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
