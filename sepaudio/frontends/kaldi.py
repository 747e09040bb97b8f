"""Kaldi's features for speaker recognition: cepstra, slopes, sliding mean, voice detection.

Source: Kaldi's feature-mfcc, feature-functions, feature-window and voice-activity-detection, and
its speaker recipes (sre16 for telephone speech, voxceleb for 16 kHz). Differs: no dither, so that
a recording always gives the same vector. All of it hears the whole recording; nothing streams.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .mel import dct
from .stft import CPU_TILE, GPU_TILE, Array, Constant, Count, choose, window_of

EPS = 2.0**-23  # float32's, below any logarithm


@dataclass(frozen=True, kw_only=True)
class KaldiCfg:
    """Everything that decides Kaldi's cepstra; lengths in samples.

    Attributes:
        sample_rate: [Hz]
        n_fft: length of the transform.
        window_length: of a frame.
        hop: from frame to frame.
        n_mels: triangles.
        n_mfcc: cepstra; the first is the log energy of the frame as it was recorded.
        f_min: lower corner of the first triangle [Hz].
        f_max: upper corner of the last [Hz].
        preemphasis: x[t] - preemphasis * x[t - 1], within a frame.
        lifter: c[n] * (1 + lifter / 2 * sin(pi * n / lifter)).
        scale: samples of full scale 1 are multiplied by it; the voice detector counts on 16 bits.
    """

    sample_rate: int = 8000
    n_fft: int = 256
    window_length: int = 200
    hop: int = 80
    n_mels: int = 23
    n_mfcc: int = 20
    f_min: float = 20.0
    f_max: float = 3700.0
    preemphasis: float = 0.97
    lifter: float = 22.0
    scale: float = 32768.0

    def __post_init__(self) -> None:
        if not 2 <= self.n_mfcc <= self.n_mels:
            raise ValueError(f"n_mfcc={self.n_mfcc}: expected 2 to n_mels={self.n_mels}")
        if not 1 <= self.hop <= self.window_length <= self.n_fft:
            raise ValueError(
                f"hop={self.hop}, window_length={self.window_length}, n_fft={self.n_fft}: "
                "expected 1 <= hop <= window_length <= n_fft"
            )
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"f_min={self.f_min}, f_max={self.f_max}: expected 0 <= f_min < f_max <= "
                f"{self.sample_rate / 2} Hz, half the sample rate; lower f_max"
            )


RATES = {
    "8000": KaldiCfg(),
    "16000": KaldiCfg(
        sample_rate=16000, n_fft=512, window_length=400, hop=160, n_mels=30, n_mfcc=24,
        f_max=7600.0,
    ),
}  # fmt: skip


def kaldi_cfg(sample_rate: int = 8000, **changes: Any) -> KaldiCfg:
    """The cepstra of Kaldi's speaker recipes at 8000 or 16000 Hz, with some values changed.

    >>> kaldi_cfg(16000).n_mfcc
    24
    """
    return replace(choose(RATES, "sample_rate", str(sample_rate)), **changes)


def kaldi_filters(cfg: KaldiCfg) -> Array:
    """Triangles [n_mels, n_fft // 2 + 1], float64: straight over mels, not over Hz."""
    low, high = _mel(np.array([cfg.f_min, cfg.f_max])).tolist()
    corners = np.linspace(low, high, cfg.n_mels + 2)
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.arange(cfg.n_fft // 2 + 1, dtype=np.float64)
    bins = _mel(bins * (cfg.sample_rate / cfg.n_fft))
    filters: Array = np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak))
    filters[:, -1] = -1  # the bin at half the sample rate is left out
    filters[filters < 0] = 0
    return filters


def _mel(hz: Array) -> Array:
    mel: Array = 1127 * np.log1p(hz / 700)
    return mel


class KaldiMFCC(nn.Module):
    """Mel-frequency cepstra with the frame's log energy as the first."""

    def __init__(self, cfg: KaldiCfg):
        super().__init__()
        self.cfg = cfg
        self.sample_rate, self.hop = cfg.sample_rate, cfg.hop
        basis = dct(cfg.n_mfcc, cfg.n_mels)
        if cfg.lifter:
            n = np.arange(cfg.n_mfcc)[:, None]
            basis *= 1 + cfg.lifter / 2 * np.sin(np.pi * n / cfg.lifter)
        self.basis = Constant(basis[1:].T.copy())  # [n_mels, n_mfcc - 1]
        # A power's two squares, of the real and the imaginary part, are added by the filters
        self.filters = Constant(np.repeat(kaldi_filters(cfg), 2, axis=1).T.copy())
        self.window = Constant(window_of("povey", cfg.window_length, periodic=False))

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples: one per hop, rounded to the nearest."""
        return (n_samples + self.hop // 2) // self.hop

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x [B, T] of full scale 1, lengths [B] in samples -> cepstra [B, n_mfcc, L].

        A signal is mirrored at its own ends; frames beyond its own are zero.

        Raises:
            ValueError: x has another rank.
        """
        if x.ndim != 2:
            raise ValueError(
                f"the recording has shape {list(x.shape)}: expected [B, T]; use x[None] for one"
            )
        cfg, n_frames = self.cfg, self.frames(x.shape[1])
        if not n_frames:
            return x.new_zeros(len(x), cfg.n_mfcc, 0)
        own = x.new_full((len(x),), x.shape[1], dtype=torch.long) if lengths is None else lengths
        start = cfg.hop // 2 - cfg.window_length // 2
        stop = start + (n_frames - 1) * cfg.hop + cfg.window_length
        at = torch.arange(start, stop, device=x.device) % (2 * own[:, None]).clamp(min=2)
        at = torch.where(at < own[:, None], at, 2 * own[:, None] - 1 - at).clamp(min=0)
        wide = x.gather(1, at) * cfg.scale
        tile = CPU_TILE if x.device.type == "cpu" else GPU_TILE
        tiles = torch.split(wide.unfold(1, cfg.window_length, cfg.hop), tile, dim=1)
        cepstra = torch.cat([self._cepstra(frames) for frames in tiles], dim=1).mT
        inside = torch.arange(n_frames, device=x.device) < self.frames(own)[:, None]
        return cepstra.where(inside[:, None], 0)

    def _cepstra(self, frames: Tensor) -> Tensor:
        """frames [B, n, window_length] -> [B, n, n_mfcc]."""
        frames = frames - frames.mean(dim=-1, keepdim=True)
        energy = frames.square().sum(dim=-1, keepdim=True).clamp(min=EPS).log()
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = torch.sub(frames, before, alpha=self.cfg.preemphasis) * self.window.value
        spec = torch.view_as_real(torch.fft.rfft(frames, self.cfg.n_fft)).flatten(-2)
        bands = (spec.square() @ self.filters.value).clamp(min=EPS).log()
        return torch.cat([energy, bands @ self.basis.value], dim=-1)


