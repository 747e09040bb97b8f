"""Mixtures as a torch data set: item = index, whatever the number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .augment import Array, Random
from .mixing import Mixer
from .mixtures import Mixture
from .render import Example, Reader, first_channel, render

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
    ):
        """Take rows.

        Args:
            rows: the list.
            seconds: length of the stretches [s]; whole mixtures when None. Shorter ones stay so.
            enrollment_seconds: the same for the enrollment.
            seed: of the choice of stretches, and of the enrollment where a row has several; with
                whole mixtures the first enrollment is taken.
            reader: gives the samples of a file.
        """
        self.rows, self.seed, self.epoch, self.reader = tuple(rows), seed, 0, reader
        self.seconds, self.enrollment_seconds = seconds, enrollment_seconds

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Example:
        epoch, index = _number(key, self.epoch, len(self))
        row, random = self.rows[index], np.random.default_rng([self.seed, epoch, index])
        several = len(row.enrollments) if self.seconds is not None else 0
        made = render(row, self.reader, int(random.integers(several)) if several else 0)
        if self.seconds is not None:
            n = round(self.seconds * row.sample_rate)
            start = int(random.integers(max(len(made.mixture) - n, 0) + 1))
            mixture, sources = made.mixture[start : start + n], made.sources[:, start : start + n]
            drawn = {**made.drawn, "start_s": start / row.sample_rate}
            made = replace(made, mixture=mixture, sources=sources, drawn=drawn)
        if self.enrollment_seconds is not None:
            n = round(self.enrollment_seconds * row.sample_rate)
            made = replace(made, enrollment=_stretch(made.enrollment, n, random))
        return made


def collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Examples -> a batch, padded with zeros behind.

    Gives mixture [B, T], sources [B, S, T], lengths [B], n_src [B], target [B] (-1 where the
    enrolled speaker is absent), enrollment [B, T'] and enrollment_lengths [B].

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
    for i, example in enumerate(examples):
        mixture[i, : lengths[i]] = torch.from_numpy(example.mixture)
        sources[i, : n_src[i], : lengths[i]] = torch.from_numpy(example.sources)
        enrollment[i, : enrolled[i]] = torch.from_numpy(example.enrollment)
    return {
        "mixture": mixture,
        "sources": sources,
        "lengths": torch.tensor(lengths),
        "n_src": torch.tensor(n_src),
        "target": torch.tensor([example.target for example in examples]),
        "enrollment": enrollment,
        "enrollment_lengths": torch.tensor(enrolled),
    }


def _number(key: Key, epoch: int, n: int) -> tuple[int, int]:
    """Epoch and index, both from 0; an IndexError ends a loop over the data set."""
    epoch, index = key if isinstance(key, tuple) else (epoch, key)
    if not 0 <= index < n:
        raise IndexError(f"index={index}: expected 0 to {n - 1}")
    return int(epoch), int(index)


def _stretch(x: Array, n: int, random: Random) -> Array:
    start = int(random.integers(max(len(x) - n, 0) + 1))
    return x[start : start + n]
