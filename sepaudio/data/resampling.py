"""The resampler of `io` as a convolution, for batches of signals on any device."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import io

REACH = 256  # how far from an impulse its response is looked at [samples]
LEAST = 1e-7  # of the largest value: what is smaller at either end of a response is left out


@dataclass(frozen=True)
class Kernel:
    """A filter for every phase: output q * up + p is the sum of weights[p] * x[q * down - left:].

    Attributes:
        down, up: the two rates without common factors.
        left: samples of the input before the one that stands where the output does.
        weights: [up, 1, K].
    """

    down: int
    up: int
    left: int
    weights: Tensor


def kernel_of(from_rate: int, to_rate: int, device: torch.device) -> Kernel:
    """The filters that `io.resample` is made of, found by sending impulses through it."""
    common = math.gcd(from_rate, to_rate)
    return _kernel(from_rate // common, to_rate // common, device)


@functools.lru_cache(maxsize=64)
def _kernel(down: int, up: int, device: torch.device) -> Kernel:
    periods = math.ceil(REACH * max(1.0, down / up) / down)
    impulses = np.zeros((down, (2 * periods + 1) * down))
    impulses[:, periods * down : (periods + 1) * down] = np.eye(down)
    responses = io.resample(impulses, down, up).reshape(down, 2 * periods + 1, up)
    weights = responses[:, ::-1].transpose(2, 1, 0).reshape(up, -1)  # [phase, input]
    large = np.flatnonzero(np.abs(weights).max(axis=0) > LEAST * np.abs(weights).max())
    first, last = int(large[0]), int(large[-1]) + 1
    kept = np.ascontiguousarray(weights[:, None, first:last], np.float32)
    return Kernel(down, up, periods * down - first, torch.from_numpy(kept).to(device))


def resample(x: Tensor, kernel: Kernel, n: int) -> Tensor:
    """The first n samples of x [B, T] at the kernel's other rate; silence lies around x.

    soxr makes its first few samples in another way: four of them differ, by up to some percent of
    the loudest; the rest agrees to more than 100 dB.
    """
    weights = kernel.weights
    frames = -(-n // kernel.up)
    needed = (frames - 1) * kernel.down + weights.shape[2] - kernel.left
    x = F.pad(x, (kernel.left, max(needed - x.shape[1], 0)))
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        y = F.conv1d(x[:, None], weights, stride=kernel.down)  # [B, up, L]
    return y[:, :, :frames].transpose(1, 2).flatten(1)[:, :n].contiguous()
