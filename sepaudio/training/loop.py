"""One training run on Lightning, which may be killed at any moment and goes on where it was.

Batch `step` is a pure function of the seed and the step, and so is every random draw while it is
learned from. So what has to be remembered is the step, the weights, their average, the optimiser
and the schedule; nothing about workers or positions.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from .. import doors, registry
from ..files import atomic_text
from .average import averaging
from .bar import Bar, shown
from .clip import adaptive_clip
from .graph import recorded
from .optim import OptimCfg, factor
from .optimizers import optimizer_of, sharpened
from .process import compiled, fast_products, keep_memory, leave_in_order, quiet_lightning
from .start import freeze
from .survey import say, tell_pace

pl = doors.lightning()

Draw = Callable[[int, int, int], Any]  # step, part, parts -> that part of the step's batch
Objective = Callable[[Any, Any], Tensor]  # model, batch -> loss
Validate = Callable[[Any], float]  # model -> figure, lower is better
Paced = Callable[[float, int], None]  # seconds a step, steps that are left

PACED = 12  # steps until their pace is known


class Steps(Dataset[Any]):
    """Item i is the batch of one of n steps, or the part of it that this process learns from."""

    def __init__(self, draw: Draw, n: int = 1 << 30, turns: int = 1, rank: int = 0, world: int = 1):
        self.draw, self.n, self.turns, self.rank, self.world = draw, n, turns, rank, world

    def __len__(self) -> int:
        return self.n * self.turns

    def __getitem__(self, i: int) -> Any:
        step, turn = divmod(i, self.turns)
        return self.draw(step, turn * self.world + self.rank, self.turns * self.world)


class _From(Sampler[int]):
    """Items in order, from the step that the optimiser has reached."""

    def __init__(self, task: Task, cfg: OptimCfg):
        self.task, self.cfg = task, cfg

    def __iter__(self) -> Iterator[int]:
        n = self.cfg.accumulate
        return iter(range(self.task.done * n, self.cfg.steps * n))

    def __len__(self) -> int:
        return (self.cfg.steps - self.task.done) * self.cfg.accumulate


class Task(pl.LightningModule):  # type: ignore[misc,name-defined]
    """An objective, averaged weights, one schedule.

    Args:
        model: trained in place.
        objective: what is minimised.
        cfg: how.
        seed: of every draw.
        folder: of the run; `last.ckpt` and the best weights go there.
        validate: judges the averaged weights every `cfg.valid_every` steps.
        frozen: parts that keep their weights, see `start.freeze`.
        paced: told after `PACED` steps how long one takes.
        helper: what the objective learns besides, such as a regressor; it is not averaged.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        cfg: OptimCfg,
        seed: int,
        folder: Path,
        validate: Validate | None = None,
        frozen: Sequence[str] = (),
        paced: Paced | None = None,
        helper: nn.Module | None = None,
    ):
        super().__init__()
        self.helper = helper
        self.model, self.objective, self.cfg, self.seed = model, objective, cfg, seed
        self.folder, self.checkpoint = folder, folder / "last.ckpt"
        self.validate, self.saved = validate, time.monotonic()
        self.paced, self.ends = paced, deque[float](maxlen=PACED)  # when the last steps ended
        dead = set(getattr(model, "dead_parameters", ()))
        for name, parameter in model.named_parameters():
            if name in dead:  # no gradient would ever come
                parameter.requires_grad_(False)
        self.frozen = tuple(freeze(model, frozen))
        self.train(model.training)
        self.averaged: Any = registry.build(model.cfg)
        self.averaged.load_state_dict(model.state_dict())
        self.averaged.requires_grad_(False)
        self.done = 0  # optimiser steps
        self.factor = 1.0  # of the plateau schedule
        self.stale = 0  # validations since the best one
        self.best: list[tuple[float, int]] = []  # (figure, step) of the weights kept in best/

    def train(self, mode: bool = True) -> Task:
        """What is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def on_train_start(self) -> None:
        """All lies where it will stay."""
        self._average = averaging(self.averaged, self.model)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Every step draws from its own seed, so that a replayed step is the same step."""
        self._reseed(batch_idx)

    def _reseed(self, batch_idx: int) -> None:
        turn = batch_idx % self.cfg.accumulate
        torch.manual_seed((self.seed << 32) + self.done * self.cfg.accumulate + turn)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        loss = self.objective(self.model, batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """The optimiser and the schedule of the learning rate, see `OptimCfg`."""
        cfg = self.cfg
        learning = nn.ModuleList(m for m in (self.model, self.helper) if m is not None)
        optimizer = optimizer_of(learning, cfg)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: factor(cfg, step) * self.factor
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Filter by filter where that is asked, but not in the head; then all together."""
        if self.cfg.clip_ratio:
            named = self.model.named_parameters()
            trunk = (p for name, p in named if name.split(".")[0] != "head")
            adaptive_clip(trunk, self.cfg.clip_ratio)
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """With the gradient of here, or of where the loss is sharpest near by."""
        assert optimizer_closure is not None
        closure = sharpened(
            optimizer_closure, self.model, self.cfg.sam, lambda: self._reseed(batch_idx)
        )
        optimizer.step(closure=closure)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Average the weights, count the step, judge, and only then save: all or none."""
        if (batch_idx + 1) % self.cfg.accumulate:
            return
        self.done += 1
        self._average(min(self.cfg.ema, self.done / (self.done + 10)))
        self._pace()
        last = self.done == self.cfg.steps
        if self.validate and (self.done % self.cfg.valid_every == 0 or last):
            self._judge(self.validate)
        due = time.monotonic() - self.saved >= self.cfg.save_every
        if self.trainer.world_size > 1:  # each waits for all: where one clock says so, all save
            due = self.trainer.strategy.reduce_boolean_decision(due, all=False)
        if last or due:
            self._save()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where the run is goes with the weights."""
        checkpoint["run"] = (self.done, self.factor, self.stale, self.best)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes back with them."""
        self.done, self.factor, self.stale, self.best = checkpoint["run"]
        if self.paced is not None:  # somebody is told how the run goes
            say(f"run: goes on after step {self.done} of {self.cfg.steps}, saved in {self.folder}")

    def _pace(self) -> None:
        """Measure, once: the median leaves out validations and saving, and the first steps."""
        if self.paced is None:
            return
        self.ends.append(time.monotonic())
        if len(self.ends) == PACED:
            times = [after - before for before, after in pairwise(self.ends)]
            self.paced(statistics.median(times[2:]), self.cfg.steps - self.done)
            self.paced = None

    def _judge(self, validate: Validate) -> None:
        """Validate, keep the best weights, slow down or stop where nothing gets better."""
        cfg = self.cfg
        self.averaged.eval()
        with torch.no_grad():
            figure = validate(self.averaged)
        self.log("valid", figure, prog_bar=True)
        better = not self.best or figure < self.best[0][0]
        self.stale = 0 if better else self.stale + 1
        if cfg.schedule == "plateau" and self.stale and self.stale % cfg.patience == 0:
            self.factor *= 0.5
        kept = sorted([*self.best, (figure, self.done)])[: cfg.keep_best]
        if self.global_rank == 0:
            if (figure, self.done) in kept:
                self._keep(self.done)
            for _, step in set(self.best) - set(kept):
                self._best_path(step).unlink(missing_ok=True)
        self.best = kept
        if cfg.stop_after and self.stale >= cfg.stop_after:
            self.trainer.should_stop = True
            self._save()

    def _best_path(self, step: int) -> Path:
        return self.folder / "best" / f"{step}.pt"

    def _keep(self, step: int) -> None:
        path = self._best_path(step)
        path.parent.mkdir(exist_ok=True)
        with _replacing(path) as new:
            torch.save(self.averaged.state_dict(), new)

    def _save(self) -> None:
        """All processes take part, the first one writes."""
        if self.global_rank == 0:
            with _replacing(self.checkpoint) as new:
                self.trainer.save_checkpoint(new)
        else:
            self.trainer.save_checkpoint(self.checkpoint)
        self.saved = time.monotonic()


def run(
    model: nn.Module,
    draw: Draw,
    objective: Objective,
    cfg: OptimCfg,
    *,
    seed: int,
    folder: Path,
    resolved: str,
    validate: Validate | None = None,
    frozen: Sequence[str] = (),
    workers: int = 0,
    paced: Paced | None = None,
    keep_last: bool = False,
    helper: nn.Module | None = None,
    names: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Any:
    """Train; returns the averaged weights of the last or, with validation, of the best step.

    Under torchrun every process of every machine takes its part of each batch; `cfg.batch` is
    that of all together. Batch norm hears all of it on CUDA devices; on CPUs, where torch has no
    such norm, only its own part.

    Args:
        model: trained in place.
        draw: step, part, parts -> that part of the step's batch, always the same.
        objective: model, batch -> loss, a mean over the batch.
        cfg: how.
        seed: of every draw.
        folder: of the run: resolved recipe, checkpoint, TensorBoard events. A run that was killed
            here goes on.
        resolved: text of the recipe, every value written out.
        validate: model -> figure, lower is better; see `OptimCfg.valid_every`.
        frozen: parts of the model that keep their weights.
        workers: processes that draw batches ahead.
        paced: told, once it is measured, how long a step takes; by default the user is.
        keep_last: return those of the last step in any case; the best are in the folder, see
            `best`.
        helper: what the objective learns besides the model.
        names: what the bar calls "loss" and "valid", such as {"loss": "loss [dB]"}.
        quiet: no progress bar; there is none without a terminal either.

    Raises:
        ValueError: the folder holds a run of another recipe.
        OSError: a checkpoint cannot be written, as when the disk is full; the last one is kept.
    """
    torch.set_num_threads(cfg.threads)
    keep_memory()
    leave_in_order()
    if torch.cuda.is_available():
        fast_products()
    folder.mkdir(parents=True, exist_ok=True)
    before, checkpoint = folder / "recipe.yaml", folder / "last.ckpt"
    if checkpoint.exists() and before.exists() and before.read_text() != resolved:
        pairs = zip_longest(before.read_text().splitlines(), resolved.splitlines())
        was, now = next((a or "", b or "") for a, b in pairs if a != b)
        raise ValueError(
            f"{folder} holds a run of another recipe ({was.strip()!r}, now {now.strip()!r}): name "
            "another --output or remove the folder"
        )
    world, local = (int(os.environ.get(k, 1)) for k in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    rank = int(os.environ.get("RANK", 0))
    if rank == 0:
        atomic_text(before, resolved)
    judged = validate if cfg.valid_every else None
    paced = paced or (None if quiet else tell_pace)
    learned = compiled(objective, model) if cfg.compile else objective
    if cfg.graph:
        if world > 1 and torch.cuda.is_available():
            raise ValueError(f"optim.graph=true in {world} processes: expected one; leave it out")
        learned = recorded(learned, [m for m in (model, helper) if m is not None], cfg.clips_once)
    task = Task(model, learned, cfg, seed, folder, judged, frozen, paced, helper)
    loader = DataLoader(
        Steps(draw, cfg.steps, cfg.accumulate, rank, world),
        batch_size=None,
        sampler=_From(task, cfg),
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        pin_memory=torch.cuda.is_available(),  # else every copy to the device waits for it
    )
    with quiet_lightning():
        trainer = pl.Trainer(
            max_steps=cfg.steps,
            max_epochs=-1,
            accelerator="auto",
            devices=local,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
            sync_batchnorm=world > 1 and torch.cuda.is_available(),
            use_distributed_sampler=False,
            precision=cfg.precision,
            accumulate_grad_batches=cfg.accumulate,
            logger=pl.loggers.TensorBoardLogger(folder, name="", version="events"),
            enable_checkpointing=False,
            enable_progress_bar=shown(quiet),
            callbacks=[Bar(names or {})] if shown(quiet) else [],
            enable_model_summary=False,
            gradient_clip_val=cfg.clip_norm if cfg.clips_once is None else None,
            log_every_n_steps=50,
        )
        resume = checkpoint if checkpoint.exists() else None
        trainer.fit(task, loader, ckpt_path=resume, weights_only=False)
    averaged: Any = task.averaged.to("cpu").eval()
    if task.best and not keep_last:
        averaged.load_state_dict(torch.load(task._best_path(task.best[0][1]), weights_only=True))
    return averaged


def best(folder: Path) -> tuple[int, dict[str, Tensor]] | None:
    """The step with the best figure of a run with `keep_best=1`, and its averaged weights."""
    found = sorted((folder / "best").glob("*.pt"))
    return (int(found[0].stem), torch.load(found[0], "cpu", weights_only=True)) if found else None


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A place to write to, which becomes `path` when all is written; till then the old one stays.

    The place is always the same, so that killed runs leave one behind at most.

    Raises:
        OSError: it cannot be written, as when the disk is full.
    """
    new = path.with_suffix(".new")
    try:
        yield new
        with new.open("r+b") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except (OSError, RuntimeError) as error:  # torch calls a full disk a RuntimeError
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise OSError(
            f"{path} cannot be written ({error}): what was saved before is kept; make room and "
            "call the same command again, and the run goes on from there"
        ) from error
