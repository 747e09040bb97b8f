"""Learning from a trained classifier beside the labels: soft targets.

Source: Hinton, Vinyals & Dean 2015 (1503.02531), section 2; with weight 0.9 and temperatures of 1
to 10 in SwishNet's paper (1812.00149), which leaves open whether the soft part is multiplied by the
square of the temperature, as Hinton et al. do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import hub


@dataclass(frozen=True, kw_only=True)
class DistillCfg:
    """What a classifier learns from another one.

    Attributes:
        teacher: its model folder, relative to the working folder, or a name of weights that ship;
            "" for none.
        weight: of what the teacher says; the labels have the rest. At 0 nobody asks the teacher.
        temperature: that both their logits are divided by.
        squared: multiply the soft part by temperature^2, so that its gradient keeps its size.
    """

    teacher: str = ""
    weight: float = 0.9
    temperature: float = 4.0
    squared: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or not self.temperature > 0:
            raise ValueError(
                f"weight={self.weight}, temperature={self.temperature}: expected a share from 0 "
                "to 1, and more than 0"
            )

    @property
    def on(self) -> bool:
        """Whether there is a teacher whose word counts."""
        return bool(self.teacher) and self.weight > 0


def teacher_of(cfg: DistillCfg, model: Any) -> Any:
    """The teacher of a model, in evaluation mode and out of training; None when there is none.

    Raises:
        ValueError: it names other classes, or hears another sample rate; or a clip may be of
            several classes, which are no choice between them.
    """
    if not cfg.on:
        return None
    if getattr(model, "several", False):
        raise ValueError(
            f"distill.teacher={cfg.teacher} with several classes a clip: expected a model that "
            "chooses one; leave distill out"
        )
    teacher: nn.Module | Any = hub.load(cfg.teacher)
    for name in ("labels", "sample_rate"):
        theirs, ours = getattr(teacher, name, None), getattr(model, name)
        if theirs != ours:
            raise ValueError(
                f"distill.teacher={cfg.teacher} has {name} {theirs}: expected {ours}, the model's; "
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


def said_by(teacher: Any, waveform: Tensor) -> Tensor:
    """The teacher's logits [B, K] of waveforms [B, T], where they are."""
    with torch.no_grad():
        logits: Tensor = teacher.to(waveform.device).clip(waveform)
    return logits
