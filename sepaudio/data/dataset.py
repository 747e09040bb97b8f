"""Mixtures as a torch data set: item = index, whatever the number of workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .augment import Array, Random
from .mixing import Mixer
from .mixtures import RULES, Mixture, Part
from .render import Example, Reader, first_channel, render, voices
from .shelf import Shelf, check_on_bad

Key = int | tuple[int, int]  # index, or epoch and index


class DynamicMixtures(Dataset[Example]):
    """Endless mixtures, `items` an epoch.

    An index may come with its epoch, as (epoch, index): workers that live through several epochs
    do not see `epoch` change.
    """

    def __init__(self, mixer: Mixer, items: int, seed: int = 0):
        self.mixer, self.items, self.seed, self.epoch = mixer, items, seed, 0

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, key: Key) -> Example:
        epoch, index = _number(key, self.epoch, len(self))
        return self.mixer.item(self.seed, epoch, index)


class ListedMixtures(Dataset[Example]):
    """The mixtures of a list; whole, or a stretch of each that changes from epoch to epoch."""

    def __init__(
        self,
        rows: Sequence[Mixture],
        seconds: float | None = None,
        enrollment_seconds: float | None = None,
        seed: int = 0,
        reader: Reader = first_channel,
        enrolled: bool = False,
    ):
        """Take rows.

        Args:
            rows: the list.
            seconds: length of the stretches [s]; whole mixtures when None. Shorter ones stay so.
            enrollment_seconds: the same for the enrollment.
            seed: of the choice of stretches, and of the enrollment where a row has several; with
                whole mixtures the first enrollment is taken.
            reader: gives the samples of a file.
            enrolled: a row without enrollment gets one of its speakers as target, enrolled by
                another recording of that speaker in the list.

        Raises:
            ValueError: a row needs an enrollment, and there is no other recording.
        """
        self.rows, self.seed, self.epoch, self.reader = tuple(rows), seed, 0, reader
        self.seconds, self.enrollment_seconds = seconds, enrollment_seconds
        self.voices: dict[str, list[Part]] = {}
        if enrolled:
            parts = {part.path: part for row in rows for part in row.sources if part.speaker}
            for part in parts.values():
                self.voices.setdefault(part.speaker, []).append(part)
            for row in rows:
                self._targets(row)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Example:
        return self.item(self.seed, *_number(key, self.epoch, len(self)))

    def item(self, seed: int, epoch: int, index: int) -> Example:
        """The mixture of that row: mixture [T], sources [S, T], enrollment [T']."""
        row, random = self.rows[index], np.random.default_rng([seed, epoch, index])
        if self.voices and not row.enrollments:
            row = self._enrolled(row, random)
        several = len(row.enrollments) if self.seconds is not None else 0
        made = render(row, self.reader, int(random.integers(several)) if several else 0)
        if self.seconds is not None:
            n = round(self.seconds * row.sample_rate)
            start = _start(made, n, random)
            mixture, sources = made.mixture[start : start + n], made.sources[:, start : start + n]
            drawn = {**made.drawn, "start_s": start / row.sample_rate}
            made = replace(made, mixture=mixture, sources=sources, drawn=drawn)
        if self.enrollment_seconds is not None:
            n = round(self.enrollment_seconds * row.sample_rate)
            made = replace(made, enrollment=_stretch(made.enrollment, n, random))
        return made

    def _targets(self, row: Mixture) -> list[tuple[int, list[Part]]]:
        """The sources that can be enrolled, each with recordings that are not in the mixture."""
        heard = {part.path for part in row.sources}
        others = [
            [part for part in self.voices.get(source.speaker, ()) if part.path not in heard]
            for source in row.sources
        ]
        found = [(k, parts) for k, parts in enumerate(others) if parts]
        if not found and not row.enrollments:
            raise ValueError(
                f"mixture {row.id} has no enrollment, and the list no other recording of its "
                "speakers: expected either; make the list with enrollments"
            )
        return found

    def _enrolled(self, row: Mixture, random: Random) -> Mixture:
        found = self._targets(row)
        target, parts = found[int(random.integers(len(found)))]
        part = replace(parts[int(random.integers(len(parts)))], offset=0.0, room=None)
        if RULES[row.rules].peak is not None:  # gains of that list are to a level of their own
            part = replace(part, gain=1.0)
        return replace(row, target=target, enrollments=(part,))


class Shuffled:
    """The mixtures of a list without end, in the place of a `Mixer`: an order for every epoch.

    Attributes:
        listed: the list.
        left_out: which of its rows could not be made [N]; forked workers write it too.
    """

    def __init__(
        self,
        listed: ListedMixtures,
        on_bad: str = "stop",
        tell: Callable[[str], object] | None = None,
    ):
        """Take a list.

        Args:
            listed: the list.
            on_bad: "stop" at a mixture whose recordings cannot be read, or "skip" it: the next of
                the epoch that can be made is heard in its place, whoever draws it and whenever.
            tell: told, once a mixture, what is wrong with one that is skipped.
        """
        check_on_bad(on_bad)
        self.listed, self.on_bad, self.tell = listed, on_bad, tell
        self.shelves: dict[str, Shelf] = {}  # files are read where they lie
        self.left_out = torch.zeros(len(listed), dtype=torch.bool)
        if on_bad == "skip":
            self.left_out.share_memory_()  # type: ignore[no-untyped-call]
        self._last: tuple[tuple[int, int], NDArray[np.int64]] | None = None

    def item(self, seed: int, epoch: int, index: int) -> Example:
        """The mixture of that number; one beyond the list's end is of a later epoch.

        Raises:
            ValueError: it cannot be made, with "skip" none can; the message names it.
        """
        n = len(self.listed)
        later, place = divmod(index, n)
        order = self._order(seed, epoch + later)
        for row in (int(order[(place + i) % n]) for i in range(n)):
            try:
                return self.listed.item(seed, epoch + later, row)
            except ValueError as error:
                self._leave_out(row, error)
        raise ValueError(f"none of {n} mixtures can be made: mend the files that their list names")

    def _leave_out(self, row: int, error: ValueError) -> None:
        text = f"mixture {self.listed.rows[row].id}: {error}"
        if self.on_bad == "stop":
            raise ValueError(f"{text}; or leave such mixtures out: on_bad=skip") from error
        if self.tell and not self.left_out[row]:
            self.tell(text)
        self.left_out[row] = True

    def _order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        if self._last is None or self._last[0] != (seed, epoch):
            order = np.random.default_rng([seed, epoch]).permutation(len(self.listed))
            self._last = (seed, epoch), order
        return self._last[1]


def collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Examples -> a batch, padded with zeros behind.

    Gives mixture [B, T], sources [B, S, T], lengths [B], n_src [B], target [B] (-1 where the
    enrolled speaker is absent), voices [B, S] (see `render.voices`), enrollment [B, T'] and
    enrollment_lengths [B].

    Raises:
        ValueError: the examples differ in rate.
    """
    rates = sorted({example.sample_rate for example in examples})
    if len(rates) != 1:
        raise ValueError(f"a batch of sample rates {rates}: expected one; resample the lists")
    n_src = [len(example.sources) for example in examples]
    lengths = [len(example.mixture) for example in examples]
    enrolled = [len(example.enrollment) for example in examples]
    mixture = torch.zeros(len(examples), max(lengths))
    sources = torch.zeros(len(examples), max(n_src), max(lengths))
    enrollment = torch.zeros(len(examples), max(enrolled))
    numbers = torch.zeros(sources.shape[:2], dtype=torch.int64)
    for i, example in enumerate(examples):
        names = example.drawn.get("speakers", [""] * n_src[i])
        speeds = example.drawn.get("speeds", [1.0] * n_src[i])
        numbers[i, : n_src[i]] = torch.tensor(voices(names, speeds))
        mixture[i, : lengths[i]] = torch.from_numpy(example.mixture)
        sources[i, : n_src[i], : lengths[i]] = torch.from_numpy(example.sources)
        enrollment[i, : enrolled[i]] = torch.from_numpy(example.enrollment)
    return {
        "mixture": mixture,
        "sources": sources,
        "lengths": torch.tensor(lengths),
        "n_src": torch.tensor(n_src),
        "target": torch.tensor([example.target for example in examples]),
        "voices": numbers,
        "enrollment": enrollment,
        "enrollment_lengths": torch.tensor(enrolled),
    }


def _number(key: Key, epoch: int, n: int) -> tuple[int, int]:
    """Epoch and index, both from 0; an IndexError ends a loop over the data set."""
    epoch, index = key if isinstance(key, tuple) else (epoch, key)
    if not 0 <= index < n:
        raise IndexError(f"index={index}: expected 0 to {n - 1}")
    return int(epoch), int(index)


def _start(made: Example, n: int, random: Random) -> int:
    """Where n samples of a mixture begin.

    What is wanted, the target or else every source, is heard in half of them or for half of its
    length, if any stretch has that: in lists of mode max a source may be padding most of the time.
    """
    last = max(len(made.mixture) - n, 0)
    spans: list[list[int]] = made.drawn["spans"]
    spans = spans if made.target < 0 else [spans[made.target]]
    least = [min(n, stop - start) // 2 for start, stop in spans]
    low = max(start + half - n for (start, _), half in zip(spans, least, strict=True))
    high = min(stop - half for (_, stop), half in zip(spans, least, strict=True))
    low, high = max(low, 0), min(high, last)
    if low > high:
        low, high = 0, last
    return low + int(random.integers(high - low + 1))


def _stretch(x: Array, n: int, random: Random) -> Array:
    start = int(random.integers(max(len(x) - n, 0) + 1))
    return x[start : start + n]
