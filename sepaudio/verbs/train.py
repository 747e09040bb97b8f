"""Train what a recipe says and write the model folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from .. import hub, registry
from ..training import recipe as recipes
from ..training.bank import banks
from ..training.classify import Trained, fit


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    quiet: bool = False,
) -> Path:
    """Train, calibrate and save; returns the model folder.

    A run that was killed goes on where it last saved, with the same result to the last bit.

    Args:
        recipe: YAML file.
        overrides: "key=value".
        output: folder of the run; by default runs/ and the recipe's name.
        quiet: no progress bar.

    Raises:
        ValueError: the recipe or the data is wrong; the message says where.
    """
    cfg = recipes.read(recipe, overrides)
    folder = Path(output) if output is not None else Path("runs") / Path(recipe).stem
    torch.manual_seed(cfg.seed)
    model: Any = registry.create(cfg.architecture, **cfg.model)
    trained = fit(model, *banks(cfg, model), cfg, folder, quiet=quiet)
    about = describe(cfg, trained)
    return hub.save(trained.model, folder / "model", card=_card(cfg, trained), **about)


def describe(cfg: recipes.RecipeCfg, trained: Trained) -> dict[str, object]:
    """What config.json says of a run beside the model itself."""
    return {
        "architecture": cfg.architecture,
        "license": cfg.license,
        "trained_on": list(trained.bank.names),
        "data_fingerprint": trained.bank.fingerprint,
        "seed": cfg.seed,
        "recipe": json.loads(json.dumps(asdict(cfg))) | {"data": _without_paths(cfg)},
        "temperature": trained.temperature,
        "valid_accuracy_augmented_2s": trained.valid_accuracy,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "pytorch-lightning", "soxr")},
        },
    }


def _without_paths(cfg: recipes.RecipeCfg) -> dict[str, object]:
    data = json.loads(json.dumps(asdict(cfg.data)))
    data["manifests"] = [Path(path).name for path in cfg.data.manifests]
    data.pop("bank")
    return dict(data)


def _card(cfg: recipes.RecipeCfg, trained: Trained) -> str:
    sources = "\n".join(f"- {name}" for name in trained.bank.names)
    return (
        f"# {cfg.architecture}\n\nLicence of the weights: {cfg.license}\n\n"
        f"Trained {cfg.optim.steps} steps, seed {cfg.seed}, on\n\n{sources}\n"
    )
