"""Train what a recipe says and write the model folder."""

from __future__ import annotations

import json
import platform
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import hub
from ..training import classify, clips, cut, mixtures
from ..training import recipe as recipes
from ..training import rehearse as rehearsal
from ..training.bank import banks
from ..training.start import Start, model_of
from ..training.survey import say, survey
from .own_data import with_folder

SHARE_ALIKE = re.compile(r"(?<![A-Za-z])(SA|[AL]?GPL|GFDL)(?![A-Z])")


def train(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    init: str | Path = "",
    freeze: Sequence[str] = (),
    output: str | Path | None = None,
    before: Callable[[nn.Module], object] | None = None,
    quiet: bool = False,
) -> Path:
    """Train, judge or calibrate, and save; returns the model folder.

    A run that was killed goes on where it last saved, with the same result to the last bit.

    Args:
        recipe: YAML file.
        overrides: "key=value"; `data=FOLDER` stands for recordings in class or speaker folders.
        init: the recipe's `init`: weights to start from, by their name or folder.
        freeze: the recipe's `freeze`: parts that keep their weights.
        output: folder of the run; by default runs/ and the recipe's name.
        before: what changes the model before the first step, such as `compress.prune`; always in
            the same way.
        quiet: no progress bar, and nothing is said of start, data, disk and time.

    Raises:
        ValueError: the recipe or the data is wrong, or the disk too full; the message says where.
        OSError: a checkpoint cannot be written; the last one is kept.
    """
    folder = _folder(recipe, output)
    said = with_folder(recipe, [*overrides, *_start_of(init, freeze)], folder / "data.csv")
    cfg = recipes.read(recipe, said)
    torch.manual_seed(cfg.seed)
    model: Any
    model, start = model_of(cfg)
    if before is not None:
        before(model)
    found = survey(cfg, model, folder)
    if not quiet:
        say(*(start.lines() if start else []), *found.lines())
    found.check(cfg.data.on_bad)
    names: tuple[str, ...]
    if isinstance(cfg, recipes.RecipeCfg) and cfg.data.cut.seconds:
        learned = cut.fit(model, cfg, folder, start=start, quiet=quiet)
        trained, names = learned.model, learned.train.names
        measured = {
            "data_fingerprint": learned.train.fingerprint,
            "clips": len(learned.train),
            "best_step": learned.best_step,
            "valid": learned.valid,
            "left_out": len(learned.train.features.left_out),
        }
        about = {**describe(cfg, names, start), **measured}
        hub.save(learned.last, folder / "last", card=_card(cfg, names, start), **about)
    elif isinstance(cfg, recipes.RecipeCfg):
        heard = classify.fit(model, *banks(cfg, model), cfg, folder, start=start, quiet=quiet)
        trained, names = heard.model, heard.bank.names
        measured = {
            "data_fingerprint": heard.bank.fingerprint,
            "temperature": heard.temperature,
            "valid_accuracy_augmented_2s": heard.valid_accuracy,
            "left_out": len(heard.bank.left_out),
        }
    elif isinstance(cfg, recipes.ClipRecipeCfg):
        taken = clips.load(cfg, model)
        trained, judged = clips.fit(model, taken, cfg, folder, start=start, quiet=quiet)
        names = taken.names
        measured = {
            "data_fingerprint": taken.fingerprint,
            "temperature": judged.temperature,
            "judged": asdict(judged),
            "left_out": len(taken.shelf.left_out),
        }
    else:
        mixed = mixtures.fit(model, cfg, folder, quiet=quiet)
        trained, names = mixed.model, mixed.names
        measured = {
            "data_fingerprint": mixed.fingerprint,
            f"valid_loss_{mixtures.unit(trained).lower()}": mixed.valid,
            "left_out": mixed.left_out,
        }
    about = {**describe(cfg, names, start), **measured}
    return hub.save(trained, folder / "model", card=_card(cfg, names, start), **about)


def rehearse(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    init: str | Path = "",
    freeze: Sequence[str] = (),
    output: str | Path | None = None,
) -> list[str]:
    """What `train` would start from and need, in lines: data, disk and measured time.

    A few steps are made, on a few of the recordings; nothing is left behind.

    Args:
        recipe: as for `train`, like the others.
        overrides: "key=value".
        init: weights to start from.
        freeze: parts that keep their weights.
        output: folder of the run.

    Raises:
        ValueError: the run would not start, or not end; the message says why.
    """
    with tempfile.TemporaryDirectory() as away:
        said = [*overrides, *_start_of(init, freeze)]
        cfg = recipes.read(recipe, with_folder(recipe, said, Path(away) / "data.csv"))
        torch.manual_seed(cfg.seed)
        model, start = model_of(cfg)
        found = survey(cfg, model, _folder(recipe, output))
        found.check(cfg.data.on_bad)
        measured = rehearsal.rehearse(cfg, model, found)
    return [*(start.lines() if start else []), *found.lines(), *measured.lines()]


