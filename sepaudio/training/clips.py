"""Training of a picture classifier on whole clips, judged on folds that it never hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .. import metrics, registry
from ..data import folds, manifest
from ..data.augment import Array
from ..data.clips import ClipAugmentCfg, mixture, varied, windows
from ..data.cutmix import cutmix
from ..data.manifest import Recording
from ..data.shelf import Shelf
from . import recipe as recipes
from .distill import DistillCfg, blended, said_by, teacher_of
from .hints import with_hints, worst
from .loop import Draw, best, run
from .process import where_it_learned
from .recipe import ClipRecipeCfg, OptimCfg
from .start import TEXTURE, Start
from .survey import say, say_left_out
from .texture import find

BATCH = 32  # windows judged at once


@dataclass(frozen=True)
class Clips:
    """Decoded clips and what each is for.

    Attributes:
        shelf: all of them.
        hits: [N, K] one where a clip is of a class, as the model counts them.
        parts: numbers of the clips in "train", "valid" and "test".
        samples: length that they are cut or filled to.
    """

    shelf: Shelf
    hits: NDArray[np.float32]
    parts: dict[str, list[int]]
    samples: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """[N] class numbers of clips that are of one class each."""
        return np.asarray(self.hits.argmax(axis=1))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the collections that are trained on."""
        rows = self.shelf.rows
        return tuple(sorted({rows[i].origin for i in self.parts["train"]}))

    @property
    def fingerprint(self) -> str:
        """Of the recordings that are trained on."""
        return manifest.fingerprint([self.shelf.rows[i] for i in self.parts["train"]])


@dataclass(frozen=True)
class Judged:
    """What a run is worth on the clips that judge it.

    Attributes:
        on: "valid", "test" or "".
        last: accuracy after the last step; of a model of several classes a clip, the mean of the
            average precisions.
        best: the highest one in between, chosen by these very clips; None without validation.
        best_step: where that was.
        temperature: that is folded into the head.
    """

    on: str
    last: float | None
    best: float | None
    best_step: int | None
    temperature: float


def rows_of(recipe: ClipRecipeCfg, labels: Sequence[str]) -> list[Recording]:
    """The recordings of a recipe that belong to its classes."""
    several = bool(getattr(recipes.model_cfg(recipe), "several", False))
    return manifest.read_all(recipe.data.manifests, labels, several)


def parts_of(recipe: ClipRecipeCfg, rows: Sequence[Recording]) -> dict[str, list[int]]:
    """Numbers of the rows to train on, which may be, to validate with, and to test with.

    Raises:
        ValueError: folds or splits do not fit, or a part that is needed is empty.
    """
    data = recipe.data
    found = folds.parts(rows, data.fold, data.valid_fold, data.folds, recipe.seed)
    free = {id(row) for row in manifest.allowed(rows, data.refused_licenses)}
    found["train"] = [i for i in found["train"] if id(rows[i]) in free]
    if not found["train"]:
        raise ValueError("no clip is left to train on: see fold, split and refused_licenses")
    return found


def load(recipe: ClipRecipeCfg, model: Any) -> Clips:
    """Decode the clips of a recipe, or take those that lie on its shelf.

    Raises:
        ValueError: a manifest makes no sense, a recording cannot be read, or a class has none.
    """
    rows = rows_of(recipe, model.labels)
    shelf = Shelf(rows, model.sample_rate, recipe.data.shelf, recipe.data.on_bad)
    hits = np.array([[label in row.kinds for label in model.labels] for row in shelf.rows])
    parts = parts_of(recipe, shelf.rows)
    for number, label in enumerate(model.labels):
        if not hits[parts["train"], number].any():
            raise ValueError(f"no clip of class {label!r} to train on: see fold and manifests")
    return Clips(shelf, hits.astype(np.float32), parts, round(model.seconds * model.sample_rate))


def lesson(clips: Clips, model: Any, recipe: ClipRecipeCfg) -> tuple[Draw, Any]:
    """What a recipe learns from clips, batch by batch, and what it minimises."""
    augment, optim = recipe.data.augment, recipe.optim
    return (
        batch_at(clips, optim, augment, recipe.seed),
        objective_of(
            optim.label_smoothing,
            augment,
            model.several,
            recipe.distill,
            teacher_of(recipe.distill, model),
        ),
    )


