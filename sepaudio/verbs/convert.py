"""Weights of other packages to a model folder of ours; nothing in the file is run."""

from __future__ import annotations

import inspect
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import files, hub, registry
from ..convert import CONVERTERS, Source

if TYPE_CHECKING:
    from torch import nn

PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".th")
UNKNOWN = "unknown"  # a licence that nobody said


def convert(
    path: str | Path,
    source: str,
    folder: str | Path,
    *,
    license: str = UNKNOWN,
    overwrite: bool = False,
    said: dict[str, Any] | None = None,
) -> nn.Module:
    """Write a model folder from the weights of another package, and give the model.

    Args:
        path: a file of theirs, see `read`.
        source: a key of `convert.CONVERTERS`.
        folder: where to.
        license: of the weights, for the card and config.json.
        overwrite: whether a model folder there may be replaced.
        said: what the file does not say, as the converter takes it: sample_rate, architecture ...

    Raises:
        ValueError: the file is not what `source` says, or needs something that was not said.
        FileExistsError: the folder is there, and not to be replaced.
    """
    if source not in CONVERTERS:
        raise ValueError(registry.unknown("source of weights", source, sorted(CONVERTERS)))
    where = Path(folder)
    if where.exists() and not overwrite and (where.is_file() or any(where.iterdir())):
        raise FileExistsError(f"{where} is there already; pass --overwrite to replace it")
    recipe = CONVERTERS[source]
    said = said or {}
    _check_said(source, recipe, said)
    foreign = read(path)
    try:
        model = recipe.build(foreign, **said)
    except ValueError as error:
        raise ValueError(f"{files.name(path)}, read as {source}: {error}") from error
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{files.name(path)}: {name} has NaN or infinite values; train again")
    origin = {"file": Path(path).name, "sha256": files.sha256(path), "format": source}
    has = {name.split(".")[0] for name in model.state_dict()}
    parts = [part for part in recipe.untrained if part in has]
    untrained = {"untrained": parts} if parts else {}
    card = _card(where.resolve().name, model, origin, license, parts)
    hub.save(model, where, card=card, license=license, converted_from=origin, **untrained)
    return model.eval()


def read(path: str | Path) -> dict[str, Any]:
    """What a file of weights holds: .safetensors, or what torch.save wrote (.pth .pt .bin ...).

    Only tensors, numbers, text and their lists and dicts are taken. Anything else would be code
    that runs as it is read.

    Raises:
        ValueError: the file is missing, damaged, or holds anything else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, name = Path(path), files.name(path)
    files.look(path)
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{name} is no safetensors file, or damaged ({error})") from error
    if path.suffix not in PICKLED:
        suffixes = " ".join((".safetensors", *PICKLED))
        raise ValueError(f"{name}: expected a file of weights ({suffixes}); rename or convert it")
    try:
        # asteroid notes the version of torch, which is a str of a class of its own.
        version = torch.torch_version.TorchVersion
        with warnings.catch_warnings(), torch.serialization.safe_globals([version]):
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # read, or an error
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"{name} is damaged, or holds Python objects that would run code when read: "
            f"{_reason(error)}. Expected tensors, numbers and text alone; if you trust the file, "
            "load it where it came from and save its state_dict() again"
        ) from error
    if not isinstance(held, dict) or not all(isinstance(key, str) for key in held):
        raise ValueError(f"{name} holds a {type(held).__name__}: expected a dict with text keys")
    return held


def _check_said(name: str, source: Source, said: dict[str, Any]) -> None:
    parameters = inspect.signature(source.build).parameters.values()
    takes = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for key in said:
        if key not in takes:
            raise ValueError(f"{key} is nothing that {name} takes: expected {', '.join(takes)}")


def _reason(error: Exception) -> str:
    """The line of torch's long message that says which object it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "unsupported" in line.lower()]
    return (named or lines or [type(error).__name__])[0].split(". Please use")[0][:200]


def _card(name: str, model: Any, origin: dict[str, str], license: str, untrained: list[str]) -> str:
    parameters = sum(p.numel() for p in model.parameters())
    unknown = ": ask who made them before you use or pass them on" if license == UNKNOWN else ""
    text = (
        f"# {name}\n\n"
        f"{type(model).__name__}, {parameters:,} parameters, {model.sample_rate} Hz. "
        "Not trained with sepaudio: converted by `sepaudio convert`, which checks names and "
        "shapes, and measures nothing.\n\n"
        "| | |\n| --- | --- |\n"
        f"| file | `{origin['file']}` |\n| SHA-256 | `{origin['sha256']}` |\n"
        f"| its format | {origin['format']} |\n\n"
        f"Licence of the weights: {license}{unknown}.\n"
    )
    if untrained:
        named = ", ".join(f"`{part}`" for part in untrained)
        text += (
            f"\nNot trained yet: {named}. The model is a start for training and refused elsewhere:"
            " `sepaudio train RECIPE --init` and this folder.\n"
        )
    return text


__all__ = ["convert", "read"]
