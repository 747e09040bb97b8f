"""Where in a recording the enrolled speaker is heard, and silence where not.

The recording is judged in windows as long as the extractor was calibrated for; what follows from
them is told by `sepaudio.data.presence`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.presence import lasting, silenced, windows
from .given import Array

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
    found = lasting(presence(net, mixture, embedding), len(mixture), size, int(net.sample_rate))
    return silenced(estimate, found, size, int(net.sample_rate), least), found


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
