"""Runs of a tiny network that other processes can import."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import torch

from sepaudio import registry
from sepaudio.training.classify import cross_entropy
from sepaudio.training.loop import run
from sepaudio.training.recipe import OptimCfg

CFG = OptimCfg(steps=12, batch=8, lr=1e-2, warmup=2, save_every=0.0)


def draw(step, part, parts):
    """Noise whose class is the sign of its mean; every draw from the step alone."""
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(2, (8,), generator=generator)
    x = torch.randn(8, 5, 30, generator=generator) + 2.0 * labels[:, None, None] - 1
    return x[part::parts], labels[part::parts]


def fresh(dropout=0.1):
    torch.manual_seed(0)
    return registry.create("swishnet_test", dropout=dropout)


def fit(folder, cfg=CFG, draw=draw, validate=None, dropout=0.1, frozen=(), **more):
    model = fresh(dropout)
    return run(
        model,
        draw,
        cross_entropy(0.0),
        cfg,
        seed=1,
        folder=Path(folder),
        resolved=repr(cfg),
        validate=validate,
        frozen=frozen,
        **more,
        quiet=True,
    )


def figure(model):
    """Loss on a batch that no step draws."""
    return float(cross_entropy(0.0)(model, draw(1000, 0, 1)))


FROZEN = ("stem.1", "trunk.0.short")
HARD = replace(
    CFG, accumulate=2, schedule="plateau", valid_every=3, patience=1, keep_best=2, ema=0.9
)


def until_killed(folder, where):
    """In a process of its own: SIGKILL while a part of a step is drawn."""

    def deadly(step, part, parts):
        if (step, part) == where:
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(step, part, parts)

    fit(folder, HARD, deadly, figure, frozen=FROZEN)
