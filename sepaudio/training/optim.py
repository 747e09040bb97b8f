"""How weights are found: the numbers of the optimiser, and how its learning rate changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

OPTIMIZERS = ("adamw", "adam", "rmsprop", "muon")
SCHEDULES = ("cosine", "plateau", "esresnet", "restarts", "late_decay")
HELD, RISEN = 5, 15  # epochs of ESResNet's schedule: a tenth until the one, all of it at the other


@dataclass(frozen=True, kw_only=True)
class OptimCfg:
    """How the weights are found.

    Attributes:
        steps: optimiser steps.
        batch: clips a step.
        lr: largest learning rate; rises over `warmup` steps, then a cosine to zero.
        warmup: [steps]
        weight_decay: of weights, not of biases and norms.
        decay_depthwise: of depthwise filters too.
        sam: how far each step first climbs to where the loss is sharpest; 0 for not at all, 0.05
            in the paper, for twice the time of a step.
        clip_norm: largest gradient norm.
        clip_ratio: largest norm of a filter's gradient, as a share of the filter's; 0 for any.
        label_smoothing: share of the label spread over all classes.
        auxiliary: weight of the loss of each auxiliary or companion head.
        auxiliary_floor: of that loss; a head that is as good as this teaches nothing any more.
        ema: decay per step of the averaged weights that are kept.
        lengths: clip lengths drawn for each batch [s].
        late_frame: end each clip at a random frame of its last half, one for the whole batch
            (the author's rule), so that the network learns to decide at any moment.
        optimizer: "adamw"; "adam", whose decay is of all weights and part of the gradient;
            "rmsprop", as MobileNet and EfficientNet were trained with; or "muon", see
            `optimizers.Muon`.
        schedule: "cosine" to zero, "plateau": halved where validation stands still, or by epochs
            "esresnet", "restarts" (SwishNet's) or "late_decay" (its teacher's), see `factor`.
        lr_min: lowest learning rate of "restarts".
        epoch_steps: that schedules by epochs take for one; set by the clips where `epochs` counts.
        epochs: in the place of `steps`, where every clip is heard once an epoch (`data.cut`).
        valid_every: steps between validations; 0 for none.
        patience: validations without a better one before the plateau schedule halves.
        stop_after: validations without a better one before the run ends; 0 for never.
        keep_best: how many of the best weights are kept; the best of them is the result.
        accumulate: parts that a batch is learned from, one after the other.
        precision: Lightning's name of it: "32-true", "bf16-mixed", "16-mixed".
        compile: let torch.compile fuse the arithmetic of a step, which takes a C++ compiler and a
            minute at the start; seconds where a block is compiled for all, see `process.compiled`.
        graph: record the arithmetic of a step, and Muon's, on a CUDA device and replay it, so that
            it is asked for at once, see `graph.recorded`; elsewhere nothing changes. In one
            process, and of batches of few shapes.
        threads: of the arithmetic on a CPU; a network this small is fastest with one.
        save_every: [s] between checkpoints.
    """

    steps: int = 6000
    batch: int = 128
    lr: float = 3e-3
    warmup: int = 200
    weight_decay: float = 1e-3
    decay_depthwise: bool = True
    sam: float = 0.0
    clip_norm: float = 1.0
    clip_ratio: float = 0.0
    label_smoothing: float = 0.05
    auxiliary: float = 0.3
    auxiliary_floor: float = 0.0
    ema: float = 0.998
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0)
    late_frame: bool = True
    optimizer: str = "adamw"
    schedule: str = "cosine"
    lr_min: float = 0.0
    epoch_steps: int = 0
    epochs: int = 0
    valid_every: int = 0
    patience: int = 3
    stop_after: int = 0
    keep_best: int = 1
    accumulate: int = 1
    precision: str = "32-true"
    compile: bool = False
    graph: bool = False
    threads: int = 1
    save_every: float = 60.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "patience", "keep_best", "accumulate", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.auxiliary < 0 or self.auxiliary_floor < 0:
            raise ValueError(
                f"auxiliary={self.auxiliary}, auxiliary_floor={self.auxiliary_floor}: expected 0 "
                "or more"
            )
        if self.clip_ratio < 0:
            raise ValueError(f"clip_ratio={self.clip_ratio}: expected 0 or more, such as 0.01")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}"
            )
        if self.sam < 0 or (self.sam and (self.accumulate > 1 or self.precision == "16-mixed")):
            raise ValueError(
                f"sam={self.sam} with accumulate={self.accumulate}, precision={self.precision!r}: "
                "expected 0 or more, and whole batches in full or bf16 precision"
            )
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: expected one of {', '.join(SCHEDULES)}")
        if self.schedule in SCHEDULES[2:] and self.epoch_steps < 1 and not self.epochs:
            raise ValueError(
                f"schedule={self.schedule!r} with epoch_steps=0: give steps of an epoch"
            )
        if not 0 <= self.lr_min <= self.lr or self.epochs < 0:
            raise ValueError(
                f"lr_min={self.lr_min}, epochs={self.epochs}: expected 0 to lr={self.lr}, 0 or more"
            )
        if self.schedule == "plateau" and not self.valid_every:
            raise ValueError(
                "schedule='plateau' with valid_every=0: give steps between validations"
            )

    @property
    def clips_once(self) -> float | None:
        """`clip_norm` where a recorded step is one call, which clips its gradient; else None."""
        apart = self.accumulate > 1 or self.clip_ratio > 0 or self.precision == "16-mixed"
        there = self.graph and torch.cuda.is_available()
        return self.clip_norm if there and not apart else None


def factor(cfg: OptimCfg, step: int) -> float:
    """The factor at a step, without what validation changes.

    "esresnet" counts in epochs: a tenth for five, then up in a straight line over ten, then 1.5 %
    less from one to the next. "restarts" goes from all of it to `lr_min` in a cosine over 1, 2, 4,
    8 ... epochs, each but the first epoch of a cycle a step further; cycles have an epoch more than
    that, as the first author of SwishNet restarts one epoch late. "late_decay" stays for five
    epochs, and then has 0.6 of it from one to the next.

    Source: Guzhov et al. 2020 (2004.07301), as in the first author's code, commit 138c073;
    Loshchilov & Hutter 2016 (1608.03983), eq. 5, and Hussain & Haque 2018 (1812.00149), as in the
    first author's code.
    """
    if cfg.schedule == "restarts":
        epoch, cycle, least = step // cfg.epoch_steps, 1, cfg.lr_min / cfg.lr
        while epoch > cycle:
            epoch, cycle = epoch - cycle - 1, 2 * cycle
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * epoch / cycle))
    if cfg.schedule == "late_decay":
        return float(0.6 ** max(step // cfg.epoch_steps - HELD + 1, 0))
    if cfg.schedule == "esresnet":
        epoch = step // cfg.epoch_steps
        if epoch < HELD:
            return 0.1
        if epoch < RISEN:
            return 0.1 + 0.09 * (epoch - HELD + 1)
        return float(0.985 ** (epoch - RISEN))
    rise = min(1.0, (step + 1) / max(cfg.warmup, 1))
    if cfg.schedule == "plateau":
        return rise
    return rise * 0.5 * (1 + math.cos(math.pi * min(step / cfg.steps, 1.0)))
