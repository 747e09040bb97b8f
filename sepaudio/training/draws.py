"""Mixtures of a step or of a validation: drawn by workers, made there or where the model learns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..data.batched import Batched, to
from ..data.dataset import Shuffled, collate
from ..data.mixing import Mixer
from . import survey
from .loop import Draw, Objective, Paced
from .recipe import MixtureRecipeCfg

Batch = dict[str, Tensor]
Source: TypeAlias = Mixer | Shuffled | Batched
SHARE = 0.5  # of a device's free memory that recordings may take


def batch_at(source: Source, batch: int, seed: int) -> Draw:
    """A function from the step's number to its mixtures; each is its own pure function.

    Of a `Batched` source it gives what was drawn; the objective that is `hearing` it makes them.
    """

    def draw(step: int, part: int, parts: int) -> dict[str, Any]:
        first = step * batch
        return _drawn(source, seed, range(first + part, first + batch, parts))

    return draw


def hearing(objective: Objective, source: Source) -> Objective:
    """An objective of what `batch_at` draws from a source."""
    if not isinstance(source, Batched):
        return objective
    # Shapes differ with every draw: compiled for each of them, mixing would soon be given up on.
    made: Any = torch.compiler.disable(source.__call__)  # type: ignore[no-untyped-call]
    return lambda model, drawn: objective(model, made(drawn))


def batches(source: Source, seed: int, items: int, batch: int, model: Any) -> Iterator[Batch]:
    """The first `items` mixtures of a seed, some at once, where the model is."""
    device = next(model.parameters()).device
    for first in range(0, items, batch):
        made = to(_drawn(source, seed, range(first, min(first + batch, items))), device)
        yield source(made) if isinstance(source, Batched) else made


def workers(source: Source, given: int) -> int:
    """Processes that draw ahead: as many as given, but one where a CUDA device would wait."""
    waits = isinstance(source, Batched) and torch.cuda.is_available()
    return max(given, 1) if waits else given


def _drawn(source: Source, seed: int, numbers: range) -> dict[str, Any]:
    if isinstance(source, Batched):
        return source.drawn(seed, 0, numbers)
    return collate([source.item(seed, 0, number) for number in numbers])


def tell_pace(cfg: MixtureRecipeCfg) -> Paced:
    """What tells how long a run still takes, and how much it hears on the way."""
    data = cfg.data
    heard = cfg.optim.batch * (data.lists.seconds if data.lists.files else data.mixing.seconds)

    def tell(seconds: float, left: int) -> None:
        survey.tell_pace(seconds, left)
        if left:
            survey.say(f"time: {heard / seconds:.0f} hours of mixtures an hour")

    return tell


def placed(mixers: Sequence[Mixer], mix_on: str) -> list[Source]:
    """Mixers as they are, or made to mix where the model learns; see `SpeakersCfg.mix_on`."""
    if mix_on == "auto":
        mix_on = "device" if torch.cuda.is_available() and _fit(mixers) else "cpu"
    return [Batched(mixer) if mix_on == "device" else mixer for mixer in mixers]


def _fit(mixers: Sequence[Mixer]) -> bool:
    """Whether all recordings have room in the memory of this process's device."""
    needed = sum(Batched(mixer).bytes for mixer in mixers)
    free, _ = torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))
    if needed <= SHARE * free:
        return True
    survey.say(
        f"data: {needed / 1e9:.1f} GB of recordings and {free / 1e9:.1f} GB free on the device: "
        "mixtures are made on the CPU; raise data.workers, or set data.mix_on=device"
    )
    return False


def lengths_of(batch: Batch) -> Tensor | None:
    """Samples of every mixture; None where none is padded, which is faster."""
    lengths = batch["lengths"]
    return lengths if bool((lengths < batch["mixture"].shape[-1]).any()) else None
