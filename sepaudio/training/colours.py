"""Recordings as if they had come through other microphones and lines, in torch, many at once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

COUNT = 1024  # microphones
ANCHORS = 64  # frequencies that their gains are told at
BUMPS = 8  # points that a smooth response goes through
BUMP_DB = 12.0  # that it goes up or down by at most [dB]
LOW = (40.0, 500.0)  # [Hz] from which the keenest and the deafest of them hear
HIGH = (0.45, 1.0)  # share of the band up to which the deafest and the keenest do
SLOPE = (12.0, 60.0)  # beyond these edges [dB per octave]


def microphones(sample_rate: int, share: float, seed: int = 0) -> Tensor:
    """What `COUNT` microphones do to every one of `ANCHORS` frequencies [COUNT, ANCHORS], in dB.

    Each has a smooth response of its own up to `BUMP_DB` in either direction, and hears no more
    than from one frequency to another. The frequencies lie evenly from 0 to half the rate.

    Args:
        sample_rate: [Hz].
        share: of the microphones that are not ideal.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    hz = np.linspace(0, sample_rate / 2, ANCHORS).clip(30)
    knots = np.geomspace(60, sample_rate / 2, BUMPS)
    rows = []
    for _ in range(COUNT):
        bumps = random.uniform(-1, 1, BUMPS) * random.uniform(0, BUMP_DB)
        low = math.exp(random.uniform(*np.log(LOW)))
        high = random.uniform(*HIGH) * sample_rate / 2
        gain = np.interp(np.log(hz), np.log(knots), bumps)
        gain -= random.uniform(*SLOPE) * np.log2(low / hz).clip(0)
        gain -= random.uniform(*SLOPE) * np.log2(hz / high).clip(0)
        rows.append(gain * (random.random() < share))
    return torch.tensor(np.array(rows), dtype=torch.float32)


class Colours(nn.Module):
    """A bank of microphones.

    Which one a recording comes through depends on its samples alone, which are of a stretch that is
    drawn anew every time: so a voice meets all of them, and nothing more needs to be drawn.
    """

    gains: Tensor

    def __init__(self, sample_rate: int, share: float):
        super().__init__()
        gains = microphones(sample_rate, share)
        self.register_buffer("gains", 10 ** (gains / 20), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T] as it comes through the microphones."""
        gains = self.gains[number(x)][:, None]
        spec = torch.fft.rfft(x.float(), x.shape[1] + x.shape[1] % 2)
        size = spec.shape[1]
        gains = nn.functional.interpolate(gains, size=size, mode="linear", align_corners=True)
        y: Tensor = torch.fft.irfft(spec * gains[:, 0])[:, : x.shape[1]]
        return y.to(x.dtype)


def number(x: Tensor) -> Tensor:
    """Of the microphone that each recording of x [B, T] comes through: [B]."""
    return (x * 2**15).round().long().sum(1) % COUNT
