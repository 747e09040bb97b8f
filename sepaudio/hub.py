"""A trained model is a folder: model.safetensors, config.json and a card in README.md.

No pickle anywhere, nothing that runs code: a folder from a stranger can be loaded. Format 1 has a
tensor for every weight; format 2 has one of bytes that `packed` reads, for compressed models.
config.json holds the SHA-256 of the weights, which `load` checks: safetensors refuses a file that
is cut off, but not one in which a byte has changed. Folders written without it still load.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import packed, registry
from .files import atomic, atomic_folder, atomic_json, atomic_text, look, sha256
from .frontends import Embedding

PLAIN, PACKED = 1, 2  # formats of a model folder
EMBEDDING = "sepaudio_embedding"  # in the metadata of an embedding file, with its format
SHIPPED = package_files("sepaudio") / "pretrained"


def save(model: nn.Module, folder: str | Path, *, card: str, **about: Any) -> Path:
    """Write the model folder, whole or not at all; an older one is replaced.

    Args:
        model: any registered model.
        folder: where to.
        card: Markdown text of README.md: data, licences, command, figures.
        about: plain values that go to config.json: license, trained_on, metrics, seed ...; among
            them `untrained`, names of parts, where some are still to be trained.
    """
    from safetensors.torch import save_model

    return _save(model, folder, card, {"format": PLAIN, **about}, partial(save_model, model))


def save_packed(
    model: nn.Module,
    folder: str | Path,
    *,
    card: str,
    factors: Mapping[str, packed.Factors],
    **about: Any,
) -> Path:
    """The same in format 2, for a model whose weights have few values, or are zero.

    Args:
        model: any registered model.
        folder: where to.
        card: as of `save`.
        factors: weights, by name, that are kept as two matrices whose product they are.
        about: as of `save`.
    """
    from safetensors.torch import save_file

    block = np.frombuffer(packed.pack(_own(model), factors), np.uint8).copy()
    write = partial(save_file, {"packed": torch.from_numpy(block)})
    return _save(model, folder, card, {"format": PACKED, **about}, write)


def _save(
    model: Any, folder: str | Path, card: str, about: dict[str, Any], write: Callable[[str], Any]
) -> Path:
    from . import __version__

    config: dict[str, Any] = {
        "format": about["format"],
        "sepaudio": __version__,
        "cfg": registry.to_dict(model.cfg),
        "sample_rate": model.sample_rate,
        "labels": list(getattr(model, "labels", ())),
        **about,
    }
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(Path(folder), overwrite=True) as new:
        write(str(new / "model.safetensors"))
        config["sha256"] = sha256(new / "model.safetensors")
        _write_config(new, config)
        (new / "README.md").write_text(card, encoding="utf-8")
        shutil.copymode(new / "config.json", new / "model.safetensors")  # else the owner's alone
    return Path(folder)


def seal(folder: str | Path) -> None:
    """Write the SHA-256 of the weights into config.json, where they were changed on purpose.

    Args:
        folder: a model folder.

    Raises:
        ValueError: the folder is not a model's.
    """
    config, weights = read_config(folder), Path(folder) / "model.safetensors"
    look(weights)
    _write_config(Path(folder), {**config, "sha256": sha256(weights)})


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    atomic_text(folder / "config.json", json.dumps(config, indent=2, allow_nan=False) + "\n")


def _check_seal(folder: Path, config: dict[str, Any]) -> None:
    """Raise a ValueError where the weights are not those that config.json was written with."""
    expected, weights = config.get("sha256"), folder / "model.safetensors"
    if expected is not None and (found := sha256(weights)) != expected:
        raise ValueError(
            f"{weights} is damaged: its SHA-256 begins with {found[:12]}, expected {expected!s:.12}"
            ", as config.json says; copy the folder again, or, if you changed the weights, "
            "call sepaudio.hub.seal with the folder"
        )


def load(
    name_or_folder: str | Path,
    device: str | torch.device = "cpu",
    *,
    untrained: bool = False,
) -> nn.Module:
    """A trained model, in evaluation mode.

    Args:
        name_or_folder: a name that `weights()` lists, or a folder that `save` wrote.
        device: where to put it.
        untrained: whether parts of it, such as a new head, may still be untrained: to train them.

    Raises:
        ValueError: no such weights, or the folder is not a model's, damaged, or not fully trained.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, load_model

    with _folder(name_or_folder) as folder:
        config = read_config(folder)
        parts = config.get("untrained")
        if parts and not untrained:
            raise ValueError(
                f"{folder}: {', '.join(parts)} not trained yet: expected a trained model; "
                "train it first, with `sepaudio train RECIPE --init` and this folder"
            )
        model = registry.build(registry.from_dict(config["cfg"]))
        weights = str(folder / "model.safetensors")
        try:
            if config["format"] == PLAIN:
                load_model(model, weights, strict=True)
            else:
                _fill(model, packed.unpack(load_file(weights)["packed"].numpy().tobytes()))
        except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{folder}: model.safetensors does not load ({error}); copy the folder again"
            ) from error
        _check_seal(folder, config)
    return model.to(device).eval()


