"""A bank of augmented clips, as features: made once, read by every run that shares its cfg.

Codecs and rooms cost a hundred times what a step of a tiny network costs. So the clips are
drawn, mixed, degraded and turned into features once, and training reads them. Every item is a
pure function of (seed, index): the number of processes changes nothing.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import manifest
from ..data.augment import Array, Random, add, band_edge, degrade, machine_noise, rms
from ..data.manifest import Recording
from ..data.shelf import ReadFile, decoded, each, there
from ..files import atomic_folder
from .recipe import DataCfg, RecipeCfg

CHUNK = 64  # items a task


@dataclass(frozen=True)
class Bank:
    """Augmented clips.

    Attributes:
        features: [N, F, L] float16, memory-mapped.
        active: [N, L] whether something was sounding in the clip itself, before anything was
            laid under it: a pause between words is not learned from as speech.
        labels: [N] class numbers.
        edges: [N] upper edge of the band [Hz].
        origins: [N, 2] of the clip and of what was laid under it, -1 for nothing; numbers
            into `names`.
        names: of the origins.
        fingerprint: of the recordings.
        left_out: what is wrong with the recordings that were left out, a sentence each.
    """

    features: NDArray[np.float16]
    active: NDArray[np.bool_]
    labels: NDArray[np.int64]
    edges: NDArray[np.float32]
    origins: NDArray[np.int64]
    names: tuple[str, ...]
    fingerprint: str
    left_out: tuple[str, ...] = ()

    def without(self, held_out: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the items in which no origin of `held_out` is heard."""
        gone = [self.names.index(name) for name in held_out if name in self.names]
        return np.flatnonzero(~np.isin(self.origins, gone).any(axis=1))

    def evenly(self, usable: NDArray[np.int64], bins: int = 20, most: float = 5.0) -> NDArray[Any]:
        """How often to draw each of `usable`, so that the band's edge says nothing of the class.

        In each of `bins` equally full ranges of edges every class is drawn as often; an item at
        most `most` times as often as the average one.
        """
        edges, labels = self.edges[usable], self.labels[usable]
        bounds = np.unique(np.quantile(edges, np.linspace(0, 1, bins + 1)[1:-1]))
        here = np.searchsorted(bounds, edges)
        counts = np.zeros((len(bounds) + 1, int(labels.max()) + 1))
        np.add.at(counts, (here, labels), 1)
        share = counts.sum(axis=1, keepdims=True) / counts.clip(1) / counts.shape[1]
        weights = share[here, labels].clip(max=most)
        return np.asarray(weights / weights.sum())


def banks(cfg: RecipeCfg, model: Any) -> tuple[Bank, Bank]:
    """What a recipe trains on, and what it is calibrated on."""
    train, valid = sizes(cfg.data)
    return (
        bank(train, model.frontend, model.labels, cfg.seed, "train"),
        bank(valid, model.frontend, model.labels, cfg.seed, "valid"),
    )


def beside(mine: Bank, cfg: RecipeCfg, model: Any, other: Any) -> Bank:
    """The clips that a model trains on in the features of another one, such as its teacher.

    Raises:
        ValueError: its frames are others.
    """
    if type(other.frontend) is type(model.frontend) and other.frontend.cfg == model.frontend.cfg:
        return mine
    data = replace(cfg.data, bank=f"{cfg.data.bank}-teacher")
    theirs = bank(data, other.frontend, model.labels, cfg.seed, "train")
    if theirs.features.shape[::2] != mine.features.shape[::2] or other.hop != model.hop:
        raise ValueError(
            f"{theirs.features.shape[-1]} frames of {other.hop} samples: expected a teacher whose "
            f"frames are the model's, {mine.features.shape[-1]} of {model.hop}"
        )
    return theirs


def sizes(cfg: DataCfg) -> tuple[DataCfg, DataCfg]:
    """The bank to train on, and the one to calibrate on, a tenth as large."""
    return cfg, replace(cfg, items=max(1, round(0.1 * cfg.items)))


