"""The spectrum cut into bands, one above the other as the colours of a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .fbsp import FBSP
from .mel import FLOORS, full_precision, mel_filters
from .stft import STFT, Constant, Count, choose


@dataclass(frozen=True, kw_only=True)
class BandsCfg:
    """Everything that decides a multi-band picture; lengths in samples.

    The defaults are the published transform on samples of [-1, 1], with a floor that silence may
    touch: 120 dB below full scale. `bands_cfg` has the published scales and floors.

    Attributes:
        sample_rate: [Hz].
        n_fft: length of the transform; n_fft // 2 + 1 bins.
        hop: from one frame to the next.
        window_length: at most n_fft; the window lies in its middle.
        window: a key of WINDOWS.
        pad_mode: what lies outside the signal: "reflect", or "constant" for zeros.
        normalized: power / n_fft.
        learned: the transform is a learned one, see `FBSP`, framed in its own way.
        n_mels: mel bands in the place of bins: triangles of peak one on Slaney's scale, up to half
            the sample rate; 0 for the bins themselves.
        n_bands: contiguous bands of equal height, the lowest first; what is left on top is dropped.
        scale: multiplies the samples.
        shift: is added to the scaled samples.
        floor: in units of the power.
        floor_rule: a key of FLOORS.
        gain_db: is added to the picture; 20 log10(32768) = 90.3 dB stands for 16-bit samples.
        unit_db: what counts as one in the picture [dB]; gain and unit together bring it to numbers
            about zero, which networks without norms need.
        resize: (rows, frames) to which each band's power is stretched, bilinearly and corner on
            corner, before the logarithm; () leaves the picture as it is.
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop: int = 561
    window_length: int = 1654
    window: str = "blackman_harris"
    pad_mode: str = "reflect"
    normalized: bool = True
    learned: bool = False
    n_mels: int = 0
    n_bands: int = 3
    scale: float = 1.0
    shift: float = 0.0
    floor: float = 1e-10
    floor_rule: str = "clamp"
    gain_db: float = 0.0
    unit_db: float = 1.0
    resize: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        choose(FLOORS, "floor_rule", self.floor_rule)
        if self.n_mels < 0:
            raise ValueError(f"n_mels={self.n_mels}: expected 1 or more, or 0 for bins")
        if not 1 <= self.n_bands <= self.height:
            what = "n_mels" if self.n_mels else "n_fft // 2 + 1"
            raise ValueError(f"n_bands={self.n_bands}: expected 1 to {what} = {self.height}")
        if self.unit_db <= 0:
            raise ValueError(f"unit_db={self.unit_db}: expected more than 0 dB")
        if len(self.resize) not in (0, 2) or any(n < 1 for n in self.resize):
            raise ValueError(f"resize={self.resize}: expected (rows, frames), or () for none")

    @property
    def height(self) -> int:
        """Rows of all bands together, with those that are dropped."""
        return self.n_mels or self.n_fft // 2 + 1


def _esresnet() -> BandsCfg:
    """Samples in the range of 16-bit integers; digital silence is at -180 dB."""
    return BandsCfg(scale=32768.0, floor=1e-18, floor_rule="zero")


def _fbsp() -> BandsCfg:
    """16-bit integers, -32768 to 32767, brought to [-1, 1]: that moves zero by half a step."""
    return BandsCfg(
        scale=65536 / 65535, shift=1 / 65535, floor=1e-18, floor_rule="zero", learned=True
    )


PRESETS: dict[str, Callable[[], BandsCfg]] = {"esresnet": _esresnet, "esresnext_fbsp": _fbsp}


def bands_cfg(preset: str, **changes: Any) -> BandsCfg:
    """The cfg with which a published model was trained, for samples of [-1, 1].

    >>> bands_cfg("esresnet").scale
    32768.0
    """
    return replace(choose(PRESETS, "preset", preset)(), **changes)


