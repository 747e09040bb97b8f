"""Say what is heard when: a timeline of stretches, each of one class or silence.

A causal model hears the recording as a stream and gives the probabilities of its classes every
10 ms. What it says refers to the two seconds before, so its answers are moved back by `offset`:
0.8 s was best for both sets of weights that ship. The last 0.8 s get the last answer. They say
speech as long as there is some in those two seconds, so that speech would begin too soon and end
too late: both ends are drawn in by `speech_reach`, but not across a silence.

Silence is decided by level (RMS over 0.1 s): below -70 dB of full scale, or 40 dB below the loudest
two seconds, for at least `min_silence`. For this the levels of all frames are kept, as are their
probabilities: one pass over the audio is enough, and an hour takes some tens of megabytes.

Elsewhere noise is favoured by as much as the weights ask for, as sounds that they have never heard
are taken for music more often than music is for noise. The labels are the most probable sequence
when a change has a price (Viterbi), or the largest median of the probabilities around each frame,
where another class must lead by a margin (hysteresis). Stretches shorter than `min_duration` go to
the likelier neighbour.

A model that judges every class by itself, such as the weights `speech_over_music`, gives stretches
that overlap: what is neither silence nor of any class is called noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.timeline import Segment, Timeline
from . import smooth
from .classify import DEFAULT, PAUSE_DB, SILENCE_DB
from .given import Array, at_rate, each_file, need_full_scale, place
from .overlap import apart

if TYPE_CHECKING:
    from torch import nn

OVERLAPPING = "speech_over_music"  # the weights used where stretches may overlap
BLOCK = 20.0  # [s] read and heard at once
LEVEL = 0.1  # [s] around a frame, for its level
LOUD = 2.0  # [s] whose level is the loudest
LENGTHS = (
    *("switch", "median", "hysteresis", "offset", "speech_reach", "min_duration", "min_silence"),
)
SMOOTHING = ("viterbi", "median", "none")


@dataclass(frozen=True, kw_only=True)
class SegmentCfg:
    """How probabilities become stretches; times in seconds.

    Attributes:
        smoothing: viterbi, median or none.
        switch: price of a change of class for viterbi, in nats times seconds: with 1, another class
            must be e times as probable for one second.
        median: length of the median filter.
        hysteresis: by how much another class must lead before it takes over, unless by viterbi.
        offset: how far the model's answers lie behind what they are about.
        speech_reach: how much sooner speech begins and later it ends in the answers, beside that.
        min_duration: shortest stretch of a class.
        min_silence: shortest silence.
        silence_db: level below which it is silent in any case [dB of full scale].
        noise_bias: added to the logarithm of the odds of a class called noise [nats]; None for what
            the weights ask for. Models that judge every class by itself have none.
    """

    smoothing: str = "viterbi"
    switch: float = 1.0
    median: float = 2.0
    hysteresis: float = 0.0
    offset: float = 0.8
    speech_reach: float = 0.3
    min_duration: float = 0.5
    min_silence: float = 0.5
    silence_db: float = SILENCE_DB
    noise_bias: float | None = None

    def __post_init__(self) -> None:
        if self.smoothing not in SMOOTHING:
            raise ValueError(f"smoothing={self.smoothing!r}: expected {', '.join(SMOOTHING)}")
        for name in LENGTHS:
            if not 0 <= (value := getattr(self, name)) < np.inf:
                raise ValueError(f"{name}={value}: expected 0 or more")
        if self.noise_bias is not None and not np.isfinite(self.noise_bias):
            raise ValueError(f"noise_bias={self.noise_bias}: expected a finite number")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a model says of every frame, before anything is decided.

    Attributes:
        probabilities: [L, K], of the time from l to l + 1 frames, before it is moved by `offset`.
        power: [L] mean square of the samples in that time.
        labels: the K classes.
        frame: length of a frame [s].
        seconds: duration; the last frame may reach beyond it.
        several: whether the probabilities are those of classes by themselves.
        noise_bias: by how much the weights ask to favour noise [nats].
    """

    probabilities: NDArray[np.float32]
    power: NDArray[np.float32]
    labels: tuple[str, ...]
    frame: float
    seconds: float
    several: bool = False
    noise_bias: float = 0.0

    def frames(self, seconds: float) -> int:
        """A time as a number of frames."""
        return round(seconds / self.frame)


