"""Short-time Fourier transform that also runs on a stream, and its inverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..context import WHOLE, Context

Choice = TypeVar("Choice")
Count = TypeVar("Count", int, Tensor)
Array = np.ndarray[Any, np.dtype[np.float64]]

# Each is a function of the phase, which runs once round the circle over the window.
WINDOWS: dict[str, Callable[[Array], Array]] = {
    "rect": np.ones_like,
    "hann": lambda phase: 0.5 - 0.5 * np.cos(phase),
    "hamming": lambda phase: 0.54 - 0.46 * np.cos(phase),
    "blackman": lambda phase: 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase),
    "blackman_harris": lambda phase: (  # four terms, -92 dB: Harris, Proc. IEEE 66 (1978)
        0.35875
        - 0.48829 * np.cos(phase)
        + 0.14128 * np.cos(2 * phase)
        - 0.01168 * np.cos(3 * phase)
    ),
    "povey": lambda phase: (0.5 - 0.5 * np.cos(phase)) ** 0.85,
}
PADDINGS = {"constant": "zeros", "reflect": "the signal mirrored"}

CPU_TILE = 512  # [frames] what stays in the cache between two steps
GPU_TILE = 65536  # [frames] what bounds the memory; short tiles would leave the device idle


def choose(table: Mapping[str, Choice], name: str, value: str) -> Choice:
    """The entry of `table` called `value`; `name` is what the user calls the choice."""
    if value not in table:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(table)}")
    return table[value]


def window_of(kind: str, length: int, periodic: bool = True) -> Array:
    """Window [length] in float64; periodic for frames, symmetric where Kaldi and numpy do so."""
    steps = length if periodic else max(length - 1, 1)
    return choose(WINDOWS, "window", kind)(2 * np.pi * np.arange(length) / steps)


class Constant(nn.Module):
    """A tensor computed from arguments, exact in whatever dtype the module is moved to.

    An ordinary buffer would keep its float32 rounding through `.double()`; this one is made
    again from the float64 original.
    """

    value: Tensor

    def __init__(self, original: Array):
        super().__init__()
        self.original = original
        value = torch.as_tensor(original, dtype=torch.get_default_dtype())
        self.register_buffer("value", value, persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Constant:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.value = torch.as_tensor(
            self.original, dtype=self.value.dtype, device=self.value.device
        )
        return self


class STFT(nn.Module):
    """Frames, windowed and Fourier-transformed.

    Equals torch.stft and librosa.stft when centred, and torch.stft(center=False) when the
    window is as long as the transform. An uncentred shorter window starts at its frame's first
    sample and zeros follow it, as in Kaldi and python_speech_features.

    Args:
        n_fft: length of the transform [samples].
        hop: from one frame to the next [samples].
        window_length: [samples], n_fft if None.
        window: a key of WINDOWS.
        center: frame l is centred on sample l * hop; else it starts there.
        pad_mode: what lies outside the signal when centred, a key of PADDINGS.
        fill: fill up the last uncentred frame with zeros; else it is dropped.
        normalized: divide the spectrum by sqrt(n_fft).
        periodic: False gives the symmetric window.

    Raises:
        ValueError: if a choice is unknown or the lengths do not fit together.
    """

    def __init__(
        self,
        n_fft: int,
        hop: int,
        window_length: int | None = None,
        window: str = "hann",
        center: bool = True,
        pad_mode: str = "constant",
        fill: bool = False,
        normalized: bool = False,
        periodic: bool = True,
    ):
        super().__init__()
        size = n_fft if window_length is None else window_length
        choose(PADDINGS, "pad_mode", pad_mode)
        if not 1 <= size <= n_fft:
            raise ValueError(f"window_length={size}: expected 1 to n_fft={n_fft}; raise n_fft")
        if not 1 <= hop <= size:
            raise ValueError(f"hop={hop}: expected 1 to window_length={size}; lower hop")
        if center and fill:
            raise ValueError("fill=True with center=True: the padding fills; use fill=False")
        self.n_fft, self.hop, self.window = n_fft, hop, size
        self.center, self.pad_mode, self.fill = center, pad_mode, fill
        # A centred window's zeros are no part of its frame: a stream does not wait for them
        self.margin = (n_fft - size) // 2 if center else 0
        self.before = n_fft // 2 - self.margin if center else 0  # [samples]
        self.after = n_fft // 2 * 2 - n_fft + size - self.before if center else 0  # [samples]
        mirrored = self.before if pad_mode == "reflect" else 0
        self.latency = max(size - 1 - self.before, mirrored)  # [samples]
        self.receptive_field = size  # [samples]
        weights = window_of(window, size, periodic) * (n_fft**-0.5 if normalized else 1.0)
        # The zeros let frames be views of the signal that need no padding each
        self.weights = Constant(np.pad(weights, (self.margin, n_fft - size - self.margin)))

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        beyond = n_samples + self.before + self.after - self.window  # the first frame
        if self.fill:
            n_frames = (_at_least(0, beyond) + self.hop - 1) // self.hop + 1
        else:
            n_frames = _at_least(0, beyond // self.hop + 1)
        return n_frames * (n_samples > 0)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """Samples [..., T] -> complex spec [..., F, L], F = n_fft // 2 + 1."""
        tiles = list(self.tiles(x, context))
        if not tiles:
            return x.new_zeros(*x.shape[:-1], self.n_fft // 2 + 1, 0, dtype=x.dtype.to_complex())
        return torch.cat(tiles, dim=-2).transpose(-1, -2)

    def tiles(self, x: Tensor, context: Context = WHOLE) -> Iterator[Tensor]:
        """Samples [..., T] -> spectra [..., n, F] of n frames at a time, in order; perhaps none."""
        weights, hop, size = self.weights.value, self.hop, self.window
        x = self._samples(x, context)
        n_frames = (x.shape[-1] - size) // hop + 1 if x.shape[-1] else 0
        tile = n_frames  # an exported graph has one
        if not torch.compiler.is_compiling():
            signals = max(x[..., 0].numel(), 1) if x.shape[-1] else 1
            tile = max((CPU_TILE if x.device.type == "cpu" else GPU_TILE) // signals, 1)
        for first in range(0, n_frames, tile) if tile < n_frames else range(min(n_frames, 1)):
            n = min(tile, n_frames - first)
            start = first * hop - self.margin
            end = start + (n - 1) * hop + self.n_fft
            part = x[..., max(start, 0) : end]
            if start < 0 or end > x.shape[-1]:  # the first and last tile: zeros for the zeros
                part = F.pad(part, (max(-start, 0), max(end - x.shape[-1], 0)))
            yield torch.fft.rfft(part.unfold(-1, self.n_fft, hop) * weights)

    def inverse(self, spec: Tensor, length: int | None = None, context: Context = WHOLE) -> Tensor:
        """Complex spec [..., F, L] -> signal [..., T], by least squares over the overlap.

        Samples that no window touches come out zero. A stream needs center=False.

        Args:
            spec: what `forward` gave, or a masked one.
            length: T; the signal is cut or filled with zeros to it. None: all the frames give.
            context: what lies around.

        Raises:
            ValueError: if a stream is centred or is given a length.
        """
        if context.streaming and (self.center or length is not None):
            raise ValueError(
                f"inverse of a stream with center={self.center}, length={length}: expected "
                "center=False and length=None; cut the last chunk yourself"
            )
        window = self.weights.value[self.margin : self.margin + self.window]
        y = spec.transpose(-1, -2)
        if spec.shape[-1]:
            y = torch.fft.irfft(y, n=self.n_fft)
        else:  # no frames; the transform would refuse them
            y = spec.real.new_zeros(*spec.shape[:-2], 0, self.n_fft)
        y = y[..., self.margin : self.margin + self.window] * window
        y = context.at("signal").overlap(self._add(y), self.window - self.hop)
        squares = window.square().expand(spec.shape[-1], -1)
        weight = context.at("weight").overlap(self._add(squares), self.window - self.hop)
        y = torch.where(weight > 1e-11 * window.max() ** 2, y / weight.clamp(min=1e-30), 0)
        y = y[..., self.before :]
        if length is None:
            return y[..., : max(y.shape[-1] - self.after, 0)]
        return F.pad(y, (0, length - y.shape[-1]))

    def _samples(self, x: Tensor, context: Context) -> Tensor:
        """Samples [..., T] -> the samples of whole frames, padded."""
        if x.dtype != self.weights.value.dtype:
            raise ValueError(
                f"samples are {x.dtype}, the front-end {self.weights.value.dtype}: "
                "expected the same; convert one of them with .to(dtype)"
            )
        shortest = 1 if self.fill or self.center else self.window
        if not context.streaming and x.shape[-1] < shortest:
            raise ValueError(
                f"a signal of {x.shape[-1]} samples: expected at least {shortest}; "
                "pad it with silence"
            )
        if self.center and self.pad_mode == "reflect":
            return context.frames(self._mirror(x, context), self.window, self.hop, fill=False)
        if self.center:
            x = context.at("pad").pad(x, self.before, self.after)
        return context.at("frames").frames(x, self.window, self.hop, self.fill)

    def _mirror(self, x: Tensor, context: Context) -> Tensor:
        if context.streaming:
            raise ValueError(
                "pad_mode='reflect' in a stream: it mirrors samples that have not come yet; "
                "use pad_mode='constant' or center=False"
            )
        if x.shape[-1] <= max(self.before, self.after):
            raise ValueError(
                f"a signal of {x.shape[-1]} samples with pad_mode='reflect': expected more than "
                f"{max(self.before, self.after)}; use pad_mode='constant'"
            )
        flat = x.reshape(1, -1, x.shape[-1])
        return F.pad(flat, (self.before, self.after), mode="reflect").reshape(*x.shape[:-1], -1)

    def _add(self, frames: Tensor) -> Tensor:
        """Frames [..., L, window] -> their overlap-added sum [..., T]."""
        n = frames.shape[-2]
        if not n:
            return frames.new_zeros(*frames.shape[:-2], 0)
        flat = frames.reshape(-1, n, self.window).transpose(1, 2)
        size = (n - 1) * self.hop + self.window
        y = F.fold(flat, (1, size), (1, self.window), stride=(1, self.hop))
        return y.reshape(*frames.shape[:-2], size)


def _at_least(least: int, n: Count) -> Count:
    return n.clamp(min=least) if isinstance(n, Tensor) else max(n, least)
