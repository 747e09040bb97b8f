"""Encoder and decoder over any matrix of filters: learned, Fourier, or anybody's.

Source: Luo & Mesgarani 2019 (1809.07454), section 2.2: a strided convolution, and a transposed one
that adds the overlapping frames up again. What published codes do at the edges differs:

| pad | before the signal | after it | who |
| --- | --- | --- | --- |
| fill | nothing | silence until the last frame is full | ours, and TseNet's where it fits exactly |
| half | kernel // 2 of silence | the same, then until the last frame is full | Luo, torchaudio |
| drop | nothing | nothing: samples in no whole frame come back as silence | asteroid |
| full | kernel - stride of silence | the same, then until the last frame is full | ours |

With "full" every sample is in as many frames as any other.
"""

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..context import WHOLE, Context
from ..layers import activation

Count = TypeVar("Count", int, Tensor)
PADS = ("fill", "half", "drop", "full")
FILTERS = ("free", "fourier")


def margin_of(pad: str, kernel_size: int, stride: int) -> int:
    """Samples of silence on either side of the signal."""
    return {"half": kernel_size // 2, "full": kernel_size - stride}.get(pad, 0)


class Encoder(nn.Module):
    """Samples to frames: one strided convolution.

    Args:
        filters: [N, C, kernel_size]; C channels of audio, 1 for mono.
        stride: from frame to frame [samples].
        pad: see the module's table.
        bias: add a learned bias per filter.
        act: activation by name.
        learned: train the filters; else they stay what they are.

    Raises:
        ValueError: a choice is not known, or samples would be skipped between frames.
    """

    def __init__(
        self,
        filters: Tensor,
        stride: int,
        *,
        pad: str = "fill",
        bias: bool = False,
        act: str = "none",
        learned: bool = True,
    ):
        super().__init__()
        self.filters: Tensor
        if learned:
            self.filters = nn.Parameter(filters.clone())
        else:
            self.register_buffer("filters", filters.clone())
        n, _, self.kernel_size = filters.shape
        self.stride, self.pad = stride, pad
        if pad not in PADS:
            raise ValueError(f"pad={pad!r}: expected one of {', '.join(PADS)}")
        if not 1 <= stride <= self.kernel_size:
            raise ValueError(f"stride={stride}: expected 1 to kernel_size={self.kernel_size}")
        self.bias = nn.Parameter(torch.zeros(n)) if bias else None
        self.act = activation(act)
        self.margin = margin_of(pad, self.kernel_size, stride)

    def frames(self, n_samples: Count) -> Count:
        """Frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        beyond = n_samples + 2 * self.margin - self.kernel_size  # the first frame
        if self.pad == "drop":
            n = beyond // self.stride + 1
            return n.clamp_min(0) if isinstance(n, Tensor) else max(n, 0)
        steps = -(-beyond // self.stride)
        return (steps.clamp_min(0) if isinstance(steps, Tensor) else max(steps, 0)) + 1

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, T] -> spec [B, N, L]."""
        x = context.at("pad").pad(x, self.margin, self.margin)
        x = context.at("frames").frames(x, self.kernel_size, self.stride, self.pad != "drop")
        if not x.shape[-1]:
            return x.new_zeros(len(x), len(self.filters), 0)
        y: Tensor = self.act(F.conv1d(x, self.filters, self.bias, stride=self.stride))
        return y


class Decoder(nn.Module):
    """Frames to samples: what the filters weigh, overlapped and added.

    Args:
        filters: [N, C, kernel_size]
        stride: from frame to frame [samples].
        pad: that of the encoder, so that sample 0 is the encoder's sample 0.
        bias: add a learned bias per channel.
        learned: train the filters; else they stay what they are.
    """

    def __init__(
        self,
        filters: Tensor,
        stride: int,
        *,
        pad: str = "fill",
        bias: bool = False,
        learned: bool = True,
    ):
        super().__init__()
        self.filters: Tensor
        if learned:
            self.filters = nn.Parameter(filters.clone())
        else:
            self.register_buffer("filters", filters.clone())
        self.bias = nn.Parameter(torch.zeros(filters.shape[1])) if bias else None
        self.kernel_size, self.stride = filters.shape[-1], stride
        self.margin = margin_of(pad, self.kernel_size, stride)

    def forward(self, spec: Tensor, length: int, context: Context = WHOLE) -> Tensor:
        """spec [B, N, L] -> [B, C, length]; in a stream `length` is the chunk's."""
        if spec.shape[-1]:
            y = self._added(spec)
        else:
            y = spec.new_zeros(len(spec), self.filters.shape[1], 0)
        y = context.at("overlap").overlap(y, self.kernel_size - self.stride)
        if self.bias is not None:
            y = y + self.bias[:, None]
        return context.at("crop").crop(y, self.margin, length)

    def _added(self, spec: Tensor) -> Tensor:
        """What the filters weigh, overlapped and added: [B, N, L] -> [B, C, T]."""
        if spec.is_cuda:
            return F.conv_transpose1d(spec, self.filters, stride=self.stride)
        # A CPU's transposed convolution is slower, in bf16 and with many short frames by far.
        frames = torch.matmul(self.filters.flatten(1).T, spec)
        length = (spec.shape[-1] - 1) * self.stride + self.kernel_size
        return F.fold(frames, (1, length), (1, self.kernel_size), stride=(1, self.stride))[:, :, 0]


def free_filters(n: int, channels: int, kernel_size: int) -> Tensor:
    """Random filters [N, C, kernel_size] to learn from: He et al. 2015, uniform as torch draws."""
    weight = torch.empty(n, channels, kernel_size)
    nn.init.kaiming_uniform_(weight, a=5**0.5)
    return weight


def fourier_filters(kernel_size: int, stride: int) -> tuple[Tensor, Tensor]:
    """Filters of a short-time Fourier transform and its inverse: [kernel + 2, 1, kernel].

    Real parts of the bins come first, imaginary parts after them. Both sides have the same window,
    the root of Hann's, so with the pad "full" decoding what was encoded gives the signal back.

    Raises:
        ValueError: the windows would not add up to one.
    """
    if kernel_size % (2 * stride):
        raise ValueError(
            f"kernel_size={kernel_size} with stride={stride}: expected an even multiple of the "
            "stride, so that the windows add up to one"
        )
    n = np.arange(kernel_size)
    window = np.sin(np.pi * n / kernel_size)
    angle = 2 * np.pi * np.outer(np.arange(kernel_size // 2 + 1), n) / kernel_size
    waves = np.concatenate([np.cos(angle), -np.sin(angle)]) * window
    twice = np.full(kernel_size // 2 + 1, 2.0)  # a bin stands for its mirror image too
    twice[[0, -1]] = 1.0
    share = 2 * stride / kernel_size**2  # frames over a sample, and the inverse transform's 1 / n
    inverse = waves * np.concatenate([twice, twice])[:, None] * share
    return (torch.from_numpy(waves[:, None]).float(), torch.from_numpy(inverse[:, None]).float())


def filterbank(
    kind: str, n: int, channels: int, kernel_size: int, stride: int, pad: str
) -> tuple[Tensor, Tensor]:
    """Filters of an encoder and of its decoder, [n, channels, kernel_size] each.

    Args:
        kind: "free": random, to learn from; "fourier": a short-time Fourier transform.
        n: filters.
        channels: of the audio.
        kernel_size: [samples].
        stride: [samples].
        pad: see the module's table.

    Raises:
        ValueError: the kind is not known, or the numbers do not fit a Fourier transform.
    """
    if kind not in FILTERS:
        raise ValueError(f"filters={kind!r}: expected one of {', '.join(FILTERS)}")
    if kind == "free":
        size = (n, channels, kernel_size)
        return free_filters(*size), free_filters(*size)
    if n != kernel_size + 2 or channels != 1 or pad != "full":
        raise ValueError(
            f"filters='fourier' with n_filters={n}, {channels} channels and pad={pad!r}: expected "
            f"n_filters={kernel_size + 2} (kernel_size + 2), one channel and pad='full'"
        )
    return fourier_filters(kernel_size, stride)


def loudness(spec: Tensor) -> Tensor:
    """Fourier frames [B, 2 F, L] -> [B, F, L]: magnitudes to the power of 0.3.

    As loud and soft parts are for the ear, so they are of like size for a network; Ephrat et al.
    2018 (1804.03619).
    """
    real, imaginary = spec.chunk(2, dim=1)
    return (real.square() + imaginary.square() + 1e-10).pow(0.15)


def as_channels(x: Tensor, channels: int | None, context: Context = WHOLE) -> Tensor:
    """Audio [B, T], or [B, C, T] where a model declares `channels`, as [B, C, T].

    Raises:
        ValueError: another rank, another number of channels, or no sample at all.
    """
    wanted = "[B, T]" if channels is None else f"[B, {channels}, T]"
    rank = 2 if channels is None else 3
    if x.ndim != rank or (channels is not None and x.shape[1] != channels):
        hint = "; use mixture[None] for one signal" if x.ndim == rank - 1 else ""
        raise ValueError(f"mixture has shape {list(x.shape)}: expected {wanted}{hint}")
    if not x.shape[-1] and not context.streaming:
        raise ValueError(f"mixture has shape {list(x.shape)}: expected at least one sample")
    return x[:, None] if channels is None else x


def reach(receptive_frames: int, kernel_size: int, stride: int) -> int:
    """Samples that one sample of the output can depend on, when a frame depends on so many."""
    covering = -(-kernel_size // stride)  # frames in which one sample is heard
    return (receptive_frames + covering - 2) * stride + kernel_size
