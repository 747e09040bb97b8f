"""A recipe is one YAML file: every number of a run, typed, with `key=value` overrides."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from .. import hub, registry
from ..data.augment import AugmentCfg
from ..data.clips import ClipsCfg
from ..data.shelf import check_on_bad
from ..data.whole import CutCfg
from ..frontends import BandsCfg, followed
from ..losses import LOSSES
from .distill import DistillCfg
from .optim import OptimCfg as OptimCfg
from .speakers import ListsCfg as ListsCfg
from .speakers import SpeakersCfg as SpeakersCfg


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
        on_bad: "stop" at a recording that cannot be read, or "skip" it.
        processes: that make the bank.
        mix: what lies under what.
        augment: what every class goes through.
        held_out: origins left out, for leave-one-source-out runs.
        cut: with `seconds` above 0, clips of recordings as they are in the place of augmented ones,
            prepared as SwishNet's authors do; of the above, the first three, `on_bad` and
            `held_out` count.
    """

    manifests: tuple[str, ...] = ()
    refused_licenses: tuple[str, ...] = ("NC", "ND", "GPL", "LGPL", "GFDL", "Sampling")
    bank: str = "runs/bank"
    items: int = 30000
    item_seconds: float = 4.0
    machines: float = 0.08
    on_bad: str = "stop"
    processes: int = 2
    mix: MixCfg = field(default_factory=MixCfg)
    augment: AugmentCfg = field(default_factory=AugmentCfg)
    held_out: tuple[str, ...] = ()
    cut: CutCfg = field(default_factory=CutCfg)

    def __post_init__(self) -> None:
        check_on_bad(self.on_bad)


@dataclass(frozen=True, kw_only=True)
class HintCfg:
    """A teacher whose inner maps a classifier learns to guess, see `hints.hinted`.

    Attributes:
        teacher: weights, as `RecipeCfg.init`; "" for none. They hear the same features.
        of: the part of the teacher that gives the hint, such as "backbone.stages.2".
        at: the part of the model that is guided by it.
        weight: of the hint's loss.
        alone: learn from the hint only, as the first stage of FitNets; another run then starts at
            these weights, by its `init`. What lies above the part only decays.
    """

    teacher: str = ""
    of: str = ""
    at: str = ""
    weight: float = 1.0
    alone: bool = False

    def __post_init__(self) -> None:
        if self.teacher and not (self.of and self.at):
            raise ValueError(
                f"hint.of={self.of!r}, hint.at={self.at!r}: expected the names of a part of the "
                "teacher and of the model, such as backbone.stages.1"
            )
        if self.weight <= 0:
            raise ValueError(f"hint.weight={self.weight}: expected more than 0")


@dataclass(frozen=True, kw_only=True)
class RecipeCfg:
    """One run.

    Attributes:
        architecture: a registered name.
        model: values of its cfg that differ, such as {"dropout": 0.0}; with `init`, of that one's.
        init: weights to start from, see `start.Start`: a name of those that ship, or a model
            folder, relative to the working folder.
        freeze: parts that keep their weights, such as "stem" or "stem.0".
        data: see `DataCfg`.
        optim: see `OptimCfg`.
        hint: see `HintCfg`.
        distill: what is learned from another classifier, see `distill.DistillCfg`.
        seed: of every draw.
        license: of the weights that come out.
    """

    architecture: str
    model: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    freeze: tuple[str, ...] = ()
    data: DataCfg = field(default_factory=DataCfg)
    optim: OptimCfg = field(default_factory=OptimCfg)
    hint: HintCfg = field(default_factory=HintCfg)
    distill: DistillCfg = field(default_factory=DistillCfg)
    seed: int = 0
    license: str = "unknown"


