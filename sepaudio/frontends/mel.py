"""Log-mel bands, cepstra (MFCC) and their slopes over time (deltas)."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from .stft import STFT, Array, Constant, Count, choose

EPS = 2.0**-52  # float64's, also in float32: python_speech_features' logarithm of zero


def _slaney_mel(hz: Array) -> Array:
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(hz.clip(1) / 1000) / np.log(6.4))


def _slaney_hz(mel: Array) -> Array:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) / 27 * np.log(6.4)))


def _htk_mel(hz: Array) -> Array:
    return 2595 * np.log10(1 + hz / 700)


def _htk_hz(mel: Array) -> Array:
    return 700 * (10 ** (mel / 2595) - 1)


# to mel, to Hz, whether a triangle's corners are rounded down to whole bins
MEL_SCALES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array], bool]] = {
    "slaney": (_slaney_mel, _slaney_hz, False),
    "htk": (_htk_mel, _htk_hz, False),
    "htk_floored": (_htk_mel, _htk_hz, True),
}
MEL_NORMS = {"peak": "every triangle reaches one", "slaney": "every triangle has area one"}
# how a value is kept off the logarithm's pole: (value, floor) -> value
FLOORS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "clamp": lambda x, floor: x.clamp(min=floor),
    "add": lambda x, floor: x + floor,
    "zero": lambda x, floor: torch.where(x == 0, floor, x),
}
# units of the natural logarithm of a power
LOGS = {"ln": 1.0, "log10": 1 / math.log(10), "db": 10 / math.log(10)}


def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "slaney",
    norm: str = "slaney",
) -> Array:
    """Triangles [n_mels, n_fft // 2 + 1], float64, spaced evenly on a mel scale.

    With many bands and a short transform a triangle may fall between two bins and be empty.

    Args:
        sample_rate: [Hz].
        n_fft: length of the transform [samples].
        n_mels: number of triangles.
        f_min: lower corner of the first [Hz].
        f_max: upper corner of the last [Hz]; None is half the sample rate.
        scale: a key of MEL_SCALES.
        norm: a key of MEL_NORMS.

    Raises:
        ValueError: if a choice is unknown or the band is not inside 0 to sample_rate / 2.

    Source: Slaney, Auditory Toolbox (1998); The HTK Book 3.4, section 5.4; corners on whole bins
    as in python_speech_features 0.6.
    """
    top = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < top <= sample_rate / 2:
        raise ValueError(
            f"f_min={f_min}, f_max={top}: expected 0 <= f_min < f_max <= {sample_rate / 2} Hz, "
            "half the sample rate; lower f_max"
        )
    to_mel, to_hz, floored = choose(MEL_SCALES, "mel_scale", scale)
    choose(MEL_NORMS, "mel_norm", norm)
    low, high = to_mel(np.array([f_min, top], dtype=np.float64))
    corners = to_hz(np.linspace(low, high, n_mels + 2))  # [Hz]
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)  # [Hz]
    area = corners[2:] - corners[:-2]  # twice, as the peak is one
    if floored:
        corners = np.floor((n_fft + 1) * corners / sample_rate)  # [bins]
        bins = np.arange(n_fft // 2 + 1, dtype=np.float64)  # [bins]
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rise = (bins - left) / np.maximum(peak - left, 1e-9)  # floored corners may coincide
    fall = (right - bins) / np.maximum(right - peak, 1e-9)
    filters = np.where(bins < peak, rise, fall).clip(min=0)
    return filters * (2 / area[:, None]) if norm == "slaney" else filters


def dct(n_out: int, n_in: int) -> Array:
    """The first n_out rows of the orthonormal DCT-II [n_out, n_in], float64."""
    k, n = np.arange(n_out)[:, None], np.arange(n_in)
    scale = np.where(k == 0, math.sqrt(1 / n_in), math.sqrt(2 / n_in))
    return scale * np.cos(np.pi * k * (n + 0.5) / n_in)


@dataclass(frozen=True, kw_only=True)
class MelCfg:
    """Everything that decides a log-mel spectrogram and its cepstra; lengths in samples."""

    sample_rate: int = 16000  # [Hz]
    n_fft: int = 512
    hop: int = 160
    window_length: int = 400
    window: str = "hann"
    periodic: bool = True
    center: bool = False
    pad_mode: str = "constant"
    fill: bool = False
    normalized: bool = False  # power / n_fft
    preemphasis: float = 0.0  # x[t] - preemphasis * x[t - 1], silence before the signal
    power: int = 2  # 1 is the magnitude
    n_mels: int = 64
    f_min: float = 0.0  # [Hz]
    f_max: float | None = None  # [Hz], None is half the sample rate
    mel_scale: str = "slaney"
    mel_norm: str = "slaney"
    log: str = "db"
    floor: float = 1e-10  # in units of the bands
    floor_rule: str = "clamp"
    top_db: float | None = None  # what lies further below a signal's own maximum is raised
    n_mfcc: int = 20  # MFCC only, as all below
    lifter: float = 0.0  # c[n] * (1 + lifter / 2 * sin(pi * (n + lifter_start) / lifter))
    lifter_start: int = 0  # 1 is librosa's
    energy: bool = False  # c[0] is the log of the frame's whole power

    def __post_init__(self) -> None:
        choose(LOGS, "log", self.log)
        choose(FLOORS, "floor_rule", self.floor_rule)
        if self.power not in (1, 2):
            raise ValueError(f"power={self.power}: expected 1 (magnitude) or 2 (power)")
        if self.top_db is not None and self.log != "db":
            raise ValueError(f"top_db={self.top_db} with log={self.log!r}: use log='db'")


def _librosa(sample_rate: int) -> MelCfg:
    """librosa.feature.melspectrogram + power_to_db, librosa.feature.mfcc (0.11)."""
    return MelCfg(
        sample_rate=sample_rate, n_fft=2048, hop=512, window_length=2048, center=True,
        n_mels=128, top_db=80.0, n_mfcc=20, lifter_start=1,
    )  # fmt: skip


def _torchaudio(sample_rate: int) -> MelCfg:
    """torchaudio.transforms.MelSpectrogram + AmplitudeToDB(top_db=80), MFCC (2.11)."""
    return MelCfg(
        sample_rate=sample_rate, n_fft=400, hop=200, window_length=400, center=True,
        pad_mode="reflect", n_mels=128, mel_scale="htk", mel_norm="peak", top_db=80.0, n_mfcc=40,
    )  # fmt: skip


def _psf(sample_rate: int) -> MelCfg:
    """python_speech_features 0.6: mfcc(numcep=20, nfilt=32), logfbank(nfilt=n_mels).

    SwishNet's front-end (arXiv 1812.00149), and with n_mels=64 LogMel is its teacher's.
    """
    length = math.floor(0.025 * sample_rate + 0.5)
    return MelCfg(
        sample_rate=sample_rate, n_fft=2 ** math.ceil(math.log2(0.025 * sample_rate)),
        hop=math.floor(0.01 * sample_rate + 0.5), window_length=length, window="rect",
        fill=True, normalized=True, preemphasis=0.97, n_mels=32, mel_scale="htk_floored",
        mel_norm="peak", log="ln", floor=EPS, floor_rule="zero", n_mfcc=20, lifter=22.0,
        energy=True,
    )  # fmt: skip


PRESETS: dict[str, Callable[[int], MelCfg]] = {
    "librosa": _librosa,
    "torchaudio": _torchaudio,
    "psf": _psf,
}


def mel_cfg(preset: str, sample_rate: int, **changes: Any) -> MelCfg:
    """The cfg that makes LogMel and MFCC equal to another library at a rate [Hz].

    Window and hop of "psf" are 25 and 10 ms and its transform is the next power of two (at 16
    kHz its default, 512); those of "librosa" and "torchaudio" are samples at
    every rate, as there.

    >>> mel_cfg("psf", 8000, n_mfcc=13).window_length
    200
    """
    return replace(choose(PRESETS, "preset", preset)(sample_rate), **changes)


class LogMel(nn.Module):
    """Log-mel spectrogram; a `FixedNorm` after it standardises.

    Args:
        cfg: what to compute.
        energy: append one row, the log of the frame's whole power.
    """

    def __init__(self, cfg: MelCfg, energy: bool = False):
        super().__init__()
        self.cfg = c = cfg
        self.stft = STFT(
            c.n_fft, c.hop, c.window_length, window=c.window, center=c.center,
            pad_mode=c.pad_mode, fill=c.fill, normalized=c.normalized, periodic=c.periodic,
        )  # fmt: skip
        filters = mel_filters(
            c.sample_rate, c.n_fft, c.n_mels, c.f_min, c.f_max, c.mel_scale, c.mel_norm
        )
        filters = np.vstack([filters, np.ones((int(energy), filters.shape[1]))])
        # A power's two squares, of the real and the imaginary part, are added by the filters
        self.filters = Constant(np.repeat(filters, c.power, axis=1).T.copy())  # [F * power, bands]
        self.unit = LOGS[c.log] * 2 / c.power if c.log == "db" else LOGS[c.log]
        self.sample_rate, self.hop, self.window = c.sample_rate, c.hop, c.window_length
        self.latency = self.stft.latency  # [samples]
        self.receptive_field = None if c.top_db else self.window + bool(c.preemphasis)  # [samples]

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        return self.stft.frames(n_samples)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """Samples [..., T] -> log bands [..., n_mels, L].

        Args:
            x: signals, padded with zeros to one length.
            context: what lies around them.
            lengths: [...], their own lengths [samples]: pre-emphasis, which would otherwise sound
                on for one sample, ends there, so that padding changes no frame.

        Raises:
            ValueError: if the signal is empty or has another dtype, or its end would be needed in
                a stream or, for pad_mode="reflect", in a padded batch.
        """
        cfg, filters = self.cfg, self.filters.value
        if cfg.top_db is not None and context.streaming:
            raise ValueError(
                f"top_db={cfg.top_db} in a stream: the floor hangs on the maximum of the whole "
                "signal, which has not come yet; use top_db=None"
            )
        if cfg.preemphasis and x.shape[-1]:
            wide = context.at("preemphasis").left(x, 1)
            x = torch.sub(wide[..., 1:], wide[..., :-1], alpha=cfg.preemphasis)
        if lengths is not None:
            if cfg.center and cfg.pad_mode == "reflect":
                raise ValueError("lengths with pad_mode='reflect': use pad_mode='constant'")
            x = x.where(torch.arange(x.shape[-1], device=x.device) < lengths[..., None], 0)
        bands = []
        with full_precision(x):
            for spec in self.stft.tiles(x, context):
                if cfg.power == 2:
                    y = torch.view_as_real(spec).flatten(-2).square_() @ filters  # [..., n, bands]
                else:
                    y = spec.abs() @ filters
                y = FLOORS[cfg.floor_rule](y, cfg.floor).log() * self.unit
                bands.append(y.transpose(-1, -2))
        if not bands:
            return x.new_zeros(*x.shape[:-1], filters.shape[1], 0)
        y = torch.cat(bands, dim=-1)
        if cfg.top_db is not None:
            loudest = y[..., : cfg.n_mels, :].amax(dim=(-2, -1), keepdim=True)
            y = torch.maximum(y, loudest - cfg.top_db)
        return y


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients: the DCT of the log bands, liftered.

    Args:
        cfg: what to compute.

    Raises:
        ValueError: if n_mfcc is not 1 to n_mels.
    """

    def __init__(self, cfg: MelCfg):
        super().__init__()
        if not 1 <= cfg.n_mfcc <= cfg.n_mels:
            raise ValueError(f"n_mfcc={cfg.n_mfcc}: expected 1 to n_mels={cfg.n_mels}")
        self.cfg = cfg
        self.bands = LogMel(cfg, energy=cfg.energy)
        basis = dct(cfg.n_mfcc, cfg.n_mels)
        if cfg.lifter:
            n = np.arange(cfg.n_mfcc)[:, None] + cfg.lifter_start
            basis *= 1 + cfg.lifter / 2 * np.sin(np.pi * n / cfg.lifter)
        if cfg.energy:  # its row of the bands becomes the first cepstrum
            basis = np.pad(basis, ((0, 0), (0, 1)))
            basis[0] = np.arange(cfg.n_mels + 1) == cfg.n_mels
        self.basis = Constant(basis)
        self.sample_rate, self.hop, self.window = cfg.sample_rate, cfg.hop, cfg.window_length
        self.latency, self.receptive_field = self.bands.latency, self.bands.receptive_field

    def frames(self, n_samples: Count) -> Count:
        """Number of frames of signals of n_samples; an int gives an int, a Tensor a Tensor."""
        return self.bands.frames(n_samples)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """Samples [..., T] -> cepstra [..., n_mfcc, L]; takes and raises what LogMel does."""
        with full_precision(x):
            return torch.matmul(self.basis.value, self.bands(x, context, lengths))


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Autocast off: a power spectrum leaves the range of half precision."""
    on = x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)
    return torch.autocast(x.device.type, enabled=False) if on else nullcontext()


def deltas(x: Tensor, width: int = 2, order: int = 1, context: Context = WHOLE) -> Tensor:
    """Derivative over time of the polynomial of degree `order` fitted to 2 * width + 1 frames.

    Features [..., L] -> [..., L]; a stream lags by `width` frames. The edge frames are repeated.
    Order 1 is the regression of HTK, python_speech_features, torchaudio (win_length = 2 * width
    + 1) and librosa (mode="nearest"); higher orders are librosa's.

    Raises:
        ValueError: if there are no frames, or fewer than the fit needs.

    Source: Savitzky & Golay, Analytical Chemistry 36 (1964); The HTK Book 3.4, equation 5.16.
    """
    if order < 1 or width < 1 or 2 * width < order:
        raise ValueError(f"width={width}, order={order}: expected 1 <= order <= 2 * width")
    if not context.streaming and not x.shape[-1]:
        raise ValueError("features of 0 frames: expected at least 1; give a longer signal")
    wide = context.around(x, width, width, "repeat")
    n = max(wide.shape[-1] - 2 * width, 0)
    time = np.arange(-width, width + 1)[:, None] ** np.arange(order + 1)
    kernel = math.factorial(order) * np.linalg.pinv(time.astype(np.float64))[order]
    y = wide.new_zeros(*wide.shape[:-1], n)
    for i, weight in enumerate(kernel.tolist()):
        y = y + weight * wide[..., i : i + n]
    return y


class Deltas(nn.Module):
    """Features with their derivatives of order 1 to `order` beneath, all of the same frame.

    Args:
        width: frames on either side that a slope is fitted to.
        order: 2 adds deltas and deltas of deltas.
        kind: a key of KINDS.

    Attributes:
        lag: how many frames a stream's output is behind its input.
    """

    KINDS: ClassVar = {
        "regression": "the slope of the slope, as in speech recognition",
        "savgol": "the second derivative of a parabola, as in librosa",
    }

    def __init__(self, width: int = 2, order: int = 2, kind: str = "regression"):
        super().__init__()
        choose(self.KINDS, "kind", kind)
        self.width, self.order, self.kind = width, order, kind
        self.lag = width * order if kind == "regression" else width  # [frames]

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """Features [..., F, L] -> [..., F * (1 + order), L]."""
        parts, width = [x], self.width
        if self.kind == "savgol":
            slopes = [deltas(x, width, i + 1, context.at(i)) for i in range(self.order)]
            return torch.cat([self._lag(x, slopes[0], context.at("x")), *slopes], dim=-2)
        for i in range(self.order):
            here = context.at(i)
            slope = deltas(parts[-1], width, 1, here.at("slope"))
            late = [self._lag(part, slope, here.at(j)) for j, part in enumerate(parts)]
            parts = [*late, slope]
        return torch.cat(parts, dim=-2)

    def _lag(self, x: Tensor, slope: Tensor, context: Context) -> Tensor:
        """`x` as late as `slope`, which waited for `width` more frames."""
        return context.around(x, 0, self.width)[..., : slope.shape[-1]]