def _folder(recipe: str | Path, output: str | Path | None) -> Path:
    """The folder of a run."""
    return Path(output) if output is not None else Path("runs") / Path(recipe).stem


def describe(
    cfg: recipes.AnyRecipe, names: Sequence[str], start: Start | None = None
) -> dict[str, object]:
    """What config.json says of a run beside the model itself and what was measured."""
    named = {"data": _without_paths(cfg), **({"init": start.name} if start else {})}
    if isinstance(cfg, recipes.MixtureRecipeCfg):
        for name in ("speaker", "second"):  # "model" alone would say nothing
            folder = Path(getattr(cfg, name))
            named[name] = "/".join(folder.parts[-2 if folder.name == "model" else -1 :])
        named["teacher"] = Path(cfg.teacher).name
    else:
        named["hint"] = asdict(cfg.hint) | {"teacher": Path(cfg.hint.teacher).name}
        digests = [hub.about(name)["sha256"] for name in cfg.distill.teachers if cfg.distill.on]
        digest = {"sha256": ", ".join(digests)} if digests else {}
        teachers = ["/".join(Path(name).parts[-2:]) for name in cfg.distill.teachers]
        short = {"teacher": ", ".join(teachers)}
        named["distill"] = asdict(cfg.distill) | short | digest
    return {
        "architecture": cfg.architecture,
        "license": cfg.license,
        "trained_on": list(names),
        "seed": cfg.seed,
        **({"init": start.record()} if start else {}),
        "recipe": json.loads(json.dumps(asdict(cfg))) | named,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "pytorch-lightning", "soxr")},
        },
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _without_paths(cfg: recipes.AnyRecipe) -> dict[str, object]:
    data = json.loads(json.dumps(asdict(cfg.data)))
    data["manifests"] = [Path(path).name for path in cfg.data.manifests]
    if isinstance(cfg, recipes.MixtureRecipeCfg):
        data["lists"]["files"] = [Path(path).name for path in cfg.data.lists.files]
    for folder in ("bank", "shelf"):
        data.pop(folder, None)
    return dict(data)


def _start_of(init: str | Path, freeze: Sequence[str]) -> list[str]:
    """What `init` and `freeze` are as overrides of a recipe."""
    return [
        *([f"init={init}"] if init else []),
        *([f"freeze={json.dumps(list(freeze))}"] if freeze else []),
    ]


def _card(cfg: recipes.AnyRecipe, names: Sequence[str], start: Start | None) -> str:
    sources = "\n".join(f"- {name}" for name in names)
    return (
        f"# {cfg.architecture}\n\nLicence of the weights: {cfg.license}\n\n"
        f"{_rights(cfg, start)}"
        f"Trained {cfg.optim.steps} steps, seed {cfg.seed}, on\n\n{sources}\n"
        f"{_left_out(cfg)}"
        f"{_origin(cfg, start)}"
    )


def _left_out(cfg: recipes.AnyRecipe) -> str:
    """Which folds were not learned from, for the card."""
    if not isinstance(cfg, recipes.ClipRecipeCfg) or not cfg.data.fold:
        return ""
    validated = f"; fold {cfg.data.valid_fold} validated" if cfg.data.valid_fold else ""
    by = " of clips dealt by chance" if cfg.data.folds == "shuffled" else ""
    return f"\nFold {cfg.data.fold}{by} was left out to test{validated}.\n"


def _rights(cfg: recipes.AnyRecipe, start: Start | None) -> str:
    """What the licence leaves open, for the card."""
    told = []
    if cfg.license == "unknown":
        told.append("The recipe names no licence: settle it before you pass these weights on.")
    if start is not None and SHARE_ALIKE.search(start.license):
        told.append(
            f"They were trained from `{start.name}`, whose licence, {start.license}, is "
            "share-alike: what is made from it is passed on under the same terms."
        )
    elif start is not None and start.license != cfg.license:
        told.append(f"They were trained from `{start.name}`, whose licence is {start.license}.")
    return "".join(f"{line}\n\n" for line in told)


def _origin(cfg: recipes.AnyRecipe, start: Start | None) -> str:
    """Where a run began, for the card."""
    if start is None:
        return ""
    text = f"\nStarted from `{start.name}` (SHA-256 of its weights: {start.about['sha256']})"
    if cfg.freeze:
        text += f"; frozen: {', '.join(cfg.freeze)}"
    if start.new:
        text += f"; new: {', '.join(start.new)}"
    before = hub.trained_on(start.about)
    return f"{text}.\n" + (
        f"\nUp to there they were trained on {', '.join(before)}.\n" if before else ""
    )