@dataclass(frozen=True, kw_only=True)
class MixtureRecipeCfg:
    """One run of a separator, an extractor or a speaker encoder.

    Attributes:
        architecture: a registered name.
        model: values of its cfg that differ; with `init`, of that one's.
        init: weights to start from, as in `RecipeCfg`.
        freeze: parts that keep their weights, such as "tcn" or "encoder".
        speaker: folder of the front-end that an extractor hears enrollments by, such as a trained
            `speaker_encoder` or one of `sepaudio prepare ivector`, relative to the working folder;
            "" where it is in `model`. With `init` it takes the place of the one there.
        second: folder of a trained speaker encoder that is put beside the extractor's own, where
            presence is judged, see `frontends.PairCfg`; "" for none.
        data: see `SpeakersCfg`.
        optim: see `OptimCfg`.
        loss: a key of `losses.LOSSES`; speaker encoders have their own, `losses.contrast`.
        absent: weight of the loss on mixtures without the enrolled speaker.
        voices: weight of telling speakers apart by their vectors, see `losses.contrast`; for
            extractors whose speaker encoder learns with them.
        leftover: an encoder that learns by itself hears sources with up to this share of what else
            their mixture holds, see `voices.voices`.
        colours: share of enrollments that are heard through another microphone, see
            `colours.Colours`; of an encoder that learns by itself also of the sources.
        teacher: file with a vector of every speaker that such an encoder imitates, see
            `imitate.teacher_of`; relative to the working folder.
        level: weight of the level of extractors' estimates, see `losses.level_error`; for losses
            that leave it open where some mixtures lack the enrolled speaker.
        presence: weight of telling, from what an extractor's blocks give, mixtures without the
            enrolled speaker from the others.
        start_share: of the weights that the run started from in those that come out, which are a
            mean of both, Wortsman et al. 2021 (2109.01903), eq. 1; they have a half.
        seed: of every draw.
        license: of the weights that come out.
    """

    architecture: str
    model: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    freeze: tuple[str, ...] = ()
    speaker: str = ""
    second: str = ""
    data: SpeakersCfg = field(default_factory=SpeakersCfg)
    optim: OptimCfg = field(default_factory=OptimCfg)
    loss: str = "si_snr"
    absent: float = 0.2
    voices: float = 0.0
    leftover: float = 0.0
    colours: float = 0.0
    teacher: str = ""
    level: float = 0.0
    presence: float = 0.0
    start_share: float = 0.0
    seed: int = 0
    license: str = "unknown"

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss!r}: expected one of {', '.join(LOSSES)}")
        if not 0 <= self.leftover < 1:
            raise ValueError(f"leftover={self.leftover}: expected 0 or more, below 1")
        if not 0 <= self.colours <= 1:
            raise ValueError(f"colours={self.colours}: expected 0 to 1")
        if not 0 <= self.start_share < 1:
            raise ValueError(f"start_share={self.start_share}: expected 0 or more, below 1")


@dataclass(frozen=True, kw_only=True)
class ClipRecipeCfg:
    """One run of a picture classifier, on whole clips.

    Attributes:
        architecture: a registered name.
        model: values of its cfg that differ; with `init`, of that one's.
        init: weights to start from, as in `RecipeCfg`.
        freeze: parts that keep their weights, such as "backbone" and "attention".
        data: see `data.clips.ClipsCfg`.
        optim: see `OptimCfg`; `lengths` and `late_frame` are not used.
        hint: see `HintCfg`; the teacher hears clips without boxes.
        distill: what is learned from another classifier, see `distill.DistillCfg`.
        seed: of every draw.
        license: of the weights that come out.
    """

    architecture: str
    model: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    freeze: tuple[str, ...] = ()
    data: ClipsCfg = field(default_factory=ClipsCfg)
    optim: OptimCfg = field(default_factory=OptimCfg)
    hint: HintCfg = field(default_factory=HintCfg)
    distill: DistillCfg = field(default_factory=DistillCfg)
    seed: int = 0
    license: str = "unknown"

    def __post_init__(self) -> None:
        if self.distill.on and self.data.augment.cutmix:
            raise ValueError(
                f"distill.teacher={', '.join(self.distill.teachers)} and data.augment.cutmix="
                f"{self.data.augment.cutmix}: expected one of them, since a teacher hears whole "
                "clips; set the other to nothing"
            )


AnyRecipe = RecipeCfg | MixtureRecipeCfg | ClipRecipeCfg


