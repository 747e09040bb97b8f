"""Recordings decoded and resampled once, read at random: 16-bit samples in memory or mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import io, parallel
from ..files import atomic_folder, look
from . import manifest
from .augment import Array, Random, rms
from .manifest import Recording
from .restyle import restyled

VERSION = 1  # raise it when the same recordings begin to give other samples
ON_BAD = ("stop", "skip")  # what to do about a recording that cannot be read
Read = TypeVar("Read")
ReadFile = Callable[..., tuple[Array, int]]  # `io.read`, or what remembers its last file
AT_ONCE = 8  # most files that are decoded at once, as whole ones have to fit into memory
TRIES = 6  # crops drawn until one is not mostly silent


class Shelf:
    """Recordings at one rate. A quiet one keeps its resolution: each has a scale of its own.

    Attributes:
        rows: what lies here.
        left_out: what is wrong with the recordings that were left out, a sentence each.
        sample_rate: [Hz].
        starts: [N + 1] where each begins among the samples.
        scales: [N] full scale of each.
        levels: [N] RMS of each.
    """

    def __init__(
        self,
        rows: Sequence[Recording],
        sample_rate: int,
        folder: str | Path | None = None,
        on_bad: str = "stop",
    ):
        """Decode recordings, as many files at once as there are cores.

        Args:
            rows: cuts or whole files; the mean of all channels is taken, the first of a room's.
            sample_rate: to resample to [Hz].
            folder: where the samples are kept and mapped from, made when it is not there or holds
                something else; in memory when None.
            on_bad: "stop" at a recording that cannot be read, or "skip" it.

        Raises:
            ValueError: a file cannot be read, holds NaN, or a cut lies outside its file.
        """
        self.sample_rate = sample_rate
        self.folder = None if folder is None else Path(folder)
        gone: dict[int, str] = {}
        rows = [rows[i] for i, _ in each(rows, there, on_bad, gone)]
        bad: dict[int, str] = {}
        if self.folder is None:
            pieces = [piece for _, piece in decoded(rows, self._decode, on_bad, bad)]
            self._samples = np.concatenate([x for x, _, _ in pieces] or [np.zeros(0, np.int16)])
            self._index([(len(x), scale, level) for x, scale, level in pieces])
        else:
            if not holds(self.folder, rows, sample_rate, on_bad):
                self._keep(self.folder, rows, on_bad)
            about = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
            bad = {int(i): text for i, text in about.get("left_out", {}).items()}
            self._index(about["recordings"])
            self._map()
        self.rows = tuple(row for i, row in enumerate(rows) if i not in bad)
        self.left_out = tuple(dict.fromkeys((*gone.values(), *bad.values())))  # twins say the same

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

    @property
    def samples(self) -> NDArray[np.int16]:
        """All samples, one recording after the other, each in parts of its own full scale."""
        return self._samples

    def length(self, index: int) -> int:
        """Samples of a recording."""
        return int(self.starts[index + 1] - self.starts[index])

    def take(self, index: int, start: int = 0, n: int | None = None) -> Array:
        """n samples [n] of a recording from `start` on, or all that follow."""
        first = int(self.starts[index]) + start
        last = int(self.starts[index + 1]) if n is None else first + n
        assert self.starts[index] <= first <= last <= self.starts[index + 1]
        return np.asarray(self._samples[first:last] * self.scales[index], np.float32)

    def crop(self, index: int, n: int, random: Random) -> tuple[int, int]:
        """Where a random stretch that is not mostly silent begins, and its length, at most n."""
        n, start = min(n, self.length(index)), 0
        for _ in range(TRIES):
            start = int(random.integers(self.length(index) - n + 1))
            if rms(self.take(index, start, n)) > 0.1 * self.levels[index]:
                break
        return start, n

    def filling(self, index: int, n: int, random: Random) -> int:
        """Where n samples as of `looped` begin: like `crop`, anywhere in a short recording."""
        if self.length(index) >= n:
            return self.crop(index, n, random)[0]
        return int(random.integers(self.length(index)))

    def looped(self, index: int, start: int, n: int) -> Array:
        """n samples [n] of a recording from `start` on, which begins anew where it ends."""
        if start + n <= self.length(index):
            return self.take(index, start, n)
        return np.resize(np.roll(self.take(index), -start), n)

    def _decode(self, row: Recording, read: ReadFile) -> tuple[NDArray[np.int16], float, float]:
        """Samples of a recording, their full scale and their level."""
        x, own = read(row.path, channel=0 if row.kind == "rir" else "mix")
        if row.start is not None:
            x = cut(x, own, row)
        if row.manner:  # of twice the band, as what is above it may come down
            wide = min(own, 2 * self.sample_rate)
            x, own = restyled(io.resample(x, own, wide), wide, row), wide
        x = io.resample(x, own, self.sample_rate)
        scale = max(float(np.abs(x).max()), 1e-9) / 32767
        return np.rint(x / scale).astype(np.int16), scale, rms(x)

    def _index(self, recordings: Sequence[Sequence[float]]) -> None:
        lengths = [int(n) for n, _, _ in recordings]
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.scales = np.array([scale for _, scale, _ in recordings], np.float32)
        self.levels = np.array([level for _, _, level in recordings], np.float64)

    def _keep(self, folder: Path, rows: Sequence[Recording], on_bad: str) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        recordings, bad = [], dict[int, str]()
        with atomic_folder(folder, overwrite=True) as new:
            with (new / "samples.int16").open("wb") as file:
                for _, (x, scale, level) in decoded(rows, self._decode, on_bad, bad):
                    x.tofile(file)
                    recordings.append([len(x), scale, level])
            made_of = _made_of(rows, self.sample_rate)
            about = {"made_of": made_of, "recordings": recordings, "left_out": bad}
            (new / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")

    def _map(self) -> None:
        assert self.folder is not None
        # Copy-on-write, since torch takes no array that is read-only; the file stays as it is.
        mapped = np.memmap(self.folder / "samples.int16", np.int16, mode="c")
        self._samples = np.asarray(mapped)


def files_of(shelf: Shelf) -> NDArray[np.int64]:
    """The number of the file that each recording is of; copies of a whole file are that file."""
    numbers: dict[Path | tuple[float, ...], int] = {}
    found = []
    for i, row in enumerate(shelf.rows):
        sound = (shelf.length(i), float(shelf.scales[i]), float(shelf.levels[i]))
        whole = row.start is None and not row.manner
        first = numbers.setdefault(sound, len(numbers)) if whole else len(numbers)
        found.append(numbers.setdefault(row.path, first))
    return np.array(found)


def manners_of(rows: Sequence[Recording]) -> dict[int, int]:
    """Of recordings that are there in another manner, too: the number of that one."""
    others = {replace(row, manner=0): i for i, row in enumerate(rows) if row.manner}
    return {i: others[row] for i, row in enumerate(rows) if row in others}


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


def each(
    rows: Sequence[Recording], read: Callable[[Recording], Read], on_bad: str, bad: dict[int, str]
) -> Iterator[tuple[int, Read]]:
    """Numbers of recordings, and what reading them gives.

    Args:
        rows: the recordings.
        read: what is done with each; a ValueError says that it is bad.
        on_bad: "stop" at a bad one, or "skip" it.
        bad: takes the numbers of those that are skipped, and what is wrong.

    Raises:
        ValueError: a bad recording, with on_bad="stop"; or another word for `on_bad`.
    """
    return _good((_tried(read, row) for row in rows), on_bad, bad)


def decoded(
    rows: Sequence[Recording],
    make: Callable[[Recording, ReadFile], Read],
    on_bad: str,
    bad: dict[int, str],
) -> Iterator[tuple[int, Read]]:
    """Numbers of recordings, and what is made of them, by threads that take a file each.

    Args:
        rows: the recordings; cuts of one file follow one another.
        make: what is done with each, which is given an `io.read` that remembers the last file.
        on_bad: as of `each`.
        bad: as of `each`.

    Raises:
        ValueError: see `each`.
    """

    def work(cuts: list[Recording], check: Callable[[], None]) -> list[Read | ValueError]:
        read = lru_cache(maxsize=1)(io.read)
        found = list[Read | ValueError]()
        for row in cuts:
            check()
            found.append(_tried(lambda row: make(row, read), row))
        return found

    files = (list(cuts) for _, cuts in groupby(rows, lambda row: row.path))
    workers = min(parallel.cores(), AT_ONCE)
    found = (one for some in parallel.spread(files, work, workers, 2 * workers) for one in some)
    yield from _good(found, on_bad, bad)


def _tried(read: Callable[[Recording], Read], row: Recording) -> Read | ValueError:
    """What reading a recording gives, or the error that says that it is bad."""
    try:
        return read(row)
    except ValueError as error:
        return error


def _good(
    found: Iterable[Read | ValueError], on_bad: str, bad: dict[int, str]
) -> Iterator[tuple[int, Read]]:
    """What was read and its number, without the errors; for the rest see `each`."""
    check_on_bad(on_bad)
    for number, one in enumerate(found):
        if not isinstance(one, ValueError):
            yield number, one
        elif on_bad == "stop":
            raise ValueError(f"{one}; or leave such recordings out: on_bad=skip") from one
        else:
            bad[number] = str(one)


def check_on_bad(on_bad: str) -> None:
    """Refuse what is none of ON_BAD."""
    if on_bad not in ON_BAD:
        raise ValueError(f"on_bad={on_bad!r}: expected one of {', '.join(ON_BAD)}")


def holds(folder: Path, rows: Sequence[Recording], sample_rate: int, on_bad: str = "stop") -> bool:
    """Whether a shelf of these recordings lies in a folder already."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    whole = on_bad == "skip" or not about.get("left_out")
    return bool(whole and about["made_of"] == _made_of(rows, sample_rate))


def _made_of(rows: Sequence[Recording], sample_rate: int) -> dict[str, Any]:
    cuts = "|".join(f"{row.path.name} {row.start} {row.duration}" for row in rows)
    cuts += "".join(f" {row.manner}" for row in rows if row.manner)
    return {
        "version": VERSION,
        "sample_rate": sample_rate,
        "fingerprint": manifest.fingerprint(rows),
        "cuts": hashlib.sha256(cuts.encode()).hexdigest(),
    }


def there(row: Recording) -> None:
    """Raise the error of a file that is missing; nothing is read of one that is there."""
    if not row.path.is_file():
        look(row.path)
