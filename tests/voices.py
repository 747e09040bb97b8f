"""Synthetic voices: recordings of a few speakers that an i-vector can tell apart."""

import math

import laws
import torch

RATE = 8000


def voice(seconds, pitch=120.0, seed=0):
    """A buzz with a formant of its own, gliding, in bursts, over a little noise; float32 [T]."""
    n = round(seconds * RATE)
    t = torch.arange(n, dtype=torch.float64) / RATE
    glide = 2 * torch.pi * (pitch * t + 10 * torch.sin(3 * t + seed))
    x = torch.zeros_like(t)
    for k in range(1, 20):
        x += math.exp(-((k - 4 - pitch / 60) ** 2) / 20) * torch.cos(k * glide)
    x = 0.1 * x * (torch.sin(2 * torch.pi * 1.3 * t + seed) > -0.3)
    return (x + 0.002 * laws.noise(n, seed=seed)).float()


# six speakers, three recordings each
RECORDINGS = [voice(3, 90 + 15 * i, seed=7 * i + j) for i in range(6) for j in range(3)]