def bank(cfg: DataCfg, frontend: Any, labels: Sequence[str], seed: int, split: str) -> Bank:
    """The bank of one split; read when it is there and was made of the same, else made.

    Raises:
        ValueError: a manifest makes no sense; with `on_bad="stop"`, a recording cannot be read.
    """
    rows, rooms = recordings(cfg, labels, split)
    gone: dict[int, str] = {}
    rows = [rows[i] for i, _ in each(rows, there, cfg.on_bad, gone)]
    rooms = [rooms[i] for i, _ in each(rooms, there, cfg.on_bad, gone)]
    made_of = made_from(cfg, rows, rooms, frontend, labels, seed)
    folder = Path(cfg.bank) / split
    if not holds(folder, made_of, cfg.on_bad):
        _make(folder, made_of, Source(rows, rooms, tuple(labels), cfg, frontend, seed))
    about = json.loads((folder / "about.json").read_text())
    return Bank(
        features=np.load(folder / "features.npy", mmap_mode="r"),
        active=np.load(folder / "active.npy"),
        labels=np.load(folder / "labels.npy"),
        edges=np.load(folder / "edges.npy"),
        origins=np.load(folder / "origins.npy"),
        names=tuple(about["names"]),
        fingerprint=made_of["fingerprint"],
        left_out=(*gone.values(), *about.get("left_out", ())),
    )


