"""One training run on Lightning, which may be killed at any moment and goes on where it was."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from .. import doors, registry
from ..files import atomic, atomic_text
from ..layers import TimeConv
from . import recipe as recipes
from .bank import Bank
from .recipe import OptimCfg, RecipeCfg

pl = doors.lightning()


@dataclass(frozen=True)
class Trained:
    """What a run leaves behind."""

    model: nn.Module
    temperature: float
    valid_accuracy: float
    bank: Bank


def batch_at(bank: Bank, usable: NDArray[np.int64], cfg: OptimCfg, fps: float, seed: int) -> Any:
    """A function from the step's number to its batch: features [B, F, L], labels [B].

    A label of -1 is not learned from: hardly anything sounds in that clip.
    """
    often = bank.evenly(usable)

    def draw(step: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng([seed, step])
        rows = np.sort(random.choice(usable, cfg.batch, p=often))
        frames = bank.features.shape[-1]
        length = min(round(float(random.choice(cfg.lengths)) * fps), frames)
        if cfg.late_frame:
            length = round((length - 0.5) * random.uniform(0.5, 1.0)) + 1
        start = int(random.integers(frames - length + 1))
        x = bank.features[rows, :, start : start + length].astype(np.float32)
        heard = bank.active[rows, start : start + length].mean(axis=1) > 0.1
        labels = np.where(heard, bank.labels[rows], -1)
        return torch.from_numpy(x), torch.from_numpy(labels)

    return draw


class _Steps(Dataset[tuple[Tensor, Tensor]]):
    """Item `step` is the batch of that step, whatever was drawn before."""

    def __init__(self, draw: Any, n: int):
        self.draw, self.n = draw, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        item: tuple[Tensor, Tensor] = self.draw(step)
        return item


class _From(Sampler[int]):
    """Steps in order, from the one that the optimiser has reached."""

    def __init__(self, task: Any, n: int):
        self.task, self.n = task, n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.task.done, self.n))

    def __len__(self) -> int:
        return self.n - int(self.task.done)


class Task(pl.LightningModule):  # type: ignore[misc,name-defined]
    """Cross-entropy on clips, averaged weights, one cosine."""

    def __init__(self, model: Any, cfg: OptimCfg, seed: int, checkpoint: Path):
        super().__init__()
        self.model, self.cfg, self.seed = model, cfg, seed
        self.checkpoint, self.saved = checkpoint, time.monotonic()
        self.averaged: Any = registry.build(model.cfg)
        self.averaged.load_state_dict(model.state_dict())
        self.averaged.requires_grad_(False)
        self.done = 0  # optimiser steps

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Every step draws from its own seed, so that a replayed step is the same step."""
        torch.manual_seed((self.seed << 32) + self.done)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Features [B, F, L], labels [B] -> loss."""
        features, labels = batch
        loss = self.loss(features, labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the decision at the last frame."""
        logits: Tensor = self.model.clip_logits(features)
        if not (labels >= 0).any():
            return logits.sum() * 0.0
        smooth = self.cfg.label_smoothing
        return F.cross_entropy(logits, labels, label_smoothing=smooth, ignore_index=-1)

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, then a cosine to zero."""
        cfg = self.cfg
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [
            {"params": weights, "weight_decay": cfg.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=cfg.lr)

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(cfg.warmup, 1))
            return rise * 0.5 * (1 + math.cos(math.pi * min(step / cfg.steps, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Average the weights, count the step, and only then save: all three or none."""
        self.done += 1
        decay = min(self.cfg.ema, self.done / (self.done + 10))
        with torch.no_grad():
            pairs = zip(
                self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True
            )
            for mean, new in pairs:
                if mean.is_floating_point():
                    mean.lerp_(new, 1 - decay)
                else:
                    mean.copy_(new)
        if time.monotonic() - self.saved >= self.cfg.save_every or self.done == self.cfg.steps:
            with atomic(self.checkpoint) as new_file:
                self.trainer.save_checkpoint(new_file)
            self.saved = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The step reached goes with the weights."""
        checkpoint["done"] = self.done

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes back with them."""
        self.done = checkpoint["done"]


def fit(
    model: Any,
    train: Bank,
    valid: Bank,
    recipe: RecipeCfg,
    folder: Path,
    *,
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
        quiet: no progress bar.
    """
    cfg = recipe.optim
    torch.set_num_threads(cfg.threads)
    _keep_memory()
    folder.mkdir(parents=True, exist_ok=True)
    resolved = recipes.to_yaml(recipe)
    before = folder / "recipe.yaml"
    checkpoint = folder / "last.ckpt"
    if checkpoint.exists() and before.exists() and before.read_text() != resolved:
        raise ValueError(
            f"{folder} holds a run of another recipe: name another --output or remove the folder"
        )
    atomic_text(before, resolved)
    usable = train.without(recipe.data.held_out)
    fps = model.sample_rate / model.hop
    standardize(model, train, usable)
    task = Task(model, cfg, recipe.seed, checkpoint)
    steps = _Steps(batch_at(train, usable, cfg, float(fps), recipe.seed), cfg.steps)
    loader = DataLoader(steps, batch_size=None, sampler=_From(task, cfg.steps))
    with _quiet_lightning():
        trainer = pl.Trainer(
            max_steps=cfg.steps,
            max_epochs=-1,
            accelerator="auto",
            devices=1,
            logger=pl.loggers.TensorBoardLogger(folder, name="", version="events"),
            enable_checkpointing=False,
            enable_progress_bar=not quiet,
            enable_model_summary=False,
            gradient_clip_val=cfg.clip_norm,
            log_every_n_steps=50,
        )
        resume = checkpoint if checkpoint.exists() else None
        trainer.fit(task, loader, ckpt_path=resume, weights_only=False)
    best: Any = task.averaged.to("cpu").eval()
    temperature, accuracy = calibrate(best, valid, recipe.data.held_out)
    return Trained(best, temperature, accuracy, train)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's advice about our loader and logger, which know better, kept off the terminal."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            yield
        finally:
            log.setLevel(level)


def _keep_memory() -> None:
    """Tell glibc to keep freed memory: small networks spend a third of a step on page faults."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: ask the system for a block of its own
            mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: give memory back


def standardize(model: Any, bank: Bank, usable: NDArray[np.int64], most: int = 4000) -> None:
    """Measure mean and deviation of every feature on the training clips."""
    rows = usable[:: max(1, len(usable) // most)]
    x = bank.features[rows].astype(np.float64)
    mean, std = x.mean(axis=(0, 2)), x.std(axis=(0, 2))
    norm = model.standardize
    norm.mean.copy_(torch.from_numpy(mean))
    norm.std.copy_(torch.from_numpy(np.maximum(std, 1e-3)))


@torch.no_grad()
def calibrate(model: Any, bank: Bank, held_out: tuple[str, ...]) -> tuple[float, float]:
    """Fold the temperature that fits best into the last layer; returns it and the accuracy.

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
    grid = torch.logspace(-1, 1, 201, dtype=torch.float64)
    losses = [float(F.cross_entropy(found / t, labels)) for t in grid]
    temperature = float(grid[int(np.argmin(losses))])
    last: Any = [m for m in model.head.modules() if isinstance(m, TimeConv | nn.Linear)][-1]
    last.weight.div_(temperature)
    last.bias.div_(temperature)
    return temperature, float((found.argmax(dim=1) == labels).double().mean())
