"""Time a training step in float32 and bf16, as it is and compiled, and write steps.md.

    python recipes/benchmark/steps.py [--rounds 7] [--batch 16] [--threads 1]

Objective and gradient of the small extractor and the small separator of recipes/real_small, on
noise in the place of mixtures. The candidates take turns, and each round begins with another one;
a ratio is the median of the ratios within a round. On a CUDA device where there is one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from separators import Run, timed
from torch import Tensor

from sepaudio import registry
from sepaudio.cli import script
from sepaudio.files import atomic_text
from sepaudio.training import recipe as recipes
from sepaudio.training.mixtures import objective_of
from sepaudio.training.process import compiled, keep_memory

HERE = Path(__file__).parent
RECIPES = ("tsenet_small", "voices_small", "mitas_small")
CANDIDATES = {  # bf16, compiled
    "float32": (False, False),
    "bf16": (True, False),
    "float32, compiled": (False, True),
    "bf16, compiled": (True, True),
}


def noise(cfg: recipes.MixtureRecipeCfg, batch: int, device: torch.device) -> dict[str, Tensor]:
    """A batch as the mixer makes it, of nothing but noise."""
    mixing = cfg.data.mixing
    n, m = (round(mixing.sample_rate * s) for s in (mixing.seconds, mixing.enrollment_seconds))
    draws = torch.Generator().manual_seed(0)
    sources = 0.1 * torch.randn(batch, 2, n, generator=draws)
    made = {
        "mixture": sources.sum(1),
        "sources": sources,
        "lengths": torch.full((batch,), n),
        "n_src": torch.full((batch,), 2),
        "target": torch.zeros(batch, dtype=torch.long),
        "voices": torch.zeros(batch, 2, dtype=torch.long),
        "enrollment": 0.1 * torch.randn(batch, m, generator=draws),
        "enrollment_lengths": torch.full((batch,), m),
    }
    return {key: x.to(device) for key, x in made.items()}


def step(cfg: recipes.MixtureRecipeCfg, batch: dict[str, Tensor], bf16: bool, fused: bool) -> Run:
    """Objective and gradient of a recipe's network."""
    device = batch["mixture"].device
    torch.manual_seed(0)
    model: Any = registry.build(recipes.model_cfg(cfg)).to(device).train()
    dead = set(model.dead_parameters)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in dead)
    objective = objective_of(model, cfg)
    objective = compiled(objective, model) if fused else objective

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = objective(model, batch)
        loss.backward()
        model.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def rows(options: argparse.Namespace, device: torch.device) -> list[str]:
    """The lines of the table."""
    lines = []
    for name in RECIPES:
        torch.compiler.reset()
        cfg = recipes.read(HERE.parent / "real_small" / f"{name}.yaml")
        assert isinstance(cfg, recipes.MixtureRecipeCfg)
        batch = noise(cfg, options.batch, device)
        runs, first = {}, {}
        for key, (bf16, fused) in CANDIDATES.items():
            runs[key] = step(cfg, batch, bf16, fused)
            began = time.perf_counter()
            runs[key]()
            runs[key]()  # the shapes of a second call may differ from those of the first
            first[key] = time.perf_counter() - began
        times = timed(runs, options.rounds)
        for key, taken in times.items():
            ratio = statistics.median(a / b for a, b in zip(times["float32"], taken, strict=True))
            least, most = min(taken), max(taken)
            lines.append(
                f"| {name} | {key} | {1e3 * statistics.median(taken):.0f} "
                f"({1e3 * least:.0f} to {1e3 * most:.0f}) | {ratio:.2f} | {first[key]:.0f} |\n"
            )
    return lines


def main() -> None:
    """Time all candidates and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    warnings.filterwarnings("ignore", message="Torchinductor does not support.*complex")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with TemporaryDirectory() as cache:  # nothing that was compiled before counts
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        lines = rows(options, device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    text = (
        "# Training steps\n\nMade by `python recipes/benchmark/steps.py "
        f"--rounds {options.rounds} --batch {options.batch} --threads {options.threads}`: "
        f"objective and gradient on {options.batch} mixtures of noise, as long as the recipes' in "
        f"`recipes/real_small`. {where}, {os.cpu_count()} cores, {options.threads} thread; Python "
        f"{platform.python_version()}, torch {version('torch')}.\n\n"
        "| recipe | arithmetic | a step, ms, median (least to most) | faster than float32 by | "
        "first two steps, s |\n| --- | --- | --- | --- | --- |\n" + "".join(lines)
    )
    atomic_text(HERE / "steps.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
