"""Learning from a trained classifier beside the labels: soft targets.

Source: Hinton, Vinyals & Dean 2015 (1503.02531), section 2; with weight 0.9 and temperatures of 1
to 10 in SwishNet's paper (1812.00149), which leaves open whether the soft part is multiplied by the
square of the temperature, as Hinton et al. do. Several teachers say the mean of their logarithms of
probabilities. Mixed clips are the function matching of Beyer et al. 2021 (2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import hub

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DistillCfg:
    """What a classifier learns from another one.

    Attributes:
        teacher: its model folder, relative to the working folder, or a name of weights that ship;
            "" for none. A classifier on a bank may have several: [one, other].
        weight: of what the teacher says; the labels have the rest. At 0 nobody asks the teacher.
        temperature: that both their logits are divided by.
        squared: multiply the soft part by temperature^2, so that its gradient keeps its size.
        mixed: lay every clip of a bank's batch over another one, see `mixed`, for teachers and
            pupil alike; no label fits such clips, so it goes with a weight of 1.
    """

    teacher: tuple[str, ...] | str = ""
    weight: float = 0.9
    temperature: float = 4.0
    squared: bool = True
    mixed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or not self.temperature > 0:
            raise ValueError(
                f"weight={self.weight}, temperature={self.temperature}: expected a share from 0 "
                "to 1, and more than 0"
            )
        if self.mixed and self.on and self.weight < 1:
            raise ValueError(
                f"mixed=True with weight={self.weight}: expected a weight of 1, since no label "
                "fits a mixed clip"
            )

    @property
    def teachers(self) -> tuple[str, ...]:
        """Every teacher's folder or name."""
        named = (self.teacher,) if isinstance(self.teacher, str) else self.teacher
        return tuple(name for name in named if name)

    @property
    def on(self) -> bool:
        """Whether there is a teacher whose word counts."""
        return bool(self.teachers) and self.weight > 0


def teacher_of(cfg: DistillCfg, model: Any) -> Any:
    """The only teacher of a model, as in `teachers_of`; None when there is none.

    Raises:
        ValueError: there are several, or clips are mixed, which only banks do.
    """
    if len(cfg.teachers) > 1 or cfg.mixed:
        raise ValueError(
            f"distill.teacher={_told(cfg)}, distill.mixed={cfg.mixed}: expected one teacher and "
            "no mixed clips, as several and mixing are for banks of augmented clips"
        )
    found = teachers_of(cfg, model)
    return found[0] if found else None


def teachers_of(cfg: DistillCfg, model: Any) -> list[Any]:
    """The teachers of a model, in evaluation mode and out of training.

    Raises:
        ValueError: one names other classes, or hears another sample rate; or a clip may be of
            several classes, which are no choice between them.
    """
    if not cfg.on:
        return []
    if getattr(model, "several", False):
        raise ValueError(
            f"distill.teacher={_told(cfg)} with several classes a clip: expected a model that "
            "chooses one; leave distill out"
        )
    return [_loaded(name, model) for name in cfg.teachers]


def _told(cfg: DistillCfg) -> str:
    """The teachers as they are written in a recipe."""
    return cfg.teacher if isinstance(cfg.teacher, str) else f"[{', '.join(cfg.teacher)}]"


def _loaded(name: str, model: Any) -> Any:
    teacher: nn.Module | Any = hub.load(name)
    for what in ("labels", "sample_rate"):
        theirs, ours = getattr(teacher, what, None), getattr(model, what)
        if theirs != ours:
            raise ValueError(
                f"distill.teacher={name} has {what} {theirs}: expected {ours}, the model's; "
                "train a teacher with the same"
            )
    return teacher.requires_grad_(False)


def soft_loss(logits: Tensor, theirs: Tensor, cfg: DistillCfg) -> Tensor:
    """Divergence (KL) of logits [B, K] from the teacher's [B, K] at a temperature, mean over B."""
    t = cfg.temperature
    ours, said = (F.log_softmax(x / t, dim=1) for x in (logits, theirs))
    loss = F.kl_div(ours, said, reduction="batchmean", log_target=True)
    return loss * t**2 if cfg.squared else loss


def blended(hard: Tensor, logits: Tensor, theirs: Tensor, cfg: DistillCfg) -> Tensor:
    """A loss by labels and one by what the teacher's logits [B, K] say of the model's."""
    return (1 - cfg.weight) * hard + cfg.weight * soft_loss(logits, theirs, cfg)


def together(logits: Sequence[Tensor]) -> Tensor:
    """What teachers with logits [B, K] each say together, as logits [B, K]."""
    return torch.stack([F.log_softmax(x.float(), dim=1) for x in logits]).mean(dim=0)


def mixed(parties: Sequence[Array], random: np.random.Generator) -> list[Array]:
    """Every clip of [B, F, L] laid over another one, in each party's features alike.

    a x + (1 - a) y with a from 0 to 1: in logarithms of power, the mean of two spectra. Any linear
    picture of them, such as cepstra, is mixed by it as the bands are.
    """
    n = len(parties[0])
    share = random.random((n, 1, 1)).astype(np.float32)
    other = random.permutation(n)
    return [share * x + (1 - share) * x[other] for x in parties]


def said_by(teacher: Any, waveform: Tensor) -> Tensor:
    """The teacher's logits [B, K] of waveforms [B, T], where they are."""
    with torch.no_grad():
        logits: Tensor = teacher.to(waveform.device).clip(waveform)
    return logits
