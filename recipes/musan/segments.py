"""Frames of the segmentation set named by networks that hear a clip around each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sepaudio import io, metrics
from sepaudio.data import timeline
from sepaudio.verbs import smooth

BATCH = 512  # windows named at once
MEDIAN = 201  # frames; the paper's 200, but symmetric
PRICES = (25.0, 50.0, 100.0, 200.0, 400.0)  # of a change, for Viterbi [nats]


@dataclass(frozen=True)
class File:
    """A file of the set: what a network says of its frames, and what they are.

    Attributes:
        chances: [L, K].
        labels: [L] class numbers, -1 where it is silent.
    """

    chances: NDArray[np.float32]
    labels: NDArray[np.int64]


def features_of(net: Any, path: Path, gain_db: float) -> torch.Tensor:
    """Features [F, L] of a file, brought to the level that networks were trained at."""
    x = io.read(path, int(net.sample_rate))[0] * 10 ** (-gain_db / 20)
    with torch.inference_mode():
        return net.frontend(torch.from_numpy(x.astype(np.float32))[None])[0]


@torch.inference_mode()
def chances_of(net: Any, x: torch.Tensor, window: int, every: int) -> NDArray[np.float32]:
    """Features [F, L] -> probabilities of every frame [L, K].

    Networks of frames name each by itself. Others hear the window that lies around it, in which the
    edges of the file are repeated.

    Args:
        net: a classifier.
        x: features.
        window: frames.
        every: so many frames share what the middle one of them gets.
    """
    if hasattr(net, "frame_logits"):
        return net.frame_logits(x[None])[0].softmax(dim=0).T.numpy()
    if hasattr(net, "mixtures"):
        frames, _ = net.frames(x[None])
        each = torch.stack([mixture.log_likelihood(frames)[0] for mixture in net.mixtures])
        return each.softmax(dim=0).T.float().numpy()
    half, n = window // 2, x.shape[-1]
    wide = torch.cat([x[:, :1].expand(-1, half), x, x[:, -1:].expand(-1, window - half)], dim=1)
    middles = torch.arange(every // 2, n + every // 2, every).clamp(max=n - 1)
    windows = wide.unfold(1, window, 1)  # [F, L + 1, window]
    said = [
        net.clip_logits(windows[:, some].transpose(0, 1)).softmax(dim=1)
        for some in middles.split(BATCH)
    ]
    return torch.cat(said).repeat_interleave(every, 0)[:n].numpy()


def hear(net: Any, folder: Path, seconds: float, every: int) -> list[File]:
    """What a network says of every file of a set."""
    (low, high) = json.loads((folder / "set.json").read_text(encoding="utf-8"))["levels_db"]
    if low != high:
        raise SystemExit(f"{folder}: levels from {low} to {high} dB: expected --loudness paper")
    window = round(seconds * net.sample_rate / net.hop)
    found = []
    for one in timeline.read(folder / "labels.csv"):
        x = features_of(net, folder / one.file, low)
        labels = np.full(x.shape[-1], -1, np.int64)
        for segment in one.segments:
            first, last = (
                round(t * net.sample_rate / net.hop) for t in (segment.start, segment.end)
            )
            if segment.label in net.labels:
                labels[first:last] = net.labels.index(segment.label)
        found.append(File(chances_of(net, x, window, every), labels))
    return found


def tables(files: list[File], way: str, value: float) -> NDArray[np.int64]:
    """Confusion of the frames of each file [R, K, K], those that are silent left out."""
    found = []
    for file in files:
        if way == "median":
            said = smooth.median(file.chances, round(value)).argmax(axis=1)
        elif way == "viterbi":
            said = smooth.viterbi(file.chances, value)
        else:
            said = file.chances.argmax(axis=1)
        there = file.labels >= 0
        n = file.chances.shape[1]
        found.append(metrics.confusion(file.labels[there], np.asarray(said)[there], n))
    return np.stack(found)


def price_of(files: list[File]) -> float:
    """The price of a change that gets most frames of a validation set right."""
    right = [metrics.accuracy(tables(files, "viterbi", price).sum(axis=0)) for price in PRICES]
    return PRICES[int(np.argmax(right))]
