"""A learned time-frequency transform: frequency B-spline wavelets that start as a DFT."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .stft import CPU_TILE, Constant, Count, window_of

EPS = 1e-8  # keeps time and order off zero; published weights were learned with it


class FBSP(nn.Module):
    """Frames, windowed and projected on complex wavelets whose shape is learned.

    Output k has an order m, a bandwidth b and a centre c [bins]. Over t from -pi to pi its
    wavelet is

        sqrt(b) * sinc(b t / m)^m * exp(-i c t),  sinc(x) = sin(x) / x,

    where a negative sinc takes a complex power. With m = 0, b = 1, c = k, the initial values, that
    is, but for its phase, a Fourier transform of n_fft - 1 points: t holds both -pi and pi. Frames
    are not centred: zeros, half of them before the signal and half after it, fill up the last
    one, so a frame's place in the signal depends on the length of the whole. The window lies in
    the middle of the transform.

    Source: Guzhov et al. 2021 (2104.11587), with the first author's code
    (ESResNeXt-fbsp, commit 7c1488a) for the normalisation, the framing and the gradients: those of
    m, b and c are each divided by their largest magnitude in every backward pass.
    Differs: a gradient also reaches the waveform, and one that is zero everywhere stays zero
    (there it is not a number).

    Args:
        n_fft: length of the transform [samples]; n_fft // 2 + 1 outputs.
        hop: from one frame to the next [samples].
        window_length: [samples].
        window: a key of WINDOWS.
        normalized: divide by sqrt(n_fft), so that every wavelet starts with a norm of one.
    """

    def __init__(
        self, n_fft: int, hop: int, window_length: int, window: str, normalized: bool = True
    ):
        super().__init__()
        if not 1 <= hop <= window_length <= n_fft:
            raise ValueError(
                f"hop={hop}, window_length={window_length}, n_fft={n_fft}: expected "
                "1 <= hop <= window_length <= n_fft"
            )
        n_bins = n_fft // 2 + 1
        self.n_fft, self.hop, self.window, self.normalized = n_fft, hop, window_length, normalized
        self.margin = (n_fft - window_length) // 2  # [samples] of the transform before the window
        self.weights = Constant(window_of(window, window_length))
        self.order = nn.Parameter(torch.zeros(n_bins))
        self.bandwidth = nn.Parameter(torch.ones(n_bins))
        self.centre = nn.Parameter(torch.arange(n_bins, dtype=torch.get_default_dtype()))

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        beyond = n_samples - self.window
        beyond = beyond.clamp(min=0) if isinstance(beyond, Tensor) else max(beyond, 0)
        return ((beyond + self.hop - 1) // self.hop + 1) * (n_samples > 0)

    def wavelets(self) -> Tensor:
        """Real and imaginary parts [2, F, n_fft] of all outputs."""
        self._scale_gradients()
        # Made on the CPU: devices round it differently, and the centre multiplies that a
        # thousandfold
        time = torch.linspace(-1.0, 1.0, self.n_fft, dtype=self.order.dtype)
        time = (np.pi * time + EPS).to(self.order.device)  # [n_fft]
        m, b, c = (p[:, None] for p in (self.order, self.bandwidth, self.centre))
        x = b * time / (m + EPS)
        sinc = torch.where(x == 0, 1.0, torch.sin(x) / x.where(x != 0, 1.0))
        size = (sinc.square() ** (0.5 * m)) * b.sqrt()
        if self.normalized:
            size = size / math.sqrt(self.n_fft)
        angle = m * torch.pi * (sinc < 0) - c * time
        return torch.stack([size * angle.cos(), size * angle.sin()])

    def forward(self, x: Tensor) -> Tensor:
        """Samples [..., T] -> complex spec [..., F, L]."""
        return torch.cat(list(self.tiles(x)), dim=-2).transpose(-1, -2)

    def tiles(self, x: Tensor) -> Iterator[Tensor]:
        """Samples [..., T] -> spectra [..., n, F] of n frames at a time, in order."""
        if x.dtype != self.order.dtype:
            raise ValueError(
                f"samples are {x.dtype}, the front-end {self.order.dtype}: expected the same; "
                "convert one of them with .to(dtype)"
            )
        if not x.shape[-1]:
            raise ValueError(
                "a signal of 0 samples: expected at least 1; leave it out or pad it with silence"
            )
        missing = (self.frames(x.shape[-1]) - 1) * self.hop + self.window - x.shape[-1]
        x = F.pad(x, (missing // 2, missing - missing // 2))
        # The window on the wavelets rather than on every frame; its zeros are left out
        filters = self.wavelets()[..., self.margin : self.margin + self.window]
        filters = (filters * self.weights.value).flatten(0, 1)
        for frames in torch.split(x.unfold(-1, self.window, self.hop), CPU_TILE, dim=-2):
            real, imaginary = F.linear(frames, filters).chunk(2, dim=-1)
            yield torch.complex(real, imaginary)

    def _scale_gradients(self) -> None:
        """Hook the three parameters, where a copy of the module has lost its hooks."""
        for parameter in (self.order, self.bandwidth, self.centre):
            if parameter.requires_grad and not parameter._backward_hooks:
                parameter.register_hook(_by_largest)  # type: ignore[no-untyped-call]


def _by_largest(gradient: Tensor) -> Tensor:
    largest = gradient.abs().max()
    return gradient / largest.where(largest > 0, 1.0)


def norm_penalty(transform: FBSP) -> Tensor:
    """Mean squared distance of the wavelets' norms from what they start with; a scalar.

    To be added to the loss, as the authors do: it keeps bandwidths and orders in range.
    """
    norms = torch.linalg.vector_norm(transform.wavelets(), dim=(0, 2))
    target = 1.0 if transform.normalized else math.sqrt(transform.n_fft)
    return F.mse_loss(norms, torch.full_like(norms, target))
