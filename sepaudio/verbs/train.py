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
from ..training import classify, mixtures
from ..training import recipe as recipes
from ..training.bank import banks


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    quiet: bool = False,
) -> Path:
    """Train, judge or calibrate, and save; returns the model folder.

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
    names: tuple[str, ...]
    if isinstance(cfg, recipes.RecipeCfg):
        heard = classify.fit(model, *banks(cfg, model), cfg, folder, quiet=quiet)
        trained, names = heard.model, heard.bank.names
        measured = {
            "data_fingerprint": heard.bank.fingerprint,
            "temperature": heard.temperature,
            "valid_accuracy_augmented_2s": heard.valid_accuracy,
        }
    else:
        mixed = mixtures.fit(model, cfg, folder, quiet=quiet)
        trained, names = mixed.model, mixed.names
        measured = {"data_fingerprint": mixed.fingerprint, "valid_loss_db": mixed.valid}
    about = {**describe(cfg, names), **measured}
    return hub.save(trained, folder / "model", card=_card(cfg, names), **about)


def describe(cfg: recipes.AnyRecipe, names: Sequence[str]) -> dict[str, object]:
    """What config.json says of a run beside the model itself and what was measured."""
    named: dict[str, object] = {"data": _without_paths(cfg)}
    if isinstance(cfg, recipes.MixtureRecipeCfg):
        named["speaker"] = Path(cfg.speaker).name
    return {
        "architecture": cfg.architecture,
        "license": cfg.license,
        "trained_on": list(names),
        "seed": cfg.seed,
        "recipe": json.loads(json.dumps(asdict(cfg))) | named,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "pytorch-lightning", "soxr")},
        },
    }


def _without_paths(cfg: recipes.AnyRecipe) -> dict[str, object]:
    data = json.loads(json.dumps(asdict(cfg.data)))
    data["manifests"] = [Path(path).name for path in cfg.data.manifests]
    if isinstance(cfg, recipes.MixtureRecipeCfg):
        data["lists"]["files"] = [Path(path).name for path in cfg.data.lists.files]
    for folder in ("bank", "shelf"):
        data.pop(folder, None)
    return dict(data)


def _card(cfg: recipes.AnyRecipe, names: Sequence[str]) -> str:
    sources = "\n".join(f"- {name}" for name in names)
    return (
        f"# {cfg.architecture}\n\nLicence of the weights: {cfg.license}\n\n"
        f"Trained {cfg.optim.steps} steps, seed {cfg.seed}, on\n\n{sources}\n"
    )
