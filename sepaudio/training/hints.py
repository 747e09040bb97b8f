"""What a run learns by beside its labels: a teacher's inner maps, and the worst of some copies.

Sources: hints: Romero et al. 2014 (1412.6550), section 2.2; copies: Gong et al. 2020 (2002.09024),
equation 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import hub
from ..registry import unknown
from .loop import Draw, Objective
from .recipe import HintCfg

Hear = Callable[[Any, Any], Tensor]  # model, batch -> logits


def worst(losses: Tensor, copies: int) -> Tensor:
    """Losses [B * copies] -> mean over the clips of the largest loss among a clip's copies.

    Its gradient is that of the worst copies alone: the smoothest network wins.

    Args:
        losses: the copies of a clip lie side by side.
        copies: of each clip; 1 is the plain mean.
    """
    return losses.view(-1, copies).amax(dim=1).mean()


class HintRegressor(nn.Module):
    """A convolution without padding from a student's maps to the shape of a teacher's.

    Its kernel is as large as the student's maps exceed the teacher's, plus one.

    Args:
        guided: the student's maps [B, C, F, L], or [B, C, L].
        hint: the teacher's [B, C', F', L'] for the same clips.

    Raises:
        ValueError: the student's maps are smaller than the teacher's.
    """

    def __init__(self, guided: Tensor, hint: Tensor):
        super().__init__()
        (channels, *size), (wanted, *smaller) = (_picture(x).shape[1:] for x in (guided, hint))
        if any(mine < theirs for mine, theirs in zip(size, smaller, strict=True)):
            raise ValueError(
                f"the student's maps are {size}, the teacher's {smaller}: expected no less; guide "
                "an earlier layer, or take the hint of a later one"
            )
        kernel = [mine - theirs + 1 for mine, theirs in zip(size, smaller, strict=True)]
        self.conv = nn.Conv2d(channels, wanted, (kernel[0], kernel[1]))

    def forward(self, guided: Tensor) -> Tensor:
        """guided [B, C, F, L] or [B, C, L] -> [B, C', F', L']."""
        y: Tensor = self.conv(_picture(guided))
        return y


def hint_loss(guessed: Tensor, hint: Tensor) -> Tensor:
    """guessed [B, C, F, L], hint [B, C, F', L'] -> half the mean squared error.

    For clips of another length than the regressor was measured on the sizes may differ by a frame:
    the hint is then averaged to that of the guess.

    Source: Romero et al. 2014, equation 3. Differs: a mean where the paper has the sum, so that
    the size of the maps does not weigh.
    """
    hint = _picture(hint)
    if hint.shape[2:] != guessed.shape[2:]:
        hint = F.adaptive_avg_pool2d(hint, (guessed.shape[2], guessed.shape[3]))
    return 0.5 * F.mse_loss(guessed, hint)


@contextmanager
def listening(model: nn.Module, part: str) -> Iterator[list[Tensor]]:
    """A list that fills up with what `part` of a model gives, such as "backbone.stages.1".

    Raises:
        ValueError: the model has no such part.
    """
    known = dict(model.named_modules())
    if part not in known or not part:
        raise ValueError(unknown(f"part of {type(model).__name__}", part, [n for n in known if n]))
    heard: list[Tensor] = []
    handle = known[part].register_forward_hook(lambda *given: heard.append(given[2]))
    try:
        yield heard
    finally:
        handle.remove()


def with_hints(
    lesson: tuple[Draw, Objective], model: nn.Module, cfg: HintCfg, hear: Hear
) -> tuple[Draw, Objective, HintRegressor | None]:
    """Draws and objective of a lesson, with those of a teacher where the recipe names one.

    Raises:
        ValueError: see `hinted`.
    """
    draw, objective = lesson
    if not cfg.teacher:
        return draw, objective, None
    return draw, *hinted(objective, model, draw(0, 0, 1), cfg, hear)


def hinted(
    objective: Objective, model: nn.Module, batch: Any, cfg: HintCfg, hear: Hear
) -> tuple[Objective, HintRegressor]:
    """An objective with the hint's loss added, or in its place, and the regressor that learns too.

    Args:
        objective: that of the labels.
        model: the student.
        batch: any one, to measure shapes with.
        cfg: see `HintCfg`.
        hear: how a network listens to a batch.

    Raises:
        ValueError: teacher or parts are not known, or the maps do not fit.
    """
    teacher = hub.load(cfg.teacher).requires_grad_(False)
    guided, hint = (
        _maps(net, part, batch, hear) for net, part in ((model, cfg.at), (teacher, cfg.of))
    )
    regressor = HintRegressor(guided, hint)

    def both(student: Any, batch: Any) -> Tensor:
        regressor.to(batch[0].device)
        teacher.to(batch[0].device)
        with listening(student, cfg.at) as mine:
            loss = hear(student, batch).sum() * 0 if cfg.alone else objective(student, batch)
        hint = _maps(teacher, cfg.of, batch, hear)
        return loss + cfg.weight * hint_loss(regressor(mine[-1]), hint)

    return both, regressor


@torch.no_grad()
def _maps(net: Any, part: str, batch: Any, hear: Hear) -> Tensor:
    training = net.training
    net.eval()  # measuring must not move a norm's statistics
    with listening(net, part) as heard:
        hear(net, batch)
    net.train(training)
    return heard[-1]


def _picture(x: Tensor) -> Tensor:
    return x[:, :, None] if x.ndim == 3 else x
