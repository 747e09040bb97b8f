"""Training of a classifier on a bank of clips, and its calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import TimeConv
from ..losses import with_auxiliary
from . import recipe as recipes
from .bank import Bank, beside
from .distill import DistillCfg, blended, mixed, teachers_of, together
from .hints import with_hints
from .loop import Draw, run
from .recipe import OptimCfg, RecipeCfg
from .start import HEAD, Start, held
from .survey import say_left_out


@dataclass(frozen=True)
class Trained:
    """What a run leaves behind."""

    model: nn.Module
    temperature: float
    valid_accuracy: float
    bank: Bank


def batch_at(
    bank: Bank,
    usable: NDArray[np.int64],
    cfg: OptimCfg,
    fps: float,
    seed: int,
    theirs: Sequence[Bank] = (),
    mix: bool = False,
) -> Draw:
    """A function from the step's number to its batch: features [B, F, L], labels [B].

    A label of -1 is not learned from: hardly anything sounds in that clip. The same clips in the
    features of each teacher's bank, `theirs`, come after them. With `mix` the features are those of
    mixed clips, see `distill.mixed`, and the labels those of the first of each two.
    """
    often = bank.evenly(usable)

    def draw(step: int, part: int, parts: int) -> tuple[Tensor, ...]:
        random = np.random.default_rng([seed, step])
        rows = np.sort(random.choice(usable, cfg.batch, p=often))
        frames = bank.features.shape[-1]
        length = min(round(float(random.choice(cfg.lengths)) * fps), frames)
        if cfg.late_frame:
            length = round((length - 0.5) * random.uniform(0.5, 1.0)) + 1
        start = int(random.integers(frames - length + 1))
        parties = [
            one.features[rows, :, start : start + length].astype(np.float32)
            for one in (bank, *theirs)
        ]
        x, *others = mixed(parties, random) if mix else parties
        heard = bank.active[rows, start : start + length].mean(axis=1) > 0.1
        labels = np.where(heard, bank.labels[rows], -1)
        mine = slice(part, None, parts)
        return tuple(torch.from_numpy(y[mine]) for y in (x, labels, *others))

    return draw


def cross_entropy(
    smoothing: float,
    weight: float = 0.3,
    floor: float = 0.0,
    distill: DistillCfg | None = None,
    teachers: Sequence[Any] = (),
) -> Any:
    """Cross-entropy of the decision at the last frame, and of auxiliary heads, as an objective.

    With teachers, what they say of their own features of the clips counts beside the labels.
    `weight` and `floor` are those of `losses.with_auxiliary`.
    """

    def objective(model: Any, batch: tuple[Tensor, ...]) -> Tensor:
        features, labels, *theirs = batch
        taught = any(getattr(model.cfg, key, False) for key in ("auxiliary", "companions"))
        logits = model.all_logits(features) if taught else [model.clip_logits(features)]
        hard = with_auxiliary(logits, labels, weight=weight, smoothing=smoothing, floor=floor)
        known = labels >= 0
        if distill is None or not theirs or not known.any():
            return hard
        with torch.no_grad():
            said = together(
                [
                    teacher.to(features.device).clip_logits(heard[known])
                    for teacher, heard in zip(teachers, theirs, strict=True)
                ]
            )
        return blended(hard, logits[0][known], said, distill)

    return objective


def hear(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    """What a model says of a batch: logits [B, K]."""
    logits: Tensor = model.clip_logits(batch[0])
    return logits


def lesson(model: Any, bank: Bank, recipe: RecipeCfg) -> tuple[Draw, Any]:
    """What a recipe learns from a bank, batch by batch, and what it minimises."""
    usable, optim, distill = bank.without(recipe.data.held_out), recipe.optim, recipe.distill
    fps, teachers = float(model.sample_rate / model.hop), teachers_of(distill, model)
    theirs = [beside(bank, recipe, model, teacher) for teacher in teachers]
    return (
        batch_at(bank, usable, optim, fps, recipe.seed, theirs, distill.on and distill.mixed),
        cross_entropy(
            optim.label_smoothing, optim.auxiliary, optim.auxiliary_floor, distill, teachers
        ),
    )


def fit(
    model: Any,
    train: Bank,
    valid: Bank,
    recipe: RecipeCfg,
    folder: Path,
    *,
    start: Start | None = None,
    quiet: bool = False,
) -> Trained:
    """Train `model` on a bank and calibrate it on another.

    Args:
        model: with `frontend`, `standardize` and `clip_logits`; it is trained in place, and what
            comes back is the average of its weights.
        train: clips to learn from.
        valid: clips for the temperature.
        recipe: the run's.
        folder: of the run: resolved recipe, checkpoint, TensorBoard events. A run that was
            killed here goes on.
        start: what the model's weights come from; its mean and deviation of features are kept,
            since the other weights are used to them.
        quiet: no progress bar.
    """
    if not quiet:
        say_left_out((*train.left_out, *valid.left_out))
    if start is None or "standardize" in start.new:
        standardize(model, train, train.without(recipe.data.held_out))
    draw, objective, helper = with_hints(lesson(model, train, recipe), model, recipe.hint, hear)
    best = run(
        model,
        draw,
        objective,
        recipe.optim,
        seed=recipe.seed,
        folder=folder,
        resolved=recipes.to_yaml(recipe),
        frozen=recipe.freeze,
        helper=helper,
        quiet=quiet,
    )
    temperature, accuracy = calibrate(best, valid, recipe.data.held_out, recipe.freeze)
    return Trained(best, temperature, accuracy, train)


def standardize(model: Any, bank: Bank, usable: NDArray[np.int64], most: int = 4000) -> None:
    """Measure mean and deviation of every feature on the training clips."""
    rows = usable[:: max(1, len(usable) // most)]
    x = bank.features[rows].astype(np.float64)
    mean, std = x.mean(axis=(0, 2)), x.std(axis=(0, 2))
    model.standardize.measured(torch.from_numpy(mean), torch.from_numpy(std))


@torch.no_grad()
def calibrate(
    model: Any, bank: Bank, held_out: Sequence[str], frozen: Sequence[str] = ()
) -> tuple[float, float]:
    """Fold the temperature that fits best into the last layer; returns it and the accuracy.

    A frozen last layer stays as it is, at temperature 1.
    Source: Guo et al. 2017 (1706.04599), section 4.2, on clips of two seconds.
    """
    rows = bank.without(held_out)
    frames = round(2.0 * model.sample_rate / model.hop)
    rows = rows[bank.active[rows, :frames].mean(axis=1) > 0.1]
    logits, labels = [], torch.from_numpy(bank.labels[rows])
    for some in np.array_split(rows, max(1, len(rows) // 256)):
        x = torch.from_numpy(bank.features[some, :, :frames].astype(np.float32))
        logits.append(model.clip_logits(x))
    found = torch.cat(logits).double()
    accuracy = float((found.argmax(dim=1) == labels).double().mean())
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, TimeConv | nn.Linear)]
    name, last = [(n, m) for n, m in layers if held(n, [HEAD])][-1]
    assert last.bias is not None
    if any(held(f"{name}.{kind}", frozen) for kind in ("weight", "bias")):
        return 1.0, accuracy
    temperature = best_temperature(found, labels)
    last.weight.div_(temperature)
    last.bias.div_(temperature)
    return temperature, accuracy


def best_temperature(logits: Tensor, labels: Tensor, least: float = 0.1, most: float = 10) -> float:
    """The number that logits [N, K] are divided by for the best likelihood of labels [N]."""
    grid = torch.logspace(math.log10(least), math.log10(most), 201, dtype=torch.float64)
    losses = [float(F.cross_entropy(logits.double() / t, labels)) for t in grid]
    return float(grid[int(np.argmin(losses))])
