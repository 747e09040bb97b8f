"""How near an estimate is to its source [dB]; higher is better. Arrays [..., T] give [...].

| source | estimate | si_snr, si_sdr, snr |
| --- | --- | --- |
| silent | silent | 0 |
| silent | not | -10 log10((E + EPS) / EPS) with E its energy: the louder, the worse |
| not | silent | 0 |
| not | equal to it | 120 |
| not | orthogonal to it | -120 (`snr` has no lower end) |

Silent is an energy (sum of squares) of at most 1e-12, a thousandth of one sample of the least
16-bit level; `si_snr` removes the means first, so that constants and single samples are silent
there. Signals that are not silent have no floor: a gain changes `si_snr` and `si_sdr` by rounding
only, at any level. A system that says nothing gets 0 dB, more than a bad mixture has: count such
estimates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Figure = Callable[[ArrayLike, ArrayLike], Floats]

SILENT = 1e-12  # energy
LIMIT = 120.0  # [dB]
FLOOR = 10 ** (-LIMIT / 10)  # share of energy that is not told from nothing
EPS = 1e-8  # energy beside which an estimate of silence is measured


def si_snr(estimate: ArrayLike, source: ArrayLike) -> Floats:
    """estimate, source [..., T] -> SI-SNR [...]: the means are removed, then `si_sdr`.

    Raises:
        ValueError: shapes differ, there are no samples, or one is not finite.

    Source: Luo & Mesgarani 2019 (1809.07454), eq. 7 and 8.
    """
    estimate, source = fitting(estimate, source)
    return _scale_invariant(_centred(estimate), _centred(source))


def si_sdr(estimate: ArrayLike, source: ArrayLike) -> Floats:
    """estimate, source [..., T] -> SI-SDR [...]: the source, scaled to fit, against the rest.

    Raises:
        ValueError: as `si_snr`.

    Source: Le Roux et al. 2018 (1811.02508), eq. 3.
    """
    return _scale_invariant(*fitting(estimate, source))


def snr(estimate: ArrayLike, source: ArrayLike) -> Floats:
    """estimate, source [..., T] -> SNR [...]: the source against the difference.

    Raises:
        ValueError: as `si_snr`.
    """
    estimate, source = fitting(estimate, source)
    power = _energy(source)
    there = np.where(power > SILENT, power, 1)
    ratio = np.maximum(_energy(estimate - source) / there, FLOOR)
    return np.asarray(np.where(power > SILENT, -10 * np.log10(ratio), -_loudness(estimate)))


def improvement(
    figure: Figure, estimate: ArrayLike, source: ArrayLike, mixture: ArrayLike
) -> Floats:
    """How much better the estimate is than the mixture, by a figure of this file."""
    return np.asarray(figure(estimate, source) - figure(mixture, source))


def wrong_source(estimate: ArrayLike, source: ArrayLike, others: ArrayLike) -> bool:
    """Whether the estimate [T] is nearer by SI-SNR to one of `others` [S, T] than to the source."""
    others = np.asarray(others)
    estimate = np.broadcast_to(np.asarray(estimate), others.shape)
    return bool(si_snr(estimate, others).max() > si_snr(estimate[0], source))


def silent(x: ArrayLike) -> NDArray[np.bool_]:
    """x [..., T] -> whether it is silent [...] by the rule above, its mean included."""
    return np.asarray(_energy(np.asarray(x, dtype=np.float64)) <= SILENT)


def level(x: ArrayLike, beside: ArrayLike) -> Floats:
    """x, beside [..., T] -> level of x beside another [...]; -120 where it is 120 dB down or more.

    Raises:
        ValueError: as `si_snr`, or the other is silent.
    """
    x, beside = fitting(x, beside)
    if silent(beside).any():
        raise ValueError("the signal to measure beside is silent: expected one with energy")
    return np.asarray(10 * np.log10(np.maximum(_energy(x) / _energy(beside), FLOOR)))


def fitting(estimate: ArrayLike, source: ArrayLike) -> tuple[Floats, Floats]:
    """Both in float64; what does not fit is refused."""
    a, b = np.asarray(estimate, dtype=np.float64), np.asarray(source, dtype=np.float64)
    if a.shape != b.shape or a.ndim == 0 or a.shape[-1] == 0:
        raise ValueError(
            f"the estimate has shape {list(a.shape)}, the source {list(b.shape)}: "
            "expected the same [..., T], T > 0; cut them to one length"
        )
    for name, x in (("estimate", a), ("source", b)):
        if not np.isfinite(x).all():
            raise ValueError(f"the {name} holds {x[~np.isfinite(x)][0]}: expected finite samples")
    return a, b


def _scale_invariant(estimate: Floats, source: Floats) -> Floats:
    power, loudness = _energy(source), _energy(estimate)
    there = np.where(power > SILENT, power, 1)
    gain = (estimate * source).sum(axis=-1) / there
    target = gain[..., None] * source
    least = FLOOR * np.where(loudness > SILENT, loudness, 1)  # 1 makes silence 0 dB
    ratio = np.maximum(_energy(target), least) / np.maximum(_energy(estimate - target), least)
    return np.asarray(np.where(power > SILENT, 10 * np.log10(ratio), -_loudness(estimate)))


def _energy(x: Floats) -> Any:
    return np.square(x).sum(axis=-1)


def _loudness(x: Floats) -> Any:
    return 10 * np.log10((_energy(x) + EPS) / EPS)


def _centred(x: Floats) -> Floats:
    return np.asarray(x - x.mean(axis=-1, keepdims=True))
