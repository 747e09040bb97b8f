"""A network that learns for a given time instead of a given number of steps."""

from __future__ import annotations

import math
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from torch.utils.data import DataLoader

from sepaudio.data.batched import Batched, to
from sepaudio.data.mixing import Mixer
from sepaudio.files import atomic, atomic_folder, atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.average import averaging
from sepaudio.training.draws import Made, batch_at
from sepaudio.training.graph import Recorded
from sepaudio.training.loop import Steps
from sepaudio.training.mixtures import objective_of
from sepaudio.training.recipe import MixtureRecipeCfg

WARMUP = 0.05  # share of the budget over which the learning rate rises
SAVED = 60.0  # time between checkpoints [s]
AHEAD = 4  # processes that draw for a CUDA device


def rate(used: float, step: float) -> float:
    """Share of the learning rate for a step, given shares of the budget: used, and of the step."""
    return min(1.0, (used + step) / WARMUP) * 0.5 * (1 + math.cos(math.pi * min(used, 1.0)))


def settings(cfg: MixtureRecipeCfg, budget: float) -> dict[str, Any]:
    """All that a network came from; manifests by their names, as recordings may be moved."""
    names = [Path(path).name for path in cfg.data.manifests]
    cfg = replace(cfg, data=replace(cfg.data, manifests=names))
    return {"budget_s": budget, "recipe": recipes.to_yaml(cfg)}


class Learner:
    """A network that learns by a recipe while its budget lasts; else as in `training.loop`.

    Attributes:
        averaged: the weights that are kept and scored.
        steps: optimiser steps made.
        spent: time of them [s]: CPU time, or what a CUDA device took.
        pace: of the last step [s].
    """

    def __init__(
        self,
        model: Any,
        cfg: MixtureRecipeCfg,
        mixer: Mixer,
        budget: float,
        folder: Path,
        at_once: int,
        device: str = "cpu",
        record: bool = False,
    ):
        """Begin, or go on from the checkpoint of a killed run.

        Args:
            model: trained in place.
            cfg: the recipe.
            mixer: draws the mixtures.
            budget: time of all steps [s].
            folder: where the weights go in the end; its name is the network's.
            at_once: mixtures whose gradient is found at once; the sum over a batch is the same.
            device: where it learns; on a CUDA device mixtures are made, too.
            record: loss and gradient once there, see `graph.Recorded`.
        """
        self.device = torch.device(device)
        self.model, self.cfg, self.budget = model.train().to(self.device), cfg, budget
        self.folder, self.checkpoint = folder, folder.with_suffix(".ckpt")
        self.at_once = at_once
        objective = objective_of(self.model, cfg)
        self.objective = Recorded(objective, [self.model]) if record else objective
        there = self.device.type == "cuda"
        self.source = Made(self.objective, Batched(mixer)) if there else None
        self.draw = batch_at(
            self.source.source if self.source else mixer, cfg.optim.batch, cfg.seed
        )
        dead = getattr(self.model, "dead_parameters", ())
        self.learning = [p for n, p in self.model.named_parameters() if n not in dead]
        groups = [
            {"params": [p for p in self.learning if p.ndim > 1]},
            {"params": [p for p in self.learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optim = cfg.optim
        self.optimizer = torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay)
        self.averaged = deepcopy(self.model).requires_grad_(False)
        self._average = averaging(self.averaged, self.model)
        self.parts = {"model": model, "averaged": self.averaged, "optimizer": self.optimizer}
        self.steps, self.spent, self.pace = 0, 0.0, 0.0
        if not self._resume():
            self._measure()
        self.saved = self.spent
        steps = Steps(self.draw)
        self.coming = iter(
            DataLoader(
                steps,
                batch_size=None,
                sampler=range(self.steps, len(steps)),
                num_workers=AHEAD if there else 0,
                multiprocessing_context="fork" if there else None,
            )
        )

    def _now(self) -> float:
        """A clock that counts what the steps take [s]."""
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def _placed(self, drawn: dict[str, Any]) -> dict[str, torch.Tensor]:
        """The batch of what was drawn, where it is learned from."""
        return self.source.batch(to(drawn, self.device)) if self.source else drawn

    def _measure(self) -> None:
        """Find the pace, from the gradient of a few mixtures; a device warms up first."""
        some = {key: x[: self.at_once] for key, x in self._placed(self.draw(0, 0, 1)).items()}
        for _ in range(2 if self.source else 1):
            begin = self._now()
            self.differentiate(some)
            self.pace = (self._now() - begin) * self.cfg.optim.batch / len(some["mixture"])
        print(f"{self.folder.name}: {self.pace:.3f} s a step", flush=True)

    def _resume(self) -> bool:
        """Take up the checkpoint, if there is one with these settings."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, weights_only=True)
        if state["settings"] != settings(self.cfg, self.budget):
            return False
        for key, part in self.parts.items():
            part.load_state_dict(state[key])
        self.steps, self.spent, self.pace = state["run"]
        print(f"{self.folder.name}: goes on after {self.steps} steps", flush=True)
        return True

    def learn(self) -> None:
        """Make a step; only that is counted, not the drawing of its mixtures, nor saving."""
        batch = self._placed(next(self.coming))
        begin = self._now()
        for group in self.optimizer.param_groups:
            share = rate(self.spent / self.budget, self.pace / self.budget)
            group["lr"] = self.cfg.optim.lr * share
        loss = self.differentiate(batch)
        if not math.isfinite(loss):
            raise ValueError(
                f"{self.folder.name}: the loss is {loss} at step {self.steps}: lower optim.lr"
            )
        torch.nn.utils.clip_grad_norm_(self.learning, self.cfg.optim.clip_norm)
        self.optimizer.step()
        self._average(min(self.cfg.optim.ema, self.steps / (self.steps + 10)))
        self.pace = self._now() - begin
        self.spent += self.pace
        self.steps += 1
        if self.spent - self.saved >= SAVED:
            self.save()

    def differentiate(self, batch: dict[str, torch.Tensor]) -> float:
        """Leave the gradient of the mean loss of a batch, which is returned."""
        self.optimizer.zero_grad()
        n, total = len(batch["mixture"]), 0.0
        for first in range(0, n, self.at_once):
            part = {key: x[first : first + self.at_once] for key, x in batch.items()}
            loss = self.objective(self.model, part) * (len(part["mixture"]) / n)
            loss.backward()
            total += float(loss.detach())
        return total

    def save(self) -> None:
        """Write the checkpoint."""
        state: dict[str, Any] = {key: part.state_dict() for key, part in self.parts.items()}
        state["settings"] = settings(self.cfg, self.budget)
        state["run"] = (self.steps, self.spent, self.pace)
        with atomic(self.checkpoint) as new:
            torch.save(state, new)
        self.saved = self.spent

    def keep(self) -> None:
        """Write the averaged weights and what they cost, in the place of the checkpoint."""
        where = "cpu" if self.device.type == "cpu" else torch.cuda.get_device_name(self.device)
        cost = {"steps": self.steps, "seconds": self.spent, "batch": self.cfg.optim.batch}
        cost["device"] = where
        with atomic_folder(self.folder, overwrite=True) as new:
            save_model(self.averaged, str(new / "model.safetensors"))
            atomic_json(new / "about.json", {**settings(self.cfg, self.budget), **cost})
        self.checkpoint.unlink(missing_ok=True)
        print(f"{self.folder.name}: {self.steps} steps in {self.spent:.1f} s", flush=True)