def batch_at(clips: Clips, optim: OptimCfg, cfg: ClipAugmentCfg, seed: int) -> Draw:
    """A function from the step's number to its batch: waveforms [B, T], shares of classes [B, K].

    Every clip is heard once an epoch, in an order that changes. Each item of a batch draws from
    its own seed; copies of a clip lie side by side, B being `cfg.copies` times the batch.
    """
    own = np.array(clips.parts["train"])
    orders: dict[int, NDArray[np.int64]] = {}

    def order(epoch: int) -> NDArray[np.int64]:
        if epoch not in orders:
            orders.clear()
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(own)
        return orders[epoch]

    def heard(i: int, random: np.random.Generator) -> Array:
        return varied(clips.shelf.take(i), clips.samples, cfg, random, clips.shelf.sample_rate)

    def draw(step: int, part: int, parts: int) -> tuple[Tensor, Tensor]:
        waves, shares = [], []
        places = range(part, optim.batch, parts)
        for place, copy in product(places, range(cfg.copies)):
            random = np.random.default_rng([seed, step, place, *([copy] if copy else [])])
            epoch, turn = divmod(step * optim.batch + place, len(own))
            first, second = int(order(epoch)[turn]), int(random.choice(own))
            share, mixes = random.beta(cfg.mixup or 1.0, cfg.mixup or 1.0), random.random()
            x, target = heard(first, random), clips.hits[first]
            if cfg.mixup and mixes < cfg.mixed:
                x = mixture(x, heard(second, random), share)
                target = (1 - share) * clips.hits[second] + share * target
            waves.append(torch.from_numpy(np.ascontiguousarray(x)))
            shares.append(torch.from_numpy(target.astype(np.float32)))
        return torch.stack(waves), torch.stack(shares)

    return draw


def blanked(picture: Tensor, cfg: ClipAugmentCfg) -> Tensor:
    """Pictures [B, C, 3, F, L] with boxes at their own mean: all bands for a while, or a stretch.

    Draws from torch's generator. Source: Park et al. 2019 (1904.08779), section 2, without warping.
    """
    if not cfg.boxes:
        return picture
    spec = picture.flatten(2, 3)  # [B, C, 3 F, L]: bands of one spectrum
    mean = spec.mean(dim=(2, 3), keepdim=True)
    for axis, most in ((2, cfg.box_band), (3, cfg.box_time)):
        size = spec.shape[axis]
        shape = [len(spec), 1, 1, 1]
        at = torch.arange(size, device=spec.device).view(-1, *[1] * (3 - axis))
        for _ in range(cfg.boxes):
            wide = torch.rand(shape, device=spec.device) * most * size
            start = torch.rand(shape, device=spec.device) * (size - wide)
            spec = torch.where((at >= start) & (at < start + wide), mean, spec)
    return spec.reshape(picture.shape)


