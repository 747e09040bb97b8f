"""A recipe is one YAML file: every number of a run, typed, with `key=value` overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .. import registry
from ..data.augment import AugmentCfg


@dataclass(frozen=True, kw_only=True)
class MixCfg:
    """What may lie under a recording of each class: (share, weakest SNR, strongest SNR) [dB]."""

    noise_under_speech: tuple[float, float, float] = (0.45, 0.0, 25.0)
    music_under_speech: tuple[float, float, float] = (0.12, 3.0, 20.0)
    speech_under_speech: tuple[float, float, float] = (0.08, 0.0, 10.0)
    noise_under_music: tuple[float, float, float] = (0.25, 5.0, 25.0)
    music_under_music: tuple[float, float, float] = (0.08, -5.0, 10.0)
    noise_under_noise: tuple[float, float, float] = (0.3, -5.0, 15.0)


@dataclass(frozen=True, kw_only=True)
class DataCfg:
    """Where recordings come from and what is made of them.

    Attributes:
        manifests: CSV files, relative to the recipe.
        refused_licenses: parts of licence names; recordings with one are not trained on.
        bank: folder of the augmented features, made when it is not there; relative to the
            working folder.
        items: augmented clips in the bank.
        item_seconds: length of each [s].
        machines: share of noise that is simulated wind, machines and engines.
        processes: that make the bank.
        mix: what lies under what.
        augment: what every class goes through.
        held_out: origins left out, for leave-one-source-out runs.
    """

    manifests: tuple[str, ...] = ()
    refused_licenses: tuple[str, ...] = ("NC", "ND", "GPL", "LGPL", "GFDL", "Sampling")
    bank: str = "runs/bank"
    items: int = 30000
    item_seconds: float = 4.0
    machines: float = 0.08
    processes: int = 2
    mix: MixCfg = field(default_factory=MixCfg)
    augment: AugmentCfg = field(default_factory=AugmentCfg)
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimCfg:
    """How the weights are found.

    Attributes:
        steps: optimiser steps.
        batch: clips a step.
        lr: largest learning rate of AdamW; rises over `warmup` steps, then a cosine to zero.
        warmup: [steps]
        weight_decay: of weights, not of biases and norms.
        clip_norm: largest gradient norm.
        label_smoothing: share of the label spread over all classes.
        ema: decay per step of the averaged weights that are kept.
        lengths: clip lengths drawn for each batch [s].
        late_frame: end each clip at a random frame of its last half, one for the whole batch
            (the author's rule), so that the network learns to decide at any moment.
        schedule: "cosine" to zero, or "plateau": halved where validation stands still.
        valid_every: steps between validations; 0 for none.
        patience: validations without a better one before the plateau schedule halves.
        stop_after: validations without a better one before the run ends; 0 for never.
        keep_best: how many of the best weights are kept; the best of them is the result.
        accumulate: parts that a batch is learned from, one after the other.
        precision: Lightning's name of it: "32-true", "bf16-mixed", "16-mixed".
        threads: of the arithmetic on a CPU; a network this small is fastest with one.
        save_every: [s] between checkpoints.
    """

    steps: int = 6000
    batch: int = 128
    lr: float = 3e-3
    warmup: int = 200
    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    label_smoothing: float = 0.05
    ema: float = 0.998
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0)
    late_frame: bool = True
    schedule: str = "cosine"
    valid_every: int = 0
    patience: int = 3
    stop_after: int = 0
    keep_best: int = 1
    accumulate: int = 1
    precision: str = "32-true"
    threads: int = 1
    save_every: float = 60.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "patience", "keep_best", "accumulate", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.schedule not in ("cosine", "plateau"):
            raise ValueError(f"schedule={self.schedule!r}: expected one of cosine, plateau")
        if self.schedule == "plateau" and not self.valid_every:
            raise ValueError(
                "schedule='plateau' with valid_every=0: give steps between validations"
            )


@dataclass(frozen=True, kw_only=True)
class RecipeCfg:
    """One run.

    Attributes:
        architecture: a registered name.
        model: values of its cfg that differ, such as {"dropout": 0.0}.
        data: see `DataCfg`.
        optim: see `OptimCfg`.
        seed: of every draw.
        license: of the weights that come out.
    """

    architecture: str
    model: dict[str, Any] = field(default_factory=dict)
    data: DataCfg = field(default_factory=DataCfg)
    optim: OptimCfg = field(default_factory=OptimCfg)
    seed: int = 0
    license: str = "unknown"


def read(path: str | Path, overrides: Sequence[str] = ()) -> RecipeCfg:
    """The recipe in a YAML file, with `key=value` overrides such as "optim.lr=1e-3".

    Manifests are taken relative to the recipe's folder.

    Raises:
        ValueError: no such file, no such key, or a value of another type; the key is named.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist: expected a recipe (YAML)")
    for override in overrides:
        if "=" not in override or override.startswith("-"):
            raise ValueError(f"{override!r}: expected key=value, such as optim.lr=1e-3")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RecipeCfg, None)
    try:
        parsed = parser.parse_path(str(path))
        parsed = parser.parse_args([f"--{override}" for override in overrides], namespace=parsed)
        recipe = RecipeCfg(**vars(parser.instantiate(parsed)))
    except (ArgumentError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    registry.config(recipe.architecture, **recipe.model)  # names the key that is wrong
    return _anchored(recipe, path.parent)


def _anchored(recipe: RecipeCfg, folder: Path) -> RecipeCfg:
    from dataclasses import replace

    manifests = tuple(str(folder / manifest) for manifest in recipe.data.manifests)
    return replace(recipe, data=replace(recipe.data, manifests=manifests))


def to_yaml(recipe: RecipeCfg) -> str:
    """The resolved recipe, every value written out."""
    return yaml.safe_dump(_plain(asdict(recipe)), sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