def _own(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model by name, a shared one by the first of its names."""
    found: dict[Any, tuple[str, Tensor]] = {}
    for name, x in model.state_dict().items():
        found.setdefault((x.data_ptr(), x.shape) if x.numel() else name, (name, x))
    return dict(found.values())


def _fill(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    if wrong := set(tensors) ^ set(_own(model)):
        raise RuntimeError(f"{', '.join(sorted(wrong))} on one side alone")
    model.load_state_dict(tensors, strict=False)


def trained_on(config: dict[str, Any]) -> list[str]:
    """Every collection that weights were trained on, and what they started from, and so on.

    Args:
        config: of a model folder, see `read_config`.
    """
    found, link = set[str](), config
    while link:
        found |= set(link.get("trained_on", ()))
        link = link.get("init", {})
    return sorted(found)


def save_embedding(embedding: Embedding, path: str | Path, **about: str) -> None:
    """Write an embedding file (safetensors), whole or not at all.

    Args:
        embedding: vectors [B, E] and the fingerprint of what made them.
        path: where to.
        about: texts that go beside it, such as speaker_name.

    Raises:
        ValueError: the name does not end in .safetensors, or a number is not finite.
    """
    from safetensors.torch import save

    if Path(path).suffix != ".safetensors":
        raise ValueError(f"{path}: expected a name that ends in .safetensors; rename it")
    values = embedding.vectors.detach().to("cpu", torch.float32).contiguous()
    _check_vectors(path, values)
    notes = {**about, EMBEDDING: "1", "speaker": embedding.speaker}
    with atomic(path) as new:
        new.write_bytes(save({"vectors": values}, notes))


def load_embedding(path: str | Path) -> Embedding:
    """An embedding that `save_embedding` wrote, or a vector [E] or [B, E] from elsewhere.

    A vector from elsewhere is a .npy file or the only tensor of a .safetensors file. It has no
    fingerprint, so that only an extractor without a speaker front-end of its own takes it.

    Args:
        path: .safetensors or .npy.

    Raises:
        ValueError: the file is missing, damaged, of another kind, or holds no such vectors.
    """
    from safetensors import SafetensorError, safe_open

    file, notes = Path(path), dict[str, str]()
    look(file)
    try:
        if file.suffix == ".npy":
            values = torch.from_numpy(np.load(file, allow_pickle=False))
        else:
            with safe_open(str(file), "pt") as opened:
                notes, names = opened.metadata() or {}, list(opened.keys())
                if len(names) != 1:
                    raise ValueError(f"it holds {len(names)} tensors, expected one")
                values = opened.get_tensor(names[0])
        if notes.get(EMBEDDING, "1") != "1":
            raise ValueError(f"its format is {notes[EMBEDDING]!r}: this sepaudio reads '1'")
    except (ValueError, TypeError, EOFError, SafetensorError) as error:
        raise ValueError(
            f"{path} is no embedding ({str(error).split('. ')[0]}): expected what `sepaudio "
            "enroll` wrote, or a vector in .npy or .safetensors"
        ) from error
    values = values[None] if values.ndim == 1 else values
    _check_vectors(path, values)
    return Embedding(values.float(), notes["speaker"] if EMBEDDING in notes else "")


def _check_vectors(path: str | Path, values: torch.Tensor) -> None:
    if values.ndim != 2 or not values.numel() or not values.is_floating_point():
        raise ValueError(
            f"{path}: {values.dtype} of shape {list(values.shape)}: expected floats [E] or [B, E]"
        )
    if not torch.isfinite(values).all():
        raise ValueError(f"{path} holds NaN or infinity: expected finite numbers; enroll again")


def weights() -> dict[str, dict[str, Any]]:
    """Names of the weights that ship with the package, and what index.json says of each."""
    index: dict[str, dict[str, Any]] = json.loads((SHIPPED / "index.json").read_text())
    return index


def ship(folder: str | Path, root: str | Path, name: str, *, card: str, about: str) -> None:
    """Copy a model folder to the shipped weights, with its card, and enter it in their index.

    Args:
        folder: what `save` wrote.
        root: of the shipped weights, `sepaudio/pretrained` in a checkout.
        name: what users call the weights.
        card: Markdown text that takes the place of the folder's own.
        about: some words for `sepaudio list`.

    Raises:
        ValueError: the folder is not a model's, or its weights are damaged.
    """
    source, root, config = Path(folder), Path(root), read_config(folder)
    _check_seal(source, config)
    with atomic_folder(root / name, overwrite=True) as new:
        for file in ("model.safetensors", "config.json"):
            (new / file).write_bytes((source / file).read_bytes())
        (new / "README.md").write_text(card)
        seal(new)
    index = root / "index.json"
    known = json.loads(index.read_text()) if index.exists() else {}
    entry = {key: config[key] for key in ("architecture", "labels", "license")}
    atomic_json(index, {**known, name: {**entry, "about": about}})


def about(name_or_folder: str | Path) -> dict[str, Any]:
    """config.json of shipped weights or of a model folder, and the "sha256" of its weights.

    Raises:
        ValueError: no such weights, or the folder is not a model's.
    """
    with _folder(name_or_folder) as folder:
        look(folder / "model.safetensors")
        return {**read_config(folder), "sha256": sha256(folder / "model.safetensors")}


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.json of a model folder.

    Raises:
        ValueError: the folder, or a config of this format, is not there.
    """
    path = Path(folder) / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{folder}: expected a model folder with config.json and model.safetensors"
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not readable as JSON ({error})") from error
    if not isinstance(config, dict) or "cfg" not in config:
        raise ValueError(f"{path} has no 'cfg': expected what `sepaudio train` writes")
    if config.get("format") not in (PLAIN, PACKED):
        raise ValueError(
            f"{path} has format {config.get('format')!r}: this sepaudio reads format "
            f"{PLAIN} or {PACKED}; "
            "install the version named under 'sepaudio' in it"
        )
    return config


@contextmanager
def _folder(name_or_folder: str | Path) -> Iterator[Path]:
    """The folder on disk of shipped weights or of a path."""
    from importlib.resources import as_file

    name = str(name_or_folder)
    if Path(name).is_dir():
        yield Path(name)
        return
    known = weights()
    if name in known:
        with as_file(SHIPPED / name) as folder:
            yield folder
        return
    if name in registry.names(tests=True):
        raise ValueError(
            f"{name!r} is an untrained architecture; weights are needed: one of "
            f"{', '.join(sorted(known))}, or a folder that `sepaudio train` wrote"
        )
    near = get_close_matches(name, registry.names(), n=1)
    raise ValueError(
        registry.unknown("set of weights", name, sorted(known))
        + "; a folder of that name does not exist either"
        + (f"; the architecture {near[0]!r} does, but untrained" if near else "")
    )
