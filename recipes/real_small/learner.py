"""A network that learns for a given CPU time instead of a given number of steps."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model

from sepaudio.data.mixing import Mixer
from sepaudio.files import atomic, atomic_folder, atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.mixtures import batch_at, objective_of
from sepaudio.training.recipe import MixtureRecipeCfg

WARMUP = 0.05  # share of the budget over which the learning rate rises
SAVED = 60.0  # CPU time between checkpoints [s]


def rate(used: float, step: float) -> float:
    """Share of the learning rate for a step, given shares of the budget: used, and of the step."""
    return min(1.0, (used + step) / WARMUP) * 0.5 * (1 + math.cos(math.pi * min(used, 1.0)))


def settings(cfg: MixtureRecipeCfg, budget: float) -> dict[str, Any]:
    """All that a network came from."""
    return {"budget_s": budget, "recipe": recipes.to_yaml(cfg)}


class Learner:
    """A network that learns by a recipe while its budget lasts; else as in `training.loop`.

    Attributes:
        averaged: the weights that are kept and scored.
        steps: optimiser steps made.
        spent: CPU time of them [s].
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
    ):
        """Begin, or go on from the checkpoint of a killed run.

        Args:
            model: trained in place.
            cfg: the recipe.
            mixer: draws the mixtures.
            budget: CPU time of all steps [s].
            folder: where the weights go in the end; its name is the network's.
            at_once: mixtures whose gradient is found at once; the sum over a batch is the same.
        """
        self.model, self.cfg, self.budget = model.train(), cfg, budget
        self.folder, self.checkpoint = folder, folder.with_suffix(".ckpt")
        self.at_once = at_once
        self.objective = objective_of(self.model, cfg)
        self.draw = batch_at(mixer, cfg.optim.batch, cfg.seed)
        dead = getattr(self.model, "dead_parameters", ())
        self.learning = [p for n, p in self.model.named_parameters() if n not in dead]
        groups = [
            {"params": [p for p in self.learning if p.ndim > 1]},
            {"params": [p for p in self.learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optim = cfg.optim
        self.optimizer = torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay)
        self.averaged = torch.optim.swa_utils.AveragedModel(
            self.model, avg_fn=lambda mean, new, n: mean.lerp(new, 1 - min(optim.ema, n / (n + 10)))
        )
        self.parts = {"model": model, "averaged": self.averaged, "optimizer": self.optimizer}
        self.steps, self.spent, self.pace = 0, 0.0, 0.0
        if not self._resume():
            self._measure()
        self.saved = self.spent

    def _measure(self) -> None:
        """Find the pace, from the gradient of a few mixtures."""
        some = {key: x[: self.at_once] for key, x in self.draw(0, 0, 1).items()}
        begin = time.process_time()
        self.differentiate(some)
        self.pace = (time.process_time() - begin) * self.cfg.optim.batch / len(some["mixture"])
        print(f"{self.folder.name}: {self.pace:.2f} s of CPU a step", flush=True)

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
        batch = self.draw(self.steps, 0, 1)
        begin = time.process_time()
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
        self.averaged.update_parameters(self.model)
        self.pace = time.process_time() - begin
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
        cost = {"steps": self.steps, "cpu_seconds": self.spent, "batch": self.cfg.optim.batch}
        with atomic_folder(self.folder, overwrite=True) as new:
            save_model(self.averaged.module, str(new / "model.safetensors"))
            atomic_json(new / "about.json", {**settings(self.cfg, self.budget), **cost})
        self.checkpoint.unlink(missing_ok=True)
        print(f"{self.folder.name}: {self.steps} steps in {self.spent:.1f} s of CPU", flush=True)
