"""Features of whole recordings, computed once and then cut into clips.

Clips of every length come from one store, and those of a teacher that hears other features stand
beside them clip by clip.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import io
from ..data import manifest, shelf, whole
from ..data.manifest import Recording
from ..files import atomic_folder
from ..frontends import LogMel
from .recipe import DataCfg

VERSION = 1  # raise it when the same settings begin to give other features


@dataclass(frozen=True)
class Features:
    """Features of whole recordings, one after the other.

    Attributes:
        values: [frames of all, F], memory-mapped.
        bounds: [R + 1] where each begins.
        rows: the recordings.
        left_out: what is wrong with those that were left out, a sentence each.
    """

    values: NDArray[np.floating]
    bounds: NDArray[np.int64]
    rows: tuple[Recording, ...]
    left_out: tuple[str, ...] = ()

    def of(self, number: int) -> NDArray[np.floating]:
        """Features [L, F] of one recording."""
        return self.values[self.bounds[number] : self.bounds[number + 1]]


@dataclass(frozen=True)
class Cuts:
    """Clips of one length.

    Attributes:
        features: of the recordings that they are cut from.
        places: [N, 2] number of the recording, first frame in it.
        labels: [N] class numbers.
        size: frames of a clip.
    """

    features: Features
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Clips [B, F, L]."""
        places = self.places[np.asarray(numbers)]
        clips = [whole.clip(self.features.of(r), start, self.size) for r, start in places]
        return torch.from_numpy(np.stack(clips))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the collections."""
        return tuple(sorted({row.origin for row in self.features.rows}))

    @property
    def fingerprint(self) -> str:
        """Of the recordings."""
        return manifest.fingerprint(self.features.rows)


def rows_of(cfg: DataCfg, labels: Sequence[str], split: str) -> list[Recording]:
    """The recordings of a split that may be used."""
    rows = [row for row in manifest.read_all(cfg.manifests, labels) if row.split == split]
    rows = [row for row in rows if row.origin not in cfg.held_out]
    return manifest.allowed(rows, cfg.refused_licenses)


def features(cfg: DataCfg, frontend: Any, labels: Sequence[str], split: str) -> Features:
    """Features of the recordings of a split; read when they are there, else made.

    Raises:
        ValueError: with `on_bad="stop"`, a recording cannot be read or is digital silence.
    """
    gone: dict[int, str] = {}
    rows = rows_of(cfg, labels, split)
    rows = [rows[i] for i, _ in shelf.each(rows, shelf.there, cfg.on_bad, gone)]
    made_of, folder = place(cfg, frontend, rows, split)
    if not holds(folder, made_of, cfg.on_bad):
        _make(folder, made_of, rows, cfg, frontend)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    bad = {int(i): text for i, text in about["left_out"].items()}
    return Features(
        values=np.load(folder / "features.npy", mmap_mode="r"),
        bounds=np.concatenate([[0], np.cumsum(about["frames"], dtype=np.int64)]),
        rows=tuple(row for i, row in enumerate(rows) if i not in bad),
        left_out=(*gone.values(), *bad.values()),
    )


def place(
    cfg: DataCfg, frontend: Any, rows: Sequence[Recording], split: str
) -> tuple[dict[str, Any], Path]:
    """All that features depend on, as plain JSON values, and the folder where they lie."""
    cuts = "|".join(f"{row.path.name} {row.start} {row.duration}" for row in rows)
    how = {
        "version": VERSION,
        "features": asdict(frontend.cfg),
        "kind": type(frontend).__name__,
        "silence_db": cfg.cut.silence_db,
        "loudness": cfg.cut.loudness,
        **({"denoise": True} if cfg.cut.denoise else {}),
    }
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:12]
    what = {"fingerprint": manifest.fingerprint(rows), "cuts": cuts}
    made_of = dict(json.loads(json.dumps({**how, **what})))
    return made_of, Path(cfg.bank) / f"{split}-{digest}"


def holds(folder: Path, made_of: dict[str, Any], on_bad: str = "stop") -> bool:
    """Whether a folder has the features that are made of this."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    complete = on_bad == "skip" or not about["left_out"]
    return bool(complete and about["made_of"] == made_of)


def _make(
    folder: Path, made_of: dict[str, Any], rows: Sequence[Recording], cfg: DataCfg, frontend: Any
) -> None:
    from rich.console import Console
    from rich.progress import track

    rate, frontend = int(frontend.cfg.sample_rate), frontend.eval()
    # as in the first author's code, whose bands are many and whose cepstra are few
    kind = np.float16 if isinstance(frontend, LogMel) else np.float32

    def heard(row: Recording, read: shelf.ReadFile) -> NDArray[np.floating]:
        x, own = read(row.path)
        x = x if row.start is None else shelf.cut(x, own, row)
        try:
            x = whole.prepared(io.resample(x, own, rate), rate, cfg.cut)
        except ValueError as error:
            raise ValueError(f"{row.path}: {error}") from error
        with torch.inference_mode():
            found = frontend(torch.from_numpy(x)[None])[0]
        return np.ascontiguousarray(found.numpy().T, kind)

    folder.parent.mkdir(parents=True, exist_ok=True)
    bad: dict[int, str] = {}
    with atomic_folder(folder, overwrite=True) as new:
        frames = []
        with (new / "raw").open("wb") as file:
            console = Console(stderr=True)
            found = shelf.decoded(rows, heard, cfg.on_bad, bad)
            hidden = not console.is_terminal
            for _, x in track(found, "features", len(rows), console=console, disable=hidden):
                x.tofile(file)
                frames.append(len(x))
        width = frontend(torch.zeros(1, rate)).shape[1]
        raw = np.memmap(new / "raw", kind, mode="r", shape=(sum(frames), width))
        np.save(new / "features.npy", raw)
        del raw
        (new / "raw").unlink()
        about = {"made_of": made_of, "frames": frames, "left_out": bad}
        (new / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


def cuts(cfg: DataCfg, model: Any, split: str) -> Cuts:
    """Clips of a split, for a model with a `frontend`.

    Raises:
        ValueError: see `features`; or a class has no clip to train on.
    """
    found = features(cfg, model.frontend, model.labels, split)
    size = round(cfg.cut.seconds * model.sample_rate / model.hop)
    places, labels = [], []
    for number, row in enumerate(found.rows):
        n = int(found.bounds[number + 1] - found.bounds[number])
        for start in whole.starts(n, size, cfg.cut.overlap):
            places.append((number, start))
            labels.append(model.labels.index(row.kind))
    if split == "train":
        for number, label in enumerate(model.labels):
            if number not in labels:
                raise ValueError(f"no clip of class {label!r} to train on: see the manifests")
    return Cuts(found, np.array(places, np.int64).reshape(-1, 2), np.array(labels, np.int64), size)
