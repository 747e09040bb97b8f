"""Recordings decoded and resampled once, read at random: 16-bit samples in memory or mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..files import atomic_folder
from . import manifest
from .augment import Array, Random, rms
from .manifest import Recording

VERSION = 1  # raise it when the same recordings begin to give other samples
TRIES = 6  # crops drawn until one is not mostly silent


class Shelf:
    """Recordings at one rate. A quiet one keeps its resolution: each has a scale of its own.

    Attributes:
        rows: what lies here.
        sample_rate: [Hz].
        starts: [N + 1] where each begins among the samples.
        scales: [N] full scale of each.
        levels: [N] RMS of each.
    """

    def __init__(
        self, rows: Sequence[Recording], sample_rate: int, folder: str | Path | None = None
    ):
        """Decode recordings.

        Args:
            rows: cuts or whole files; the mean of all channels is taken, the first of a room's.
            sample_rate: to resample to [Hz].
            folder: where the samples are kept and mapped from, made when it is not there or holds
                something else; in memory when None.

        Raises:
            AudioError: a file cannot be read.
            ValueError: a cut lies outside its file.
        """
        self.rows, self.sample_rate = tuple(rows), sample_rate
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            pieces = list(self._decode())
            self._samples = np.concatenate([x for x, _, _ in pieces] or [np.zeros(0, np.int16)])
            self._index([(len(x), scale, level) for x, scale, level in pieces])
        else:
            made_of = self._made_of()
            if not _holds(self.folder, made_of):
                self._keep(self.folder, made_of)
            about = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
            self._index(about["recordings"])
            self._map()

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process is sent: the file's place instead of mapped samples."""
        mapped = self.folder is not None
        return {k: v for k, v in self.__dict__.items() if not (mapped and k == "_samples")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.folder is not None:
            self._map()

    def length(self, index: int) -> int:
        """Samples of a recording."""
        return int(self.starts[index + 1] - self.starts[index])

    def take(self, index: int, start: int = 0, n: int | None = None) -> Array:
        """n samples [n] of a recording from `start` on, or all that follow."""
        first = int(self.starts[index]) + start
        last = int(self.starts[index + 1]) if n is None else first + n
        assert self.starts[index] <= first <= last <= self.starts[index + 1]
        return np.asarray(self._samples[first:last] * self.scales[index], np.float32)

    def crop(self, index: int, n: int, random: Random) -> tuple[Array, int]:
        """A random stretch of at most n samples that is not mostly silent, and where it begins."""
        n = min(n, self.length(index))
        x, start = self.take(index, 0, 0), 0
        for _ in range(TRIES):
            start = int(random.integers(self.length(index) - n + 1))
            x = self.take(index, start, n)
            if rms(x) > 0.1 * self.levels[index]:
                break
        return x, start

    def filling(self, index: int, n: int, random: Random) -> Array:
        """Like `crop`, but a short recording repeats until there are n samples."""
        if self.length(index) >= n:
            return self.crop(index, n, random)[0]
        x = self.take(index)
        return np.resize(np.roll(x, -int(random.integers(len(x)))), n)

    def _decode(self) -> Iterable[tuple[NDArray[np.int16], float, float]]:
        for row in self.rows:
            x, own = io.read(row.path, channel=0 if row.kind == "rir" else "mix")
            if row.start is not None:
                x = cut(x, own, row)
            x = io.resample(x, own, self.sample_rate)
            scale = max(float(np.abs(x).max()), 1e-9) / 32767
            yield np.rint(x / scale).astype(np.int16), scale, rms(x)

    def _index(self, recordings: Sequence[Sequence[float]]) -> None:
        lengths = [int(n) for n, _, _ in recordings]
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.scales = np.array([scale for _, scale, _ in recordings], np.float32)
        self.levels = np.array([level for _, _, level in recordings], np.float64)

    def _made_of(self) -> dict[str, Any]:
        cuts = "|".join(f"{row.path.name} {row.start} {row.duration}" for row in self.rows)
        return {
            "version": VERSION,
            "sample_rate": self.sample_rate,
            "fingerprint": manifest.fingerprint(self.rows),
            "cuts": hashlib.sha256(cuts.encode()).hexdigest(),
        }

    def _keep(self, folder: Path, made_of: dict[str, Any]) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        recordings = []
        with atomic_folder(folder, overwrite=True) as new:
            with (new / "samples.int16").open("wb") as file:
                for x, scale, level in self._decode():
                    x.tofile(file)
                    recordings.append([len(x), scale, level])
            about = {"made_of": made_of, "recordings": recordings}
            (new / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")

    def _map(self) -> None:
        assert self.folder is not None
        self._samples = np.memmap(self.folder / "samples.int16", np.int16, mode="r")


def cut(x: Array, sample_rate: int, row: Recording) -> Array:
    """The part of a file's samples [T] that is a row's recording.

    Raises:
        ValueError: it lies outside the file.
    """
    start = round((row.start or 0.0) * sample_rate)
    n = len(x) - start if row.duration is None else round(row.duration * sample_rate)
    if n < 1 or start + n > len(x) + 1:  # seconds are rounded: one sample may be missing
        raise ValueError(
            f"{row.path}: from {row.start} s for {row.duration} s, expected a part of its "
            f"{len(x) / sample_rate:g} s; mend start_s and duration_s"
        )
    return x[start : start + n]


def _holds(folder: Path, made_of: dict[str, Any]) -> bool:
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(about["made_of"] == made_of)
