"""Mixtures of a step or of a validation: drawn by workers, made there or where the model learns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.batched import Batched, even, to
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


@dataclass(frozen=True)
class Made:
    """An objective of draws, which are made into a batch first, where the model learns.

    All batches have one shape, and nothing waits for a number from the device: so that the
    arithmetic of `objective` can be compiled, once, and steps can be queued ahead.

    Attributes:
        objective: of batches.
        source: makes them.
    """

    objective: Objective
    source: Batched

    def __call__(self, model: Any, drawn: dict[str, Any]) -> Tensor:
        """The loss of what was drawn, see `batch_at`."""
        return self.objective(model, self.batch(drawn))

    def batch(self, drawn: dict[str, Any]) -> Batch:
        """What `objective` hears of it."""
        batch, mixing = self.source(drawn), self.source.mixer.cfg
        longest = round(mixing.enrollment_seconds * mixing.sample_rate)
        missing = max(longest - batch["enrollment"].shape[1], 0)
        batch["enrollment"] = F.pad(batch["enrollment"], (0, missing))
        if even(drawn):
            del batch["lengths"]
        return batch


def hearing(objective: Objective, source: Source) -> Objective:
    """An objective of what `batch_at` draws from a source."""
    return Made(objective, source) if isinstance(source, Batched) else objective


def batches(
    source: Source,
    seed: int,
    items: int,
    batch: int,
    model: Any,
    part: int = 0,
    parts: int = 1,
) -> Iterator[Batch]:
    """The first `items` mixtures of a seed, some at once, where the model is.

    Of these batches it gives every one in `parts`, from number `part` on.
    """
    device = next(model.parameters()).device
    for first in range(part * batch, items, parts * batch):
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
    if "lengths" not in batch:
        return None
    lengths = batch["lengths"]
    return lengths if bool((lengths < batch["mixture"].shape[-1]).any()) else None