class Bands(nn.Module):
    """Log-power spectrum [dB] as a picture of several bands.

    Source: Guzhov et al. 2020 (2004.07301), with the sizes of the first author's
    code (ESResNet, commit 138c073): 1023 of 1025 bins become three bands of 341 rows.

    Args:
        cfg: what to compute.

    Attributes:
        minimum_length: [samples] below which there is nothing to mirror.
        centres: [n_bands * rows] frequencies of the rows, the lowest band first [Hz].
    """

    def __init__(self, cfg: BandsCfg):
        super().__init__()
        self.cfg = c = cfg
        self.transform: STFT | FBSP
        if c.learned:
            self.transform = FBSP(c.n_fft, c.hop, c.window_length, c.window, c.normalized)
            self.minimum_length = 1
        else:
            self.transform = STFT(
                c.n_fft, c.hop, c.window_length, window=c.window, pad_mode=c.pad_mode,
                normalized=c.normalized,
            )  # fmt: skip
            mirrored = max(self.transform.before, self.transform.after)
            self.minimum_length = mirrored + 1 if c.pad_mode == "reflect" else 1
        self.filters = None
        if c.n_mels:
            filters = mel_filters(c.sample_rate, c.n_fft, c.n_mels, norm="peak")
            if empty := int((filters.sum(axis=1) == 0).sum()):
                raise ValueError(
                    f"n_mels={c.n_mels} with n_fft={c.n_fft}: {empty} bands fall between two bins; "
                    "lower n_mels or raise n_fft"
                )
            self.filters = Constant(filters.T.copy())  # [n_fft // 2 + 1, n_mels]
        self.rows = c.height // c.n_bands
        bins = np.arange(c.n_fft // 2 + 1) * (c.sample_rate / c.n_fft)
        centres = bins if self.filters is None else filters @ bins / filters.sum(axis=1)
        self.centres = centres[: self.rows * c.n_bands]
        self.sample_rate, self.hop, self.window = c.sample_rate, c.hop, c.window_length

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        n_frames = self.transform.frames(n_samples)
        return self.cfg.resize[1] * (n_frames > 0) if self.cfg.resize else n_frames

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples [..., T] -> picture [..., n_bands, F, L], channel 0 the lowest band.

        Args:
            x: signals, padded with zeros to one length.
            lengths: [...], their own lengths [samples]; frames from `frames(lengths)` on are of
                padding.

        Raises:
            ValueError: if a signal is shorter than `minimum_length` or has another dtype, or the
                picture depends on where it ends, which padding hides.
        """
        cfg, kept = self.cfg, self.rows * self.cfg.n_bands
        if lengths is not None:
            if cfg.learned or cfg.resize or cfg.pad_mode == "reflect":
                raise ValueError(
                    f"lengths with pad_mode={cfg.pad_mode!r}, learned={cfg.learned}, "
                    f"resize={cfg.resize}: the picture depends on a signal's own end; give signals "
                    "of one length, cut to it, or use pad_mode='constant' with neither"
                )
            inside = torch.arange(x.shape[-1], device=x.device) < lengths[..., None]
        x = x * cfg.scale + cfg.shift
        if lengths is not None:
            x = x.where(inside, 0)
        with full_precision(x):
            tiles = [self._power(spec)[..., :kept] for spec in self.transform.tiles(x)]
            power = torch.cat(tiles, dim=-2)
            power = power.reshape(*power.shape[:-1], cfg.n_bands, self.rows)
            power = power.movedim(-3, -1)  # [..., n_bands, rows, L]
            if cfg.resize:
                flat = power.reshape(-1, *power.shape[-3:])
                flat = F.interpolate(flat, cfg.resize, mode="bilinear", align_corners=True)
                power = flat.reshape(*power.shape[:-2], *cfg.resize)
            y = FLOORS[cfg.floor_rule](power, cfg.floor).log() * (10 / math.log(10))
        y = y + cfg.gain_db if cfg.gain_db else y
        return y / cfg.unit_db if cfg.unit_db != 1 else y

    def _power(self, spec: Tensor) -> Tensor:
        """Spectra [..., L, bins] -> power [..., L, bins or n_mels]."""
        if self.filters is None:
            kept = self.rows * self.cfg.n_bands  # no bin in vain
            return torch.view_as_real(spec[..., :kept]).square().sum(dim=-1)
        return torch.view_as_real(spec).square().sum(dim=-1) @ self.filters.value
