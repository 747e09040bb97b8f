"""Convolutions whose kernels another signal decides: per sample, or anew at every position.

All of it serves time [B, C, L] and pictures [B, C, F, L]: the kernel has as many axes.

Sources: Klein et al. 2015 (dynamic convolutional layer), section 3; De Brabandere et al. 2016
(1605.09673), sections 3.1 and 3.2.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONVS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


def _same(sizes: Sequence[int]) -> list[int]:
    """Padding, last axis first, after which as many places come out; the odd one behind."""
    return [side for k in reversed(sizes) for side in ((k - 1) // 2, k // 2)]


def sample_conv(x: Tensor, kernels: Tensor, groups: int = 1) -> Tensor:
    """Convolves every sample with its own kernel: x [B, C, (F,) L] -> [B, C', (F,) L].

    The samples are groups of one convolution, so that no loop runs over them.

    Args:
        x: features.
        kernels: [B, C', C / groups, (high,) wide].
        groups: of channels that do not mix.

    Raises:
        ValueError: the shapes do not fit.
    """
    batch, channels = x.shape[:2]
    fits = kernels.ndim == x.ndim + 1 and len(kernels) == batch and x.ndim - 2 in CONVS
    if not fits or kernels.shape[2] * groups != channels:
        raise ValueError(
            f"kernels have shape {list(kernels.shape)}: expected [{batch}, C', "
            f"{channels // groups}, *{x.ndim - 2} sizes] for x of shape {list(x.shape)}"
        )
    x = F.pad(x, _same(kernels.shape[3:])).flatten(0, 1)[None]
    y = CONVS[x.ndim - 2](x, kernels.flatten(0, 1), groups=batch * groups)
    return y.reshape(batch, kernels.shape[1], *y.shape[2:])


def position_conv(x: Tensor, kernels: Tensor, size: int | Sequence[int]) -> Tensor:
    """Filters every position with the kernel that stands there: x [B, C, (F,) L] -> the same.

    y at p is the sum over the taps k of kernels[k] at p times x at p + k - (size - 1) // 2, one
    kernel for all channels. A tap at a time is multiplied and added: the neighbourhoods are never
    laid out.

    Args:
        x: features.
        kernels: [B, taps, (F,) L]; tap i is the i-th place of the kernel, rows first.
        size: of the kernel, one number for each axis or one for all.

    Raises:
        ValueError: the shapes do not fit.
    """
    places = x.shape[2:]
    sizes = (size,) * len(places) if isinstance(size, int) else tuple(size)
    expected = [len(x), math.prod(sizes), *places]
    if list(kernels.shape) != expected or len(sizes) != len(places):
        raise ValueError(
            f"kernels have shape {list(kernels.shape)}: expected {expected} for x of shape "
            f"{list(x.shape)} and size={size}"
        )
    padded, total = F.pad(x, _same(sizes)), torch.zeros_like(x)
    for tap, starts in zip(kernels.unbind(1), product(*map(range, sizes)), strict=True):
        moved = padded
        for axis, (start, length) in enumerate(zip(starts, places, strict=True), 2):
            moved = moved.narrow(axis, start, length)
        total = total + tap[:, None] * moved
    return total


class DynamicConv(nn.Module):
    """A convolution whose kernel is made from a vector: of a speaker, a clip, another map's mean.

    It begins as an ordinary convolution, the same for all vectors but for a small part.

    Args:
        condition: E, length of the vector.
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: one number for each axis: (frames,) or (frequency, time).
        groups: of channels that do not mix.
        generator: vector [B, E] -> weights [B, C' * C / groups * taps]; by default one linear
            layer.
    """

    def __init__(
        self,
        condition: int,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        groups: int = 1,
        generator: nn.Module | None = None,
    ):
        super().__init__()
        self.groups = groups
        self.shape = (out_channels, in_channels // groups, *kernel_size)
        fan_in = math.prod(self.shape[1:])
        if generator is None:
            linear = nn.Linear(condition, out_channels * fan_in)
            nn.init.normal_(linear.weight, std=0.1 * (fan_in * condition) ** -0.5)
            nn.init.normal_(linear.bias, std=fan_in**-0.5)
            generator = linear
        self.generator = generator

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        """x [B, C, (F,) L], v [B, E] -> [B, C', (F,) L]."""
        return sample_conv(x, self.generator(v).unflatten(1, self.shape), self.groups)


class DynamicFilter(nn.Module):
    """A filter that changes from place to place, as another map says: a time-varying FIR.

    Args:
        condition: D, channels of the map that decides.
        kernel_size: one number for each axis: (frames,) or (frequency, time).
        generator: map [B, D, (F,) L] -> taps [B, taps, (F,) L]; by default a 1x1 convolution.
        softmax: the taps of a place are positive and sum to one, as in the paper's prediction of
            motion.
    """

    def __init__(
        self,
        condition: int,
        kernel_size: Sequence[int],
        *,
        generator: nn.Module | None = None,
        softmax: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.softmax = tuple(kernel_size), softmax
        conv = nn.Conv1d if len(kernel_size) == 1 else nn.Conv2d
        taps = math.prod(kernel_size)
        self.generator = conv(condition, taps, 1) if generator is None else generator

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """x [B, C, (F,) L], guide [B, D, (F,) L] -> [B, C, (F,) L]."""
        taps: Tensor = self.generator(guide)
        taps = taps.softmax(dim=1) if self.softmax else taps
        return position_conv(x, taps, self.kernel_size)