def segment(
    x: Any,
    sample_rate: int,
    *,
    model: str | Path | nn.Module = DEFAULT,
    device: str = "auto",
    cfg: SegmentCfg | None = None,
) -> Timeline:
    """The timeline of an array.

    Args:
        x: [T] or [C, T], full scale is 1; channels are averaged. Anything numpy can read.
        sample_rate: of x, in Hz; x is resampled to the model's rate.
        model: name of weights, model folder, or a loaded model; it must decide every frame.
        device: "auto", "cpu", "cuda" or "mps".
        cfg: how probabilities become stretches; the default when None.

    Raises:
        ValueError: x is empty, has NaN, or has its channels last; the model cannot do it.
    """
    net = resolve(model, device)
    samples = at_rate(x, sample_rate, net.sample_rate)
    size = round(BLOCK * net.sample_rate)
    blocks = (samples[i : i + size] for i in range(0, len(samples), size))
    return decide(hear(net, blocks), cfg or SegmentCfg())


def segment_files(
    paths: Iterable[str | Path],
    *,
    model: str | Path | nn.Module = DEFAULT,
    device: str = "auto",
    cfg: SegmentCfg | None = None,
    channel: str | int = "mix",
    workers: int = 0,
) -> Iterator[Timeline]:
    """The timelines of files, one each in their order; a long file is read in blocks.

    A file that cannot be read gives a timeline whose `error` says why.

    Args:
        paths: files; "-" reads one from standard input.
        model: see `segment`.
        device: see `segment`.
        cfg: see `segment`.
        channel: "mix" averages the channels, a number picks one, from 0.
        workers: files heard at once, in threads; 0 for as many as cores.
    """
    net = resolve(model, device)
    yield from each_file(
        paths,
        lambda blocks, _: decide(hear(net, blocks), cfg or SegmentCfg()),
        Timeline,
        seconds=BLOCK,
        sample_rate=int(net.sample_rate),
        channel=channel,
        workers=workers,
    )


def resolve(model: str | Path | nn.Module, device: str = "auto") -> Any:
    """The causal classifier of frames meant by a name, a folder or a model.

    Raises:
        ValueError: it is none, or the device is not there.
    """
    net = place(model, device, "classification")
    if not (net.causal and hasattr(net, "seconds_per_frame")):
        raise ValueError(
            f"{type(net).__name__} names whole clips: expected a causal model that decides every "
            "frame, such as swishnet_slim; or use `classify`"
        )
    return net


def hear(net: Any, blocks: Iterable[Array]) -> Heard:
    """Stream blocks [T] at the model's rate through it."""
    import torch

    from ..streaming import Streamer

    like, stream, rate = next(net.parameters()), Streamer(net), int(net.sample_rate)
    logits, power, rest, samples = [], [], np.zeros(0, np.float32), 0
    for block in blocks:
        need_full_scale(block, samples / rate)
        samples += len(block)
        logits.append(stream.feed(torch.from_numpy(np.ascontiguousarray(block)).to(like)[None]))
        rest = np.concatenate([rest, block])
        whole = len(rest) // net.hop * net.hop
        power.append(_power(rest[:whole].reshape(-1, net.hop)))
        rest = rest[whole:]
    logits.append(stream.flush())
    if len(rest):
        power.append(_power(rest[None]))
    several = bool(getattr(net, "several", False))
    said = [(x[0].sigmoid() if several else x[0].softmax(dim=0)) for x in logits if x.shape[-1]]
    chances = [x.T.float().cpu().numpy() for x in said]
    return Heard(
        probabilities=np.concatenate(chances),
        power=np.concatenate(power),
        labels=tuple(net.labels),
        frame=net.seconds_per_frame,
        seconds=samples / rate,
        several=several,
        noise_bias=float(getattr(getattr(net, "cfg", None), "noise_bias", 0.0)),
    )


