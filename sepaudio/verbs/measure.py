"""Figures of one estimate beside its source and, where it is there, beside the mixture.

Figures are means over the channels where the source is not silent. A source that is silent in all
has no figures but `leak`, the level of its estimate beside the mixture [dB]. With a mixture there
are two more of each figure: that of the mixture (`_input`) and the improvement over it (`_i`).
`wrong` is 1 where the estimate is nearer to another signal than to its source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import doors, metrics
from .scores import Row

Array = NDArray[np.float64]
Figure = Callable[[Array, Array, int], float]

FIGURES: dict[str, Figure] = {
    "si_snr": lambda estimate, source, rate: float(metrics.si_snr(estimate, source)),
    "si_sdr": lambda estimate, source, rate: float(metrics.si_sdr(estimate, source)),
    "snr": lambda estimate, source, rate: float(metrics.snr(estimate, source)),
    "sdr": lambda estimate, source, rate: metrics.sdr(estimate, source),
    "museval_sdr": metrics.museval_sdr,
    "pesq": metrics.pesq,
    "stoi": metrics.stoi,
}
JOINT = ("museval_sdr",)  # of all channels at once
NEEDS = {
    "sdr": doors.torchmetrics,
    "museval_sdr": doors.museval,
    "pesq": doors.pesq,
    "stoi": doors.pystoi,
}


def chosen(figures: Sequence[str]) -> tuple[str, ...]:
    """The figures to measure: SI-SNR and those asked for, each once.

    Raises:
        ValueError: one is unknown.
        ImportError: one needs a package that is not installed.
    """
    for name in figures:
        if name not in FIGURES:
            raise ValueError(f"figure {name!r}: expected some of {', '.join(FIGURES)}")
        if name in NEEDS:
            NEEDS[name]()
    return tuple(dict.fromkeys(("si_snr", *figures)))


def measure(
    about: Row,
    estimate: Array,
    source: Array,
    sample_rate: int,
    figures: Sequence[str],
    mixture: Array | None = None,
    others: Array | None = None,
) -> Row:
    """Fill in what can be measured.

    Args:
        about: what is known of the row.
        estimate: [C, T].
        source: [C, T].
        sample_rate: [Hz].
        figures: keys of `FIGURES`.
        mixture: [C, T].
        others: [N, C, T] what the estimate must not be nearer to; None when that is not asked.
    """
    quiet = [name for name, x in (("reference", source), ("estimate", estimate)) if _silent(x)]
    loud = "reference" not in quiet
    values: dict[str, float | None] = {}
    errors: list[str] = []

    def figure(name: str, of: str, x: Array) -> float | None:
        values[of] = _figure(name, of, x, source, sample_rate, errors) if loud else None
        return values[of]

    for name in figures:
        if mixture is None:
            figure(name, name, estimate)
            continue
        before = figure(name, f"{name}_input", mixture)
        after = figure(name, name, estimate)
        values[f"{name}_i"] = None if before is None or after is None else after - before
    if others is not None:
        values["wrong"] = _wrong(estimate, source, others) if loud else None
    if mixture is not None:
        values["leak"] = None
        if not loud and not _silent(mixture):
            values["leak"] = float(metrics.level(estimate.ravel(), mixture.ravel()))
    return replace(
        about,
        seconds=source.shape[-1] / sample_rate,
        silent="both" if len(quiet) == 2 else "".join(quiet),
        sir_db=_sir(mixture, source) if mixture is not None and loud else None,
        figures=values,
        error="; ".join(errors),
    )


def order(sources: NDArray[Any], estimates: NDArray[Any]) -> list[int]:
    """Which estimate answers each source, by the SI-SNR of all together; both [S, ..., T]."""
    if len(sources) == 1:
        return [0]
    import torch

    from ..losses import pit

    made, clean = (torch.from_numpy(x.astype(np.float64))[None] for x in (estimates, sources))
    return [int(j) for j in pit(made, clean)[1][0]]


def _figure(
    name: str, of: str, estimate: Array, source: Array, rate: int, errors: list[str]
) -> float | None:
    """A figure of [C, T]; what went wrong is added to the errors."""
    try:
        if name in JOINT:
            return FIGURES[name](estimate, source, rate)
        heard = zip(estimate, source, strict=True)
        return float(np.mean([FIGURES[name](a, b, rate) for a, b in heard if not _silent(b)]))
    except ValueError as error:
        errors.append(f"{of}: {error}")
        return None


def _wrong(estimate: Array, source: Array, others: Array) -> float | None:
    heard = [x.ravel() for x in others if not _silent(x)]
    if not heard:
        return None
    return float(metrics.wrong_source(estimate.ravel(), source.ravel(), np.stack(heard)))


def _sir(mixture: Array, source: Array) -> float | None:
    """The source over everything else [dB]; None where there is nothing else."""
    if _silent(mixture - source):
        return None
    return float(metrics.snr(mixture.ravel(), source.ravel()))


def _silent(x: Array) -> bool:
    return bool(metrics.silent(x).all())
