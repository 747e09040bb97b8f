"""Figures that a library defines: BSS-eval's SDR, PESQ and STOI; each imported when it is called.

One estimate [T] and one source [T]; `museval_sdr` takes channels too. A signal that is silent, or
too short, has none of them: that is an error, never a number.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from .. import doors
from .signal import LIMIT, Floats, fitting, silent

PESQ_MODES = {8000: "nb", 16000: "wb"}  # sample rate [Hz]: P.862.1 and P.862.2
SHORTEST = 0.384  # [s] STOI hears this much at once


def sdr(estimate: ArrayLike, source: ArrayLike, taps: int = 512) -> float:
    """SDR of BSS-eval [dB], at most 120, by torchmetrics: a filter between the two is no error.

    Args:
        estimate: [T]
        source: [T]
        taps: of the filter.

    Raises:
        ValueError: shapes differ, a signal is silent, not longer than the filter, or has no SDR.
        ImportError: torchmetrics is not installed.

    Source: Vincent et al. 2006, with the 512 taps of its third version; for one estimate it does
    not depend on the other sources.
    """
    estimate, source = _heard(estimate, source)
    if len(source) <= taps:
        raise ValueError(
            f"{len(source)} samples: expected more than the {taps} taps of the filter, which "
            "would make any sound of any other"
        )
    module = doors.torchmetrics()
    import torch

    try:
        value = float(
            module.functional.audio.signal_distortion_ratio(
                torch.from_numpy(estimate), torch.from_numpy(source), filter_length=taps
            )
        )
    except RuntimeError as error:
        raise ValueError(f"no SDR: {error}") from error
    if math.isnan(value):
        raise ValueError("torchmetrics finds no SDR: the source has too few frequencies")
    return min(value, LIMIT)


def museval_sdr(estimate: ArrayLike, source: ArrayLike, sample_rate: int) -> float:
    """SDR of BSS-eval's fourth version [dB], at most 120 either way, by museval.

    The median over seconds of the source against the difference, as the campaign of 2018 gives it
    for music: unlike in `sdr` a filter between the two is an error. Seconds in which a signal is
    all zeros are left out, as is what follows the last whole second; less than a second is one
    stretch. For one estimate it does not depend on the other sources.

    Args:
        estimate: [T] or [C, T]; the energies of channels are added.
        source: of the same shape.
        sample_rate: [Hz].

    Raises:
        ValueError: shapes differ, or a signal is silent, in all or whenever the other is not.
        ImportError: museval is not installed.

    Source: Stöter, Liutkus & Ito 2018 (1804.06267).
    """
    a, b = fitting(estimate, source)
    for name, x in (("estimate", a), ("source", b)):
        if silent(x).all():
            raise ValueError(f"the {name} is silent: expected a signal with energy")
    module = doors.museval()
    made, clean = (np.atleast_2d(x).T[None] for x in (a, b))
    found = module.metrics.bss_eval(clean, made, window=sample_rate, hop=sample_rate)[0]
    found = found[~np.isnan(found)]
    if not len(found):
        raise ValueError("museval finds no second in which both signals are heard")
    return float(np.clip(np.median(found), -LIMIT, LIMIT))


def pesq(estimate: ArrayLike, source: ArrayLike, sample_rate: int) -> float:
    """PESQ as a listener's opinion (MOS-LQO): narrow band at 8 kHz, wide band at 16 kHz.

    Raises:
        ValueError: another rate, shapes differ, a signal is silent, or PESQ finds no speech.
        ImportError: pesq is not installed.

    Source: ITU-T P.862.1 and P.862.2.
    """
    if sample_rate not in PESQ_MODES:
        raise ValueError(
            f"sample_rate={sample_rate}: PESQ knows 8000 (narrow band) and 16000 Hz (wide band); "
            "resample both signals to one of these"
        )
    estimate, source = _heard(estimate, source)
    module = doors.pesq()
    try:
        return float(module.pesq(sample_rate, source, estimate, PESQ_MODES[sample_rate]))
    except module.PesqError as error:
        reason = error.args[0] if error.args else type(error).__name__
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"no PESQ: {text}") from error


def stoi(estimate: ArrayLike, source: ArrayLike, sample_rate: int, extended: bool = False) -> float:
    """Intelligibility, at most 1, by pystoi; signals are resampled to 10 kHz in there.

    Raises:
        ValueError: shapes differ, a signal is silent, or less than 0.384 s are loud enough.
        ImportError: pystoi is not installed.

    Source: Taal et al. 2011; extended: Jensen & Taal 2016.
    """
    estimate, source = _heard(estimate, source)
    module = doors.pystoi()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it warns, then gives 1e-5
        try:
            return float(module.stoi(source, estimate, sample_rate, extended=extended))
        except (RuntimeWarning, ValueError) as error:
            raise ValueError(
                f"no STOI: less than {SHORTEST} s of the source are within 40 dB of its loudest"
            ) from error


def _heard(estimate: ArrayLike, source: ArrayLike) -> tuple[Floats, Floats]:
    a, b = fitting(estimate, source)
    if a.ndim != 1:
        raise ValueError(f"signals of shape {list(a.shape)}: expected [T]; give one at a time")
    for name, x in (("estimate", a), ("source", b)):
        if silent(x):
            raise ValueError(f"the {name} is silent: expected a signal with energy")
    return a, b