def hear(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    """What a model says of a batch: logits [B, K]."""
    logits: Tensor = model.clip_logits(model.picture(batch[0]))
    return logits


def objective_of(
    smoothing: float,
    cfg: ClipAugmentCfg,
    several: bool = False,
    distill: DistillCfg | None = None,
    teacher: Any = None,
) -> Callable[[Any, Any], Tensor]:
    """Cross-entropy with shares of classes, of the worst copy of each clip.

    Pictures have boxes, and in some batches boxes of other pictures; a teacher hears none of them.
    A model of several members has the mean of their losses.

    With `several` classes a clip, that of each class by itself, summed; smoothing moves targets
    towards a half.
    """

    def losses_of(logits: Tensor, shares: Tensor) -> Tensor:
        if not several:
            return F.cross_entropy(logits, shares, label_smoothing=smoothing, reduction="none")
        soft = shares * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, soft, reduction="none").sum(dim=1)

    def objective(model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        waveform, shares = batch
        picture = blanked(model.picture(waveform), cfg)
        if cfg.cutmix and torch.rand(()).item() < cfg.cutmix:
            random = np.random.default_rng(int(torch.randint(2**31, ())))  # that of the step
            picture, shares = cutmix(picture, shares, random)
        said = model.opinions(picture)  # [M, B, K]
        logits = said.mean(dim=0)
        losses = torch.stack([losses_of(one, shares) for one in said]).mean(dim=0)
        hard = worst(losses, cfg.copies)
        if distill is None or teacher is None:
            return hard
        return blended(hard, logits, said_by(teacher, waveform), distill)

    return objective


def logits_of(model: Any, clips: Clips, numbers: Sequence[int], fill: str = "silence") -> Tensor:
    """What a model says of clips [N, K]: the log of `chances_of`."""
    return chances_of(model, clips, numbers, fill).log()


@torch.no_grad()
def chances_of(model: Any, clips: Clips, numbers: Sequence[int], fill: str = "silence") -> Tensor:
    """Probabilities of clips [N, K], the means of those of their windows."""
    cut = [windows(clips.shelf.take(i), clips.samples, fill) for i in numbers]
    flat = [part for parts in cut for part in parts]
    device, said = next(model.parameters()).device, []
    for start in range(0, len(flat), BATCH):
        waves = torch.from_numpy(np.stack(flat[start : start + BATCH])).to(device)
        logits = model.clip(waves).double()
        said.append((logits.sigmoid() if model.several else logits.softmax(dim=1)).cpu())
    each = torch.split(torch.cat(said), [len(parts) for parts in cut])
    return torch.stack([parts.mean(dim=0) for parts in each])


def accuracy(logits: Tensor, labels: NDArray[np.int64]) -> float:
    """Share of clips whose largest logit is right."""
    return float((logits.argmax(dim=1).numpy() == labels).mean())


def fit(
    model: Any,
    clips: Clips,
    recipe: ClipRecipeCfg,
    folder: Path,
    *,
    start: Start | None = None,
    quiet: bool = False,
) -> tuple[nn.Module, Judged]:
    """Train `model`; returns the average of its weights at the last step, and what it is worth.

    With `optim.valid_every` it is judged meanwhile, on the validation fold where there is one. On a
    test fold, as in the papers, the best step is chosen by what it is judged on: a figure to set
    beside published ones, while the model that comes back is the last.

    Args:
        model: trained in place.
        clips: what `load` gives.
        recipe: the run's.
        folder: of the run; a run that was killed here goes on.
        start: trained weights that the model has; a `texture` among them stays as it is.
        quiet: no progress bar.
    """
    data = recipe.data
    if data.folds == "shuffled":
        say(f"data: {folds.LEAK}")
    if not quiet:
        say_left_out(clips.shelf.left_out)
    on = next((name for name in ("valid", "test") if clips.parts[name]), "")
    numbers, fill = clips.parts.get(on, []), data.augment.fill

    def right(net: Any) -> float:
        said = chances_of(net, clips, numbers, fill)
        if not net.several:
            return accuracy(said, clips.labels[numbers])
        each = metrics.ranked(clips.hits[numbers], said.numpy())(None)
        return float(np.nanmean(each))

    held = [*recipe.freeze]
    if getattr(model, TEXTURE, None) is not None:
        held.append(TEXTURE)
        if start is None or TEXTURE in start.new:
            find(model, clips, fill, recipe.seed, quiet=quiet)
    model.to(memory_format=torch.channels_last)  # twice as fast on a CPU, for depthwise layers
    draw, objective, helper = with_hints(lesson(clips, model, recipe), model, recipe.hint, hear)
    averaged = run(
        model,
        draw,
        objective,
        replace(recipe.optim, keep_best=1),  # `best` is the only one there
        seed=recipe.seed,
        folder=folder,
        resolved=recipes.to_yaml(recipe),
        validate=(lambda net: 1 - right(net)) if on else None,
        frozen=tuple(dict.fromkeys(held)),
        keep_last=True,
        helper=helper,
        names={"valid": "valid error"},
        quiet=quiet,
    ).to(memory_format=torch.contiguous_format)
    last, top, step = None, None, None
    if on:
        with where_it_learned(averaged):
            last = right(averaged)
        if found := best(folder):
            step, weights = found
            other = registry.build(averaged.cfg)
            other.load_state_dict(weights)
            with where_it_learned(other.eval()):
                top = right(other)
    temperature = 1.0
    if on == "valid" and "head" not in recipe.freeze and not averaged.several:
        said = logits_of(averaged, clips, numbers, fill)
        temperature = calibrated(said, clips.labels[numbers])
        cool(averaged, temperature)
    return averaged, Judged(on, last, top, step, temperature)


def calibrated(logits: Tensor, labels: NDArray[np.int64]) -> float:
    """The temperature at which logits [N, K] fit the labels [N] best.

    Source: Guo et al. 2017 (1706.04599), section 4.2.
    """
    grid = torch.logspace(-1, 1, 201, dtype=torch.float64)
    truth = torch.from_numpy(labels)
    losses = [float(F.cross_entropy(logits / t, truth)) for t in grid]
    return float(grid[int(np.argmin(losses))])


@torch.no_grad()
def cool(model: Any, temperature: float) -> None:
    """Fold a temperature into the last layer, and into that of a texture."""
    texture = getattr(model, TEXTURE, None)
    for head in (model.head, *(() if texture is None else (texture.head,))):
        head.weight.div_(temperature)
        head.bias.div_(temperature)
