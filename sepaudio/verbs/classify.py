"""Name what a recording is: one label and all probabilities for a file of any length.

How a long recording is summed up: it is cut into windows of two seconds, or of the length that the
model was trained on, one after the other; what is left at the end is decided by the last window. A
window is silence, and does not count, when its level (RMS) is below -70 dB of full scale or 40 dB
below the loudest window: a pause, whatever hums in it. The probabilities of the other windows are
averaged, each weighted by the time it alone covers; the label is the most probable class. If there
is no other window, the label is "silence".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import parallel
from .given import Array, at_rate, each_file, need_full_scale, place

if TYPE_CHECKING:
    from torch import Tensor, nn

DEFAULT = "speech_music_noise"  # the weights used unless others are named
WINDOW = 2.0  # [s]; a model with `seconds` of its own has those
SILENCE_DB = -70.0  # [dB of full scale, RMS]
PAUSE_DB = 40.0  # below the loudest window
BATCH = 16  # windows at once: more are no faster on a CPU, and take memory in every thread

Window = tuple[Array, int, int]  # samples, how many of them count, level [dB]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """What was heard in one recording.

    Attributes:
        file: its name, as it was given.
        label: the most probable class, "silence", or "" when `error` says why there is none.
        probability: of the label; None for silence and errors.
        probabilities: of every class, most probable first; empty for silence and errors.
        silence: share of the duration that is silent, 0 to 1.
        seconds: duration.
        error: why the recording could not be classified.
    """

    file: str = ""
    label: str = ""
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    silence: float = 0.0
    seconds: float = 0.0
    error: str | None = None

    def top(self, k: int | None) -> dict[str, float]:
        """The k most probable classes; all when k is None."""
        return dict(list(self.probabilities.items())[:k])


def classify(
    x: Any,
    sample_rate: int,
    *,
    model: str | Path | nn.Module = DEFAULT,
    device: str = "auto",
    window: float | None = None,
    silence_db: float = SILENCE_DB,
) -> Classification:
    """Classify an array.

    Args:
        x: [T] or [C, T], full scale is 1; channels are averaged. Anything numpy can read.
        sample_rate: of x, in Hz; x is resampled to the model's rate.
        model: name of weights, model folder, or a loaded model.
        device: "auto", "cpu", "cuda" or "mps".
        window: [s], see the module's text; None for the model's own.
        silence_db: level below which a window is silence [dB of full scale].

    Raises:
        ValueError: x is empty, has NaN, or has its channels last.
    """
    net = resolve(model, device)
    samples = at_rate(x, sample_rate, net.sample_rate)
    return sum_up(net, [samples], window_of(net, window), silence_db)


def classify_files(
    paths: Iterable[str | Path],
    *,
    model: str | Path | nn.Module = DEFAULT,
    device: str = "auto",
    window: float | None = None,
    silence_db: float = SILENCE_DB,
    channel: str | int = "mix",
    workers: int = 0,
) -> Iterator[Classification]:
    """Classify files, one result each in their order; memory does not grow with their length.

    A file that cannot be read gives a result whose `error` says why.

    Args:
        paths: files; "-" reads one from standard input.
        model: see `classify`.
        device: see `classify`.
        window: see `classify`.
        silence_db: see `classify`.
        channel: "mix" averages the channels, a number picks one, from 0.
        workers: files heard at once, in threads; 0 for as many as cores.
    """
    net = resolve(model, device)
    size = window_of(net, window)
    yield from each_file(
        paths,
        lambda blocks, threads: sum_up(net, blocks, size, silence_db, threads),
        Classification,
        seconds=BATCH * size,
        sample_rate=int(net.sample_rate),
        channel=channel,
        workers=workers,
    )


def resolve(model: str | Path | nn.Module, device: str = "auto") -> Any:
    """The classifier meant by a name, a folder or a model.

    Raises:
        ValueError: it is not a classifier, or the device is not there.
    """
    return place(model, device, "classification")


def window_of(net: Any, window: float | None = None) -> float:
    """Length of the windows that a model decides at once [s]: as asked for, or its own.

    Raises:
        ValueError: it is less than a sample.
    """
    window = float(getattr(net, "seconds", WINDOW)) if window is None else window
    if round(window * net.sample_rate) < 1:
        raise ValueError(f"window={window}: expected seconds, at least one sample long")
    return window


def _windows(blocks: Iterable[Array], size: int) -> Iterator[tuple[Array, int]]:
    """Consecutive windows [<= size] and the samples that each alone covers."""
    waiting, before = np.zeros(0, np.float32), np.zeros(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        whole = len(waiting) // size * size
        for start in range(0, whole, size):
            yield waiting[start : start + size], size
        if whole:
            before = waiting[whole - size : whole]
        waiting = waiting[whole:]
    if len(waiting):
        alone = len(waiting)
        yield np.concatenate([before, waiting])[-size:], alone


def _batches(windows: Iterator[Window]) -> Iterator[list[Window]]:
    for first in windows:
        batch = [first]
        for item in windows:
            batch.append(item)
            if len(batch) == BATCH:
                break
        yield batch


def sum_up(
    net: Any, blocks: Iterable[Array], window: float, silence_db: float, threads: int = 1
) -> Classification:
    """Classify one recording, which comes in blocks [T] at the model's rate.

    Args:
        net: what `resolve` gives.
        blocks: of any lengths.
        window: [s]
        silence_db: see `classify`.
        threads: that hear windows at the same time.
    """
    rate = int(net.sample_rate)
    labels: tuple[str, ...] = tuple(net.labels)
    size = round(window * rate)
    samples = 0
    # By level in whole dB, since the loudest window comes when it comes: time and what was heard.
    heard: dict[int, NDArray[np.float64]] = {}

    def loud() -> Iterator[Window]:
        nonlocal samples
        for x, alone in _windows(blocks, size):
            need_full_scale(x, samples / rate)
            samples += alone
            level = level_db(x)
            if level >= silence_db:
                yield x, alone, math.floor(level)

    def work(batch: list[Window]) -> tuple[list[Window], NDArray[np.float64]]:
        return batch, probabilities(net, [x for x, *_ in batch])

    batches = _batches(loud())
    answers = (
        (work(batch) for batch in batches)
        if threads == 1
        else parallel.in_order(
            batches, lambda b, _: work(b), threads, threads + 1, parallel.one_thread
        )
    )
    for batch, said in answers:
        for chances, (_, alone, level) in zip(said, batch, strict=True):
            heard[level] = heard.get(level, 0.0) + alone * np.append(chances, 1.0)
    total = sum(
        (row for level, row in heard.items() if level >= max(heard) - PAUSE_DB),
        np.zeros(len(labels) + 1),
    )
    seconds, quiet = samples / rate, 1 - float(total[-1]) / max(samples, 1)
    if not heard:
        return Classification(label="silence", silence=quiet, seconds=seconds)
    several = getattr(net, "several", False)  # probabilities by themselves add up to anything
    chances = total[:-1] / (total[-1] if several else total[:-1].sum())
    best = {labels[i]: float(chances[i]) for i in np.argsort(-chances, kind="stable")}
    label = next(iter(best))
    return Classification(
        label=label,
        probability=best[label],
        probabilities=best,
        silence=quiet,
        seconds=seconds,
    )


def level_db(x: Array) -> float:
    """RMS level of [T], dB of full scale; -inf for digital silence."""
    power = float(np.mean(np.square(x, dtype=np.float64)))
    return 10 * math.log10(power) if power > 0 else -math.inf


def probabilities(net: Any, windows: list[Array]) -> NDArray[np.float64]:
    """Windows [<= T] of any lengths -> probabilities [windows, K] in float64."""
    import torch

    parameter = next(net.parameters())
    lengths = torch.tensor([len(x) for x in windows])
    batch = torch.zeros(len(windows), int(lengths.max()))
    for row, x in zip(batch, windows, strict=True):
        row[: len(x)] = torch.from_numpy(np.ascontiguousarray(x))
    with torch.inference_mode():
        equal = bool((lengths == lengths[0]).all())
        logits: Tensor = net.clip(
            batch.to(parameter), None if equal else lengths.to(parameter.device)
        )
        logits = logits.double()
        several = getattr(net, "several", False)
        return (logits.sigmoid() if several else logits.softmax(dim=-1)).cpu().numpy()


__all__ = [
    "Classification",
    "classify",
    "classify_files",
    "level_db",
    "probabilities",
    "resolve",
    "window_of",
]
