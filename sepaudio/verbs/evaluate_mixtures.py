"""How well a separator or an extractor does on a list of mixtures.

Of every mixture: SI-SNR of the mixture and of the estimate, and the improvement, in dB, means
removed, the mean over the sources of a separator in their best order. An extractor is given the
first enrollment of the row; it followed the wrong speaker where its estimate is more like another
source than like the target.
"""

from __future__ import annotations

import csv
import io as text_io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import io, metrics
from ..data import mixtures
from ..data.dataset import ListedMixtures
from ..data.render import Example
from ..losses import pit, reorder
from .given import Array, place
from .separate import run

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One mixture.

    Attributes:
        id: its name in the list.
        seconds: duration.
        sir_db: of the target over everything else [dB]; None for a separator.
        before: SI-SNR of the mixture [dB].
        after: SI-SNR of the estimate [dB].
        improvement: after - before [dB].
        wrong: whether an extractor followed another speaker; None where nobody else speaks.
    """

    id: str
    seconds: float
    sir_db: float | None
    before: float
    after: float
    improvement: float
    wrong: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A list.

    Attributes:
        mixtures: how many.
        before: mean SI-SNR of the mixtures [dB].
        after: mean SI-SNR of the estimates [dB].
        improvement: mean improvement [dB].
        interval: its 95 % bootstrap interval, drawn over mixtures [dB].
        wrong: share of mixtures in which the wrong speaker was followed; None where only one
            speaks.
    """

    mixtures: int
    before: float
    after: float
    improvement: float
    interval: tuple[float, float]
    wrong: float | None


def evaluate_mixtures(
    model: str | Path | nn.Module,
    rows: str | Path | Sequence[mixtures.Mixture],
    *,
    device: str = "auto",
    examples: str | Path | None = None,
    n_examples: int = 3,
) -> list[Scored]:
    """Score a separator or an extractor on a list of mixtures.

    Args:
        model: model folder, name of weights, or a loaded model.
        rows: a list (CSV) or its rows.
        device: "auto", "cpu", "cuda" or "mps".
        examples: folder for mixture, sources and estimates of the first mixtures, as audio.
        n_examples: how many of them.

    Raises:
        ValueError: the list has another rate or other sources than the model's, or no enrollment.
    """
    net = place(model, device, "extraction", "separation")
    listed = rows if not isinstance(rows, str | Path) else mixtures.read(rows)
    if not listed:
        raise ValueError("the list has no mixtures: nothing to measure")
    scored = []
    for i, (row, made) in enumerate(zip(listed, _made(listed, net), strict=True)):
        score = _extracted if net.task == "extraction" else _separated
        result, estimates = score(net, row, made)
        scored.append(result)
        if examples is not None and i < n_examples:
            _write(Path(examples) / row.id, made, estimates)
    return scored


def summary(scored: Sequence[Scored], seed: int = 0) -> Summary:
    """Means and the interval of the improvement."""
    gains = np.array([s.improvement for s in scored])
    wrong = [s.wrong for s in scored if s.wrong is not None]
    return Summary(
        mixtures=len(scored),
        before=float(np.mean([s.before for s in scored])),
        after=float(np.mean([s.after for s in scored])),
        improvement=float(gains.mean()),
        interval=metrics.mean_interval([[gain] for gain in gains], seed=seed),
        wrong=float(np.mean(wrong)) if wrong else None,
    )


def as_csv(scored: Iterable[Scored]) -> str:
    """One line a mixture."""
    text = text_io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Scored)], lineterminator="\n")
    writer.writeheader()
    for row in scored:
        writer.writerow(
            {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(row).items()}
        )
    return text.getvalue()


def as_markdown(name: str, found: Summary) -> str:
    """One row: name, mixtures, before, after, improvement (interval), wrong speaker."""
    wrong = "" if found.wrong is None else f"{100 * found.wrong:.1f} %"
    low, high = found.interval
    return (
        f"| {name} | {found.mixtures} | {found.before:.2f} | {found.after:.2f} | "
        f"{found.improvement:.2f} ({low:.2f} to {high:.2f}) | {wrong} |\n"
    )


HEAD = (
    "| list | mixtures | SI-SNR of the mixture, dB | of the estimate | improvement (95 %) | "
    "wrong speaker |\n| --- | --- | --- | --- | --- | --- |\n"
)


def _made(rows: Sequence[mixtures.Mixture], net: Any) -> Iterable[Example]:
    for row in rows:
        if row.sample_rate != net.sample_rate:
            raise ValueError(
                f"mixture {row.id} is at {row.sample_rate} Hz: expected the model's "
                f"{net.sample_rate}; make the list at that rate"
            )
    listed = ListedMixtures(rows)
    return (listed[i] for i in range(len(listed)))


def _extracted(net: Any, row: mixtures.Mixture, made: Example) -> tuple[Scored, Array]:
    if made.target < 0 or not len(made.enrollment):
        raise ValueError(f"mixture {row.id}: expected a target and an enrollment of it")
    like = next(net.parameters())
    with torch.inference_mode():
        embedding = net.enroll(torch.from_numpy(made.enrollment).to(like)[None])
    estimate = run(net, made.mixture, (embedding,))
    target = made.sources[made.target]
    before = float(metrics.si_snr(made.mixture, target))
    after = float(metrics.si_snr(estimate[0], target))
    others = np.delete(made.sources, made.target, axis=0)
    return (
        Scored(
            id=row.id,
            seconds=len(made.mixture) / made.sample_rate,
            sir_db=float(metrics.snr(made.mixture, target)),
            before=before,
            after=after,
            improvement=after - before,
            wrong=metrics.wrong_source(estimate[0], target, others) if len(others) else None,
        ),
        estimate,
    )


def _separated(net: Any, row: mixtures.Mixture, made: Example) -> tuple[Scored, Array]:
    if len(made.sources) != net.cfg.n_src:
        raise ValueError(
            f"mixture {row.id} has {len(made.sources)} sources: expected the model's "
            f"{net.cfg.n_src}"
        )
    estimates = run(net, made.mixture, ())
    given, sources = (torch.from_numpy(x)[None].double() for x in (estimates, made.sources))
    ordered: Array = reorder(given, pit(given, sources)[1])[0].float().numpy()
    mixture = np.broadcast_to(made.mixture, made.sources.shape)
    before = float(metrics.si_snr(mixture, made.sources).mean())
    after = float(metrics.si_snr(ordered, made.sources).mean())
    return (
        Scored(
            id=row.id,
            seconds=len(made.mixture) / made.sample_rate,
            sir_db=None,
            before=before,
            after=after,
            improvement=after - before,
        ),
        ordered,
    )


def _write(folder: Path, made: Example, estimates: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    io.write(folder / "mixture.wav", made.mixture, made.sample_rate)
    for kind, signals in (("source", made.sources), ("estimate", estimates)):
        for number, x in enumerate(signals, start=1):
            io.write(folder / f"{kind}_{number}.wav", x, made.sample_rate)
    if len(made.enrollment):
        io.write(folder / "enrollment.wav", made.enrollment, made.sample_rate)