def decide(heard: Heard, cfg: SegmentCfg) -> Timeline:
    """Make a timeline of what was heard, without gaps.

    The segments follow each other, or overlap where classes are judged by themselves.
    """
    silent = silence(heard, cfg)
    if heard.several:
        return _overlapping(heard, cfg, silent)
    bias = heard.noise_bias if cfg.noise_bias is None else cfg.noise_bias
    chances = favoured(moved(heard, cfg), heard.labels, bias)
    labels = smoothed(np.where(silent[:, None], 1 / len(heard.labels), chances), heard, cfg)
    if "speech" in heard.labels:
        speech = heard.labels.index("speech")
        labels = smooth.drawn_in(labels, speech, heard.frames(cfg.speech_reach), silent)
    quiet = len(heard.labels)
    labels[silent] = quiet
    known = np.concatenate([chances, np.zeros((len(chances), 1), np.float32)], axis=1)
    total = np.concatenate([np.zeros((1, quiet + 1)), np.cumsum(known, axis=0, dtype=np.float64)])

    def likeness(start: int, end: int, label: int) -> float:
        return float(total[end, label] - total[start, label])

    labels = smooth.without_short(labels, heard.frames(cfg.min_duration), likeness)
    segments = []
    for start, end, label in smooth.runs(labels):
        sure = likeness(start, end, label) / (end - start)
        segments.append(
            Segment(
                start=start * heard.frame,
                end=min(end * heard.frame, heard.seconds),
                label="silence" if label == quiet else heard.labels[label],
                probability=None if label == quiet else min(sure, 1.0),
            )
        )
    return Timeline(segments=tuple(segments))


def _overlapping(heard: Heard, cfg: SegmentCfg, silent: NDArray[np.bool_]) -> Timeline:
    """The timeline of a model that judges every class by itself."""
    chances = moved(heard, cfg)

    def binary(k: int) -> NDArray[np.int64]:
        here = np.where(silent, 0.5, chances[:, k])
        found = smoothed(np.stack([1 - here, here], axis=1).astype(np.float32), heard, cfg)
        if heard.labels[k] == "speech":
            found = smooth.drawn_in(found, 1, heard.frames(cfg.speech_reach), silent)
        return found

    flags = np.stack([binary(k) for k in range(len(heard.labels))], axis=1) > 0
    runs = apart(flags, chances, silent, heard.labels, heard.frames(cfg.min_duration))
    return Timeline(
        segments=tuple(
            Segment(
                start=start * heard.frame,
                end=min(end * heard.frame, heard.seconds),
                label=label,
                probability=None if sure is None else min(max(sure, 0.0), 1.0),
            )
            for start, end, label, sure in runs
        )
    )


def moved(heard: Heard, cfg: SegmentCfg) -> NDArray[np.float32]:
    """Probabilities [L, K] beside the sound that they are about, a row for every row of power."""
    last = len(heard.probabilities) - 1
    at = np.arange(len(heard.power)) + heard.frames(cfg.offset)
    return heard.probabilities[np.minimum(at, last)]


def favoured(
    chances: NDArray[np.float32], labels: Sequence[str], bias: float
) -> NDArray[np.float32]:
    """Probabilities [L, K] where noise is exp(bias) times as likely before anything is heard."""
    if not bias or "noise" not in labels:
        return chances
    weights = np.ones(len(labels), np.float32)
    weights[labels.index("noise")] = np.exp(bias)
    found = chances * weights
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def smoothed(chances: NDArray[np.float32], heard: Heard, cfg: SegmentCfg) -> NDArray[np.int64]:
    """The class of every frame [L] by probabilities [L, K]."""
    if cfg.smoothing == "viterbi":
        return smooth.viterbi(chances, cfg.switch / heard.frame)
    if cfg.smoothing == "median":
        chances = smooth.median(chances, heard.frames(cfg.median))
    return smooth.hysteresis(chances, cfg.hysteresis)


def silence(heard: Heard, cfg: SegmentCfg) -> NDArray[np.bool_]:
    """Which frames [L] are silent."""
    level = _mean(heard.power, heard.frames(LEVEL))
    loudest = _mean(heard.power, heard.frames(LOUD)).max()
    least = max(10 ** (cfg.silence_db / 10), float(loudest) * 10 ** (-PAUSE_DB / 10))
    quiet = (level < least).astype(np.int64)
    found = quiet.copy()
    for start, end, is_quiet in smooth.runs(quiet):
        if is_quiet and end - start < min(heard.frames(cfg.min_silence), len(quiet)):
            found[start:end] = 0
    return found.astype(np.bool_)


def _power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of every row."""
    return np.asarray(np.mean(np.square(x, dtype=np.float64), axis=1), dtype=np.float32)


def _mean(x: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Mean of [L] over `size` values around each, fewer at the edges."""
    total = np.concatenate([[0.0], np.cumsum(x, dtype=np.float64)])
    here = np.arange(len(x))
    start = np.maximum(here - size // 2, 0)
    end = np.minimum(here - size // 2 + max(size, 1), len(x))
    return np.asarray((total[end] - total[start]) / (end - start))