def kaldi_deltas(
    x: Tensor, lengths: Tensor | None = None, width: int = 3, order: int = 2
) -> Tensor:
    """x [B, F, L] with its slopes beneath, [B, F * (1 + order), L]; lengths [B] in frames.

    A slope is the regression over `width` frames on either side; the next one is the slope of
    the slope, taken over the features repeated at their ends (not over repeated slopes).
    """
    if not x.shape[-1]:
        return x.repeat(1, 1 + order, 1)
    own = x.new_full((len(x),), x.shape[-1], dtype=torch.long) if lengths is None else lengths
    reach = width * order
    at = torch.arange(-reach, x.shape[-1] + reach, device=x.device).clamp(min=0)
    at = torch.minimum(at, (own[:, None] - 1).clamp(min=0))  # [B, reach + L + reach]
    wide = x.gather(-1, at[:, None].expand(-1, x.shape[1], -1))
    slope = np.arange(-width, width + 1) / np.sum(np.arange(-width, width + 1) ** 2)
    parts, kernel = [x], np.ones(1)
    for _ in range(order):
        kernel = np.convolve(kernel, slope)
        first = reach - len(kernel) // 2
        y = torch.zeros_like(x)
        for i, weight in enumerate(kernel.tolist(), start=first):
            y = y + weight * wide[..., i : i + x.shape[-1]]
        parts.append(y)
    return torch.cat(parts, dim=1)


def subtract_sliding_mean(x: Tensor, lengths: Tensor | None = None, window: int = 300) -> Tensor:
    """x [B, F, L] minus the mean of the `window` frames around each; lengths [B] in frames.

    At the ends the window is shifted, not shortened, as far as the signal is long enough.
    """
    own = x.new_full((len(x),), x.shape[-1], dtype=torch.long) if lengths is None else lengths
    own = own[:, None]
    at = torch.arange(x.shape[-1], device=x.device)
    start = (at - window // 2).clamp(min=0)
    start = torch.minimum(start, (own - window).clamp(min=0))  # [B, L]
    stop = torch.minimum(start + window, own).clamp(min=1)
    total = nn.functional.pad(x.double().cumsum(dim=-1), (1, 0))
    shape = (-1, x.shape[1], -1)
    sums = total.gather(-1, stop[:, None].expand(shape))
    sums = sums - total.gather(-1, start[:, None].expand(shape))
    return (x - sums / (stop - start).clamp(min=1)[:, None]).to(x.dtype)


def voiced_frames(
    energy: Tensor,
    lengths: Tensor | None = None,
    threshold: float = 5.5,
    mean_scale: float = 0.5,
    context: int = 0,
    proportion: float = 0.6,
) -> Tensor:
    """Which frames hold a voice, from their log energy of 16-bit samples [B, L] -> bool [B, L].

    Args:
        energy: the first of Kaldi's cepstra.
        lengths: [B] in frames; nothing beyond them is voiced.
        threshold: a frame is loud above threshold + mean_scale * the mean of all frames.
        mean_scale: see threshold.
        context: frames on either side that are asked too.
        proportion: share of the frames asked that must be loud.
    """
    own = energy.new_full((len(energy),), energy.shape[1], dtype=torch.long)
    own = (own if lengths is None else lengths)[:, None]
    at = torch.arange(energy.shape[1], device=energy.device)
    inside = at < own
    mean = energy.double().where(inside, 0).sum(1, keepdim=True) / own.clamp(min=1)
    loud = (energy > threshold + mean_scale * mean) & inside
    counts = nn.functional.pad(loud.long().cumsum(dim=1), (1, 0))  # [B, 1 + L]
    start = (at - context).clamp(min=0).expand_as(loud)
    stop = torch.maximum(torch.minimum(at + context + 1, own), start)
    heard = counts.gather(1, stop) - counts.gather(1, start)
    return (heard >= proportion * (stop - start)) & inside
