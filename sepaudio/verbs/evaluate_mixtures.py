"""How well a separator or an extractor does on a list of mixtures.

Of every mixture: the figures of the mixture, of the estimate, and the improvement; a separator's
sources in their best order by SI-SNR, each a row. An extractor is given the first enrollment of the
row; `wrong` tells where its estimate is nearer to another source than to the target, and `leak` how
loud it is where the enrolled speaker is absent (a row without target); `presence` is the mean of
what the extractor thinks of that, where it judges it. In lists of mode max a
source is measured while it lasts: where it is only padded, its estimate counts for nothing. What is
measured stands in `verbs/measure.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import io
from ..data import mixtures
from ..data.dataset import ListedMixtures
from ..data.mixtures import Mixture, Part
from ..data.render import Example
from .given import Array, place
from .measure import chosen, measure, order
from .presence import where_present
from .scores import Row
from .separate import run

if TYPE_CHECKING:
    from torch import nn


def evaluate_mixtures(
    model: str | Path | nn.Module,
    rows: str | Path | Sequence[Mixture],
    *,
    figures: Sequence[str] = ("si_snr",),
    truncate: bool = True,
    genders: Mapping[str, str] | None = None,
    least: float | None = None,
    device: str = "auto",
    examples: str | Path | None = None,
    n_examples: int = 3,
) -> Iterator[Row]:
    """Score a separator or an extractor; a mixture that fails is a row whose `error` says why.

    Args:
        model: model folder, name of weights, or a loaded model.
        rows: a list (CSV) or its rows.
        figures: keys of `measure.FIGURES`; SI-SNR is always measured.
        truncate: leave out the padding of the source in lists of mode max; else measure all.
        genders: by speaker, for parts that have none in the list.
        least: probability of the speaker below which an estimate is silenced: 0 for never, None
            for what the model says.
        device: "auto", "cpu", "cuda" or "mps".
        examples: folder for mixture, sources and estimates of the first mixtures, as audio.
        n_examples: how many of them.

    Raises:
        ValueError: the list has another rate or other sources than the model's, or no enrollment;
            a figure is unknown.
        ImportError: a figure needs a package that is not installed.
    """
    net = place(model, device, "extraction", "separation")
    listed = rows if not isinstance(rows, str | Path) else mixtures.read(rows)
    if not listed:
        raise ValueError("the list has no mixtures: nothing to measure")
    for row in listed:
        _check(net, row)
    names = chosen(figures)
    return _scored(net, listed, names, truncate, genders or {}, least, examples, n_examples)


def _check(net: Any, row: Mixture) -> None:
    if row.sample_rate != net.sample_rate:
        raise ValueError(
            f"mixture {row.id} is at {row.sample_rate} Hz: expected the model's "
            f"{net.sample_rate}; make the list at that rate"
        )
    if net.task == "extraction" and not row.enrollments:
        raise ValueError(f"mixture {row.id}: expected an enrollment of the speaker to extract")
    if net.task == "separation" and len(row.sources) != net.cfg.n_src:
        raise ValueError(
            f"mixture {row.id} has {len(row.sources)} sources: expected the model's {net.cfg.n_src}"
        )


def _scored(
    net: Any,
    listed: Sequence[Mixture],
    figures: Sequence[str],
    truncate: bool,
    genders: Mapping[str, str],
    least: float | None,
    examples: str | Path | None,
    n_examples: int,
) -> Iterator[Row]:
    data = ListedMixtures(listed)
    for i, row in enumerate(listed):
        try:
            made = data[i]
        except (ValueError, OSError) as error:
            yield Row(file=row.id, error=str(error))
            continue
        given, judged = _given(net, made), {}
        estimates = run(net, made.mixture, given)
        if given and net.cfg.presence:
            estimates[0], heard = where_present(net, made.mixture, estimates[0], given[0], least)
            judged = {"presence": float(heard.presence.mean())} if heard else {}
        which: list[int | None] = [row.target]
        if net.task == "separation":
            which = list(range(len(made.sources)))
            best = order(made.sources, estimates)
        else:
            best = [0]
        pair = _genders(row.sources, genders)
        for source, j in zip(which, best, strict=True):
            about = Row(
                file=row.id,
                source="" if net.task == "extraction" else f"s{(source or 0) + 1}",
                estimate=j + 1,
                genders=pair,
            )
            span = _span(row, made, source) if truncate else slice(None)
            scored = _row(about, made, source, estimates[j], span, figures)
            yield replace(scored, figures={**scored.figures, **judged})
        if examples is not None and i < n_examples:
            _write(Path(examples) / row.id, made, estimates[best])


def _given(net: Any, made: Example) -> tuple[Any, ...]:
    if net.task != "extraction":
        return ()
    like = next(net.parameters())
    with torch.inference_mode():
        return (net.enroll(torch.from_numpy(made.enrollment).to(like)[None]),)


def _row(
    about: Row,
    made: Example,
    source: int | None,
    estimate: Array,
    span: slice,
    figures: Sequence[str],
) -> Row:
    """Measure one estimate against a source, or against silence where it is None."""
    sources = made.sources.astype(np.float64)[:, None, span]
    others = None
    if not about.source:
        others = sources if source is None else np.delete(sources, source, axis=0)
    return measure(
        about,
        estimate.astype(np.float64)[None, span],
        np.zeros_like(sources[0]) if source is None else sources[source],
        made.sample_rate,
        figures,
        made.mixture.astype(np.float64)[None, span],
        others,
    )


def _span(row: Mixture, made: Example, source: int | None) -> slice:
    """Where a source is not padding."""
    if row.mode != "max" or source is None:
        return slice(None)
    return slice(*made.drawn["spans"][source])


def _genders(sources: Sequence[Part], known: Mapping[str, str]) -> str:
    """As in "f+m"; empty when one is unknown, or only one speaks."""
    found = [part.gender or known.get(part.speaker, "") for part in sources]
    return "+".join(found) if len(found) > 1 and all(found) else ""


def _write(folder: Path, made: Example, estimates: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    io.write(folder / "mixture.wav", made.mixture, made.sample_rate)
    for kind, signals in (("source", made.sources), ("estimate", estimates)):
        for number, x in enumerate(signals, start=1):
            io.write(folder / f"{kind}_{number}.wav", x, made.sample_rate)
    if len(made.enrollment):
        io.write(folder / "enrollment.wav", made.enrollment, made.sample_rate)
