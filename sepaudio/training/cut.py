"""Training on clips cut from whole recordings, as SwishNet's authors do: every clip once an epoch.

Source: Hussain & Haque 2018 (1812.00149), with the first author's code where the paper is silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import registry
from . import recipe as recipes
from .distill import DistillCfg, blended, teacher_of
from .loop import Draw, best, run
from .prepared import Cuts, Features, cuts, features, rows_of
from .recipe import DataCfg, OptimCfg, RecipeCfg
from .start import Start
from .survey import say_left_out

BATCH = 256  # clips judged at once


@dataclass(frozen=True)
class Trained:
    """What a run leaves behind.

    Attributes:
        model: the weights with the least validation loss; the last ones without validation.
        last: the last weights.
        best_step: where `model` was; None without validation.
        valid: "loss" and "accuracy" on the validation clips, of "best" and "last".
        train: clips that were learned from.
    """

    model: nn.Module
    last: nn.Module
    best_step: int | None
    valid: dict[str, dict[str, float]]
    train: Cuts


def steps_of(optim: OptimCfg, clips: int) -> OptimCfg:
    """The same with its epochs as steps: every clip once an epoch, but for a part of a batch."""
    batch = min(optim.batch, clips)
    each = clips // batch
    return replace(
        optim,
        batch=batch,
        steps=optim.epochs * each if optim.epochs else optim.steps,
        epoch_steps=each,
        valid_every=each,
    )


def batch_at(found: Cuts, optim: OptimCfg, seed: int, theirs: Tensor | None = None) -> Draw:
    """A function from the step's number to its batch: features [B, F, L], labels [B].

    Args:
        found: clips.
        optim: in steps, see `steps_of`.
        seed: of every draw.
        theirs: what a teacher says of every clip [N, K]; it comes third in the batch.
    """
    orders: dict[int, NDArray[np.int64]] = {}

    def order(epoch: int) -> NDArray[np.int64]:
        if epoch not in orders:
            orders.clear()
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(len(found))
        return orders[epoch]

    def draw(step: int, part: int, parts: int) -> tuple[Tensor, ...]:
        epoch, turn = divmod(step, optim.epoch_steps)
        mine = order(epoch)[turn * optim.batch : (turn + 1) * optim.batch][part::parts]
        x = found.take(mine)
        if optim.late_frame:  # one moment of the last half for the whole batch
            random = np.random.default_rng([seed, epoch, turn])
            x = x[..., : round((found.size - 0.5) * random.uniform(0.5, 1.0)) + 1]
        labels = torch.from_numpy(found.labels[mine])
        return (x, labels) if theirs is None else (x, labels, theirs[mine])

    return draw


def objective_of(smoothing: float, distill: DistillCfg) -> Callable[[Any, Any], Tensor]:
    """Cross-entropy of clips, or of all frames where a model names those, and soft targets."""

    def objective(model: Any, batch: tuple[Tensor, ...]) -> Tensor:
        x, labels, *theirs = batch
        if hasattr(model, "frame_logits"):
            logits = model.frame_logits(x).mT.flatten(0, 1)  # [B L, K]
            labels, *theirs = (y.repeat_interleave(x.shape[-1], 0) for y in (labels, *theirs))
        else:
            logits = model.clip_logits(x)
        hard = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return blended(hard, logits, theirs[0], distill) if theirs else hard

    return objective


def lesson(model: Any, found: Cuts, recipe: RecipeCfg) -> tuple[Draw, Any, OptimCfg]:
    """What a recipe learns from clips, batch by batch, what it minimises, and in which steps."""
    optim, theirs = steps_of(recipe.optim, len(found)), None
    if (teacher := teacher_of(recipe.distill, model)) is not None:
        theirs = logits_of(teacher, beside(found, recipe.data, teacher))
    draw = batch_at(found, optim, recipe.seed, theirs)
    return draw, objective_of(optim.label_smoothing, recipe.distill), optim


def beside(found: Cuts, cfg: DataCfg, other: Any, split: str = "train") -> Cuts:
    """The same clips in the features of another model.

    Raises:
        ValueError: its frames are others.
    """
    theirs = features(cfg, other.frontend, other.labels, split)
    if not np.array_equal(theirs.bounds, found.features.bounds):
        raise ValueError(
            f"hop={other.hop}, window={other.frontend.window}: expected a teacher whose frames are "
            "the model's"
        )
    return replace(found, features=theirs)


@torch.no_grad()
def logits_of(model: Any, found: Cuts) -> Tensor:
    """What a model says of every clip, [N, K]."""
    device = next(model.parameters(), torch.zeros(0)).device
    said = [
        model.clip_logits(found.take(some).to(device)).cpu()
        for some in np.array_split(np.arange(len(found)), -(-len(found) // BATCH))
    ]
    return torch.cat(said)


def fit(
    model: Any,
    recipe: RecipeCfg,
    folder: Path,
    *,
    start: Start | None = None,
    quiet: bool = False,
) -> Trained:
    """Train `model` on the clips of a recipe, judged after every epoch by those of `valid`, if any.

    Args:
        model: trained in place.
        recipe: the run's.
        folder: of the run; a run that was killed here goes on.
        start: what the model's weights come from.
        quiet: no progress bar.
    """
    data = recipe.data
    train = cuts(data, model, "train")
    valid = cuts(data, model, "valid") if rows_of(data, model.labels, "valid") else None
    if not quiet:
        say_left_out(train.features.left_out)
    if data.cut.standardize and (start is None or "standardize" in start.new):
        standardize(model, train.features)
    labels = torch.from_numpy(valid.labels if valid is not None else train.labels[:0])

    def judged(net: Any) -> dict[str, float]:
        logits = logits_of(net, valid) if valid is not None else torch.zeros(0)
        right = (logits.argmax(dim=1) == labels).double().mean()
        return {"loss": float(F.cross_entropy(logits, labels)), "accuracy": float(right)}

    draw, objective, optim = lesson(model, train, recipe)
    model.to(memory_format=torch.channels_last)  # faster on a CPU, for pictures
    last = run(
        model,
        draw,
        objective,
        replace(optim, keep_best=1),
        seed=recipe.seed,
        folder=folder,
        resolved=recipes.to_yaml(recipe),
        validate=None if valid is None else lambda net: judged(net)["loss"],
        frozen=recipe.freeze,
        keep_last=True,
        names={"valid": "valid loss"},
        quiet=quiet,
    ).to(memory_format=torch.contiguous_format)
    top, step, figures = last, None, {}
    if valid is not None and (found := best(folder)):
        step, weights = found
        top = registry.build(last.cfg)
        top.load_state_dict(weights)
        top.eval()
        figures = {"best": judged(top), "last": judged(last)}
    return Trained(top, last, step, figures, train)


def standardize(model: Any, found: Features, most: int = 400_000) -> None:
    """Measure mean and deviation of every feature on the recordings."""
    x = found.values[:: max(1, len(found.values) // most)].astype(np.float64)
    model.standardize.measured(torch.from_numpy(x.mean(axis=0)), torch.from_numpy(x.std(axis=0)))
