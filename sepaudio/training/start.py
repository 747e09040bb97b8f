"""Where a run starts: at fresh weights or those of a trained model, some of which may be frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .. import hub, registry
from ..frontends import followed
from .recipe import AnyRecipe, model_cfg

HEAD = "head"  # what classifiers call the layers that know their labels
TEXTURE = "texture"  # a part that knows them too, and may be there or not


@dataclass(frozen=True)
class Start:
    """Trained weights that a run starts from.

    Attributes:
        name: of shipped weights, or of the folder and the one above it.
        about: its config.json, and the "sha256" of its weights.
        new: parts that are not taken over: a head for other labels, and what is not trained there.
        changed: values of its cfg that the recipe changes: (key, before, after).
    """

    name: str
    about: dict[str, Any]
    new: tuple[str, ...]
    changed: tuple[tuple[str, Any, Any], ...]

    @property
    def license(self) -> str:
        """Of the weights, as their folder says."""
        return str(self.about.get("license", "unknown"))

    def record(self) -> dict[str, Any]:
        """What config.json says of the start: name, digest, licence, data, and its own start."""
        kept = [key for key in ("trained_on", "init") if key in self.about]
        return {
            "name": self.name,
            "sha256": self.about["sha256"],
            "license": self.license,
            "new": list(self.new),
            **{key: self.about[key] for key in kept},
        }

    def lines(self) -> list[str]:
        """What a user should know of it before the run."""
        told = [f"init: {self.name}, licence {self.license}"]
        told += [f"init: {key} was {old}, is {now}" for key, old, now in self.changed]
        return told + [f"init: {part} is new and starts untrained" for part in self.new]


def model_of(recipe: AnyRecipe) -> tuple[nn.Module, Start | None]:
    """The model that a recipe trains, as it is before the first step; seed torch before.

    Raises:
        ValueError: the weights of `init` do not fit; a tensor, both shapes and a remedy are named.
            Or the architecture is not trained by gradient.
    """
    model = registry.build(model_cfg(recipe))
    if hasattr(model, "found_by"):
        raise ValueError(
            f"architecture={recipe.architecture} is found by {model.found_by}: expected one that "
            "is trained by gradient; see recipes/classical/train.py"
        )
    if not recipe.init:
        return model, None
    theirs: Any = hub.load(recipe.init, untrained=True)
    if getattr(model, "task", "") == "speaker" and getattr(theirs, "speaker", None) is not None:
        theirs = followed(theirs.speaker)  # the encoder of an extractor goes on by itself
    start = _start(recipe, model, theirs)
    here = {key: x for key, x in model.state_dict().items() if _part(key) not in start.new}
    given = {key: x for key, x in theirs.state_dict().items() if _part(key) not in start.new}
    if getattr(model, TEXTURE, None) is None:
        given = {key: x for key, x in given.items() if _part(key) != TEXTURE}
    if fault := _misfit(here, given):
        keys = [key for key, _, _ in start.changed if key != "labels"]
        remedy = (
            f"leave {', '.join(keys)} out of the recipe's `model` (model={{}} empties it)"
            if keys
            else "convert again"
        )
        raise ValueError(
            f"init={recipe.init}: {fault}; {remedy}, or train without init: only the head of a "
            "classifier may be of another shape"
        )
    model.load_state_dict({**model.state_dict(), **given})
    frozen_new = [part for part in start.new if any(_part(p) == part for p in recipe.freeze)]
    if frozen_new:
        raise ValueError(
            f"freeze={list(recipe.freeze)}: {', '.join(frozen_new)} is new and would stay "
            "untrained; leave it out"
        )
    return model, start


def held(name: str, prefixes: Sequence[str]) -> bool:
    """Whether a weight, buffer or module of that name belongs to a frozen part."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def freeze(model: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """Take parts of a model out of training; returns their modules.

    Parameters get no gradient. The modules have to stay in evaluation mode, in which statistics
    of norms stand still and nothing is dropped.

    Raises:
        ValueError: the model has no such part, or nothing is left to learn.
    """
    names = list(model.state_dict())
    for prefix in prefixes:
        if not any(held(name, [prefix]) for name in names):
            parts = ", ".join(dict.fromkeys(map(_part, names)))
            raise ValueError(
                f"freeze={prefix!r}: the model has no such part; expected one of {parts}, or a "
                "longer name below one"
            )
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if held(name, prefixes):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"freeze={list(prefixes)} leaves nothing to learn: name fewer parts")
    return [module for name, module in model.named_modules() if held(name, prefixes)]


def _start(recipe: AnyRecipe, model: nn.Module, theirs: nn.Module) -> Start:
    about, cfg, old = hub.about(recipe.init), model.cfg, theirs.cfg
    keys: list[str] = [field.name for field in fields(cfg)]  # type: ignore[arg-type]
    pairs = [(key, getattr(old, key), getattr(cfg, key)) for key in keys]
    changed = tuple(pair for pair in pairs if pair[1] != pair[2])
    new = dict.fromkeys(about.get("untrained", ()))
    different = {key for key, _, _ in changed}
    if "labels" in different:
        new[HEAD] = None
    if different & {"labels", TEXTURE} and getattr(model, TEXTURE, None) is not None:
        new[TEXTURE] = None
    shipped = recipe.init in hub.weights() and not Path(recipe.init).is_dir()
    name = recipe.init if shipped else "/".join(Path(recipe.init).resolve().parts[-2:])
    return Start(name, about, tuple(new), changed)


def _part(name: str) -> str:
    return name.split(".")[0]


def _misfit(here: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """The first tensor that does not fit, and both shapes; "" when all do."""
    for name in dict.fromkeys([*here, *given]):
        sizes = [list(x[name].shape) if name in x else "absent" for x in (here, given)]
        if sizes[0] != sizes[1]:
            return f"{name} is {sizes[1]} there, but {sizes[0]} in the recipe's model"
    return ""