def made_from(
    cfg: DataCfg,
    rows: Sequence[Recording],
    rooms: Sequence[Recording],
    frontend: Any,
    labels: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """All that a bank depends on, as plain JSON values."""
    made_of = {
        "fingerprint": manifest.fingerprint([*rows, *rooms]),
        "labels": list(labels),
        "features": asdict(frontend.cfg),
        "kind": type(frontend).__name__,
        "version": VERSION,
        "seed": seed,
        **{key: value for key, value in asdict(cfg).items() if key in MADE_OF},
    }
    return dict(json.loads(json.dumps(made_of)))


def recordings(
    cfg: DataCfg, labels: Sequence[str], split: str
) -> tuple[list[Recording], list[Recording]]:
    """The recordings of a split that may be trained on, and the room responses."""
    rows = [row for row in manifest.read_all(cfg.manifests, labels) if row.split == split]
    rooms = [row for path in cfg.manifests for row in manifest.read(path) if row.kind == "rir"]
    rooms = [row for row in rooms if row.split == split]
    refused = cfg.refused_licenses
    return manifest.allowed(rows, refused), manifest.allowed(rooms, refused)


VERSION = 2  # raise it when the same settings begin to give other clips
MADE_OF = ("refused_licenses", "items", "item_seconds", "machines", "mix", "augment")


def holds(folder: Path, made_of: dict[str, Any], on_bad: str = "stop") -> bool:
    """Whether a folder has the bank that is made of this."""
    try:
        about = json.loads((folder / "about.json").read_text())
    except FileNotFoundError:
        return False
    whole = on_bad == "skip" or not about.get("left_out")
    return bool(whole and about["made_of"] == made_of)


class Source:
    """Everything that drawing an item needs; handed to worker processes by fork."""

    def __init__(
        self,
        rows: list[Recording],
        rooms: list[Recording],
        labels: tuple[str, ...],
        cfg: DataCfg,
        frontend: Any,
        seed: int,
    ):
        self.labels, self.cfg, self.frontend, self.seed = labels, cfg, frontend.eval(), seed
        self.rate = int(frontend.cfg.sample_rate)
        self.audio, rows, bad = self._read(rows, "mix")
        self.rooms, _, bad_rooms = self._read(rooms, 0)
        self.left_out = (*bad, *bad_rooms)
        for label in labels:
            if not any(row.kind == label for row in rows):
                raise ValueError(f"no recording of kind {label!r} can be read: see the manifests")
        self.names = tuple(sorted({row.origin for row in rows}))
        self.origin = [self.names.index(row.origin) for row in rows]
        # by class and origin: the recordings and how often each is drawn
        self.shelves: dict[str, list[tuple[float, list[int], NDArray[np.float64]]]] = {}
        for label in labels:
            shelves = []
            for origin in range(len(self.names)):
                here = [
                    i
                    for i, row in enumerate(rows)
                    if row.kind == label and self.origin[i] == origin
                ]
                if here:
                    seconds = np.array([len(self.audio[i]) / self.rate for i in here])
                    often = np.minimum(seconds, 30.0)
                    shelves.append((float(np.sqrt(often.sum())), here, often / often.sum()))
            self.shelves[label] = shelves

    def _read(
        self, rows: list[Recording], channel: int | str
    ) -> tuple[list[Array], list[Recording], Iterable[str]]:
        """Samples of the recordings that can be read, those recordings, and what others lack."""
        bad: dict[int, str] = {}

        def samples(row: Recording, read: ReadFile) -> Array:
            return read(row.path, self.rate, channel)[0]

        found = list(decoded(rows, samples, self.cfg.on_bad, bad))
        return [x for _, x in found], [rows[i] for i, _ in found], bad.values()

    def crop(self, label: str, random: Random) -> tuple[Array, int]:
        """A clip [T] of a class and its origin; silent stretches are drawn again."""
        shelves = self.shelves[label]
        weights = np.array([weight for weight, _, _ in shelves])
        _, here, often = shelves[random.choice(len(shelves), p=weights / weights.sum())]
        which = int(random.choice(here, p=often))
        x, size = self.audio[which], round(self.cfg.item_seconds * self.rate)
        if len(x) < size:  # a short recording repeats
            start = int(random.integers(len(x)))
            x = np.tile(np.roll(x, -start), -(-size // len(x)))[:size]
            return x.astype(np.float32), self.origin[which]
        usual = rms(x)
        for _ in range(6):
            start = int(random.integers(len(x) - size + 1))
            clip = x[start : start + size]
            if rms(clip) > 0.1 * usual:
                break
        return clip.copy(), self.origin[which]

    def clip(self, index: int) -> tuple[Array, NDArray[np.bool_], int, tuple[int, int]]:
        """Item `index` as it is heard: samples [T], sounding frames, class number, origins."""
        random = np.random.default_rng([self.seed, index])
        label = self.labels[index % len(self.labels)]
        x, origin = self.crop(label, random)
        if label == "noise" and random.random() < self.cfg.machines:
            x, origin = machine_noise(len(x), self.rate, random), -1
        active = sounding(x, self.frontend)
        under = -1
        for below in random.permutation(self.labels):
            share, low, high = getattr(self.cfg.mix, f"{below}_under_{label}", (0.0, 0.0, 0.0))
            if random.random() < share:
                other, under = self.crop(str(below), random)
                x = add(x, other, random.uniform(low, high))
                break
        x = degrade(x, self.rate, self.cfg.augment, self.rooms, random)
        return x, active, self.labels.index(label), (origin, under)

    def item(self, index: int) -> Item:
        """Item `index` as it is learned from: features [F, L], and its band's edge [Hz]."""
        x, active, label, origins = self.clip(index)
        edge = band_edge(x, self.rate)
        with torch.inference_mode():
            features = self.frontend(torch.from_numpy(x)[None])[0]
        return features.numpy().astype(np.float16), active, label, edge, origins


def sounding(x: Array, frontend: Any) -> NDArray[np.bool_]:
    """Frames [L] of a clip [T] within 35 dB of its loudest."""
    n, hop, window = frontend.frames(len(x)), frontend.hop, frontend.window
    padded = np.zeros((n - 1) * hop + window, np.float32)
    padded[: len(x)] = x[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.square(frames).mean(axis=1)
    return np.asarray(power > power.max() * 10**-3.5)


Item = tuple[NDArray[np.float16], NDArray[np.bool_], int, float, tuple[int, int]]
_source: Source | None = None  # a worker's, set by fork


def _chunk(start: int) -> tuple[int, list[Item]]:
    torch.set_num_threads(1)
    assert _source is not None
    stop = min(start + CHUNK, _source.cfg.items)
    return start, [_source.item(index) for index in range(start, stop)]


def _make(folder: Path, made_of: dict[str, Any], source: Source) -> None:
    from rich.console import Console
    from rich.progress import track

    global _source
    _source, n = source, source.cfg.items
    first = source.item(0)[0]
    labels = np.zeros(n, dtype=np.int64)
    origins = np.zeros((n, 2), dtype=np.int64)
    active = np.zeros((n, first.shape[-1]), dtype=np.bool_)
    edges = np.zeros(n, dtype=np.float32)
    starts = range(0, n, CHUNK)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, overwrite=True) as new:
        features = np.lib.format.open_memmap(
            new / "features.npy", mode="w+", dtype=np.float16, shape=(n, *first.shape)
        )
        with multiprocessing.get_context("fork").Pool(source.cfg.processes) as pool:
            results = pool.imap_unordered(_chunk, starts)
            console = Console(stderr=True)
            hidden = not console.is_terminal
            for start, items in track(
                results, "augment", len(starts), console=console, disable=hidden
            ):
                for i, item in enumerate(items, start):
                    features[i], active[i], labels[i], edges[i], origins[i] = item
        features.flush()
        np.save(new / "active.npy", active)
        np.save(new / "labels.npy", labels)
        np.save(new / "edges.npy", edges)
        np.save(new / "origins.npy", origins)
        names, left_out = list(source.names), list(source.left_out)
        about = {"made_of": made_of, "names": names, "left_out": left_out}
        (new / "about.json").write_text(json.dumps(about, indent=2) + "\n")
    _source = None