def read(path: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """The recipe in a YAML file, with `key=value` overrides such as "optim.lr=1e-3".

    The architecture's job decides which keys there are: `ClipRecipeCfg` for classifiers of
    pictures of several bands, `RecipeCfg` for other classifiers, `MixtureRecipeCfg` for all else.
    Manifests are taken relative to the recipe's folder.

    Raises:
        ValueError: no such file, no such key, or a value of another type; the key is named.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    path = Path(path)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}: expected a recipe (YAML)")
    for override in overrides:
        if "=" not in override or override.startswith("-"):
            raise ValueError(f"{override!r}: expected key=value, such as optim.lr=1e-3")
    kind = _kind(path, overrides)
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(kind, None)
    try:
        parsed = parser.parse_path(str(path))
        inner = [override for override in overrides if override.startswith("model.")]
        others = [f"--{override}" for override in overrides if override not in inner]
        values = vars(parser.instantiate(parser.parse_args(others, namespace=parsed)))
        recipe: AnyRecipe = kind(**{**values, "model": _changed(values["model"], inner)})
    except (ArgumentError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {_reason(error, kind)}") from error
    model_cfg(recipe)  # names the key that is wrong
    if not isinstance(recipe, MixtureRecipeCfg) and recipe.hint.teacher:
        hub.about(recipe.hint.teacher)  # is there
    return _anchored(recipe, path.parent)


def _reason(error: Exception, kind: type[AnyRecipe]) -> str:
    """What the parser found wrong, with the nearest key and how a list is written."""
    text = str(error)
    if found := re.fullmatch(r"unrecognized arguments: --([\w.]+)=.*", text, re.DOTALL):
        name, keys = found[1], _keys(kind)
        group, near = name.rpartition(".")[0], get_close_matches(name, keys, n=1)
        beside = [key for key in keys if key.rpartition(".")[0] == group]
        return registry.unknown("key of this recipe", name, near or beside or keys)
    if found := re.search(r"Expected a <class 'tuple'>. Got value: (\S+)", text):
        return f"{text}; several are written [one,other], and one [{found[1]}]"
    return text


def _keys(kind: Any, before: str = "") -> list[str]:
    """All keys of a recipe, with dots between those that lie in one another."""
    found, types = [], get_type_hints(kind)
    for one in fields(kind):
        inner = types[one.name]
        found += (
            _keys(inner, f"{before}{one.name}.") if is_dataclass(inner) else [before + one.name]
        )
    return found


def _kind(path: Path, overrides: Sequence[str]) -> type[AnyRecipe]:
    """The recipe type of the architecture that a file and its overrides name."""
    try:
        text = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as YAML ({error})") from error
    named = {**text} if isinstance(text, dict) else {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "architecture":
            named[key] = value
    if "architecture" not in named:
        raise ValueError(f"{path} names no architecture: expected a recipe (YAML) with one")
    cfg = registry.config(str(named["architecture"]))
    if isinstance(getattr(cfg, "features", None), BandsCfg):
        return ClipRecipeCfg
    return RecipeCfg if hasattr(cfg, "labels") else MixtureRecipeCfg


def model_cfg(recipe: AnyRecipe) -> Any:
    """The cfg of the model that a recipe trains.

    Raises:
        ValueError: a key of `model` is wrong, or `init` is of another architecture.
    """
    named = registry.config(recipe.architecture)
    if not recipe.init:
        return registry.changed(named, recipe.model)
    about = hub.about(recipe.init)
    theirs = registry.from_dict(about["cfg"])
    architecture = about.get("architecture", recipe.architecture)
    inner = followed(getattr(theirs, "speaker", None))
    if inner is not None and type(inner) is type(named):  # an extractor's encoder, by itself
        theirs, architecture = inner, recipe.architecture
    if architecture != recipe.architecture or type(theirs) is not type(named):
        what = about.get("architecture") or type(theirs).__name__
        raise ValueError(
            f"init={recipe.init} is of architecture {what}: expected {recipe.architecture}, as the "
            "recipe says; change its `architecture`, or start from other weights"
        )
    return registry.changed(theirs, recipe.model)


def _changed(model: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Values of `model` after overrides of any depth; jsonargparse would drop their neighbours."""
    model = deepcopy(model)
    for override in overrides:
        key, _, text = override.partition("=")
        *above, last = key.split(".")[1:]
        values = model
        for name in above:
            if not isinstance(values.get(name), dict):
                values[name] = {}
            values = values[name]
        try:
            values[last] = json.loads(text)  # 1e-3 is a number here, in YAML a word
        except ValueError:
            values[last] = yaml.safe_load(text)
    return model


def _anchored(recipe: AnyRecipe, folder: Path) -> AnyRecipe:
    data: Any = recipe.data
    data = replace(data, manifests=tuple(str(folder / path) for path in data.manifests))
    if isinstance(data, SpeakersCfg):
        listed = tuple(str(folder / path) for path in data.lists.files)
        data = replace(data, lists=replace(data.lists, files=listed))
    return replace(recipe, data=data)


def to_yaml(recipe: AnyRecipe) -> str:
    """The resolved recipe, every value written out, and which weights it names."""
    text = yaml.safe_dump(_plain(asdict(recipe)), sort_keys=False)
    named = [("init", recipe.init)]
    if not isinstance(recipe, MixtureRecipeCfg):
        named.append(("hint", recipe.hint.teacher))
        named += [("teacher", name) for name in recipe.distill.teachers if recipe.distill.on]
    for key, weights in named:
        text += f"# {key}: {hub.about(weights)['sha256']}\n" if weights else ""
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
