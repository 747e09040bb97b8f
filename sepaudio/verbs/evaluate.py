"""How right a classifier is on recordings with known classes, with the doubt left over.

Each recording is cut into windows that overlap by half; the last window ends where the recording
ends; a recording shorter than a window is one window. Windows of silence, by the rule of
`classify`, are left out, as in the paper (which cuts what is 40 dB below the peak).
Windows are decided one by one. Intervals come from drawing recordings, not windows, again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import io, metrics
from ..data import manifest
from ..data.labelled import Clip
from ..data.manifest import Recording
from . import evaluate_clips, evaluate_several
from .classify import BATCH, PAUSE_DB, SILENCE_DB, level_db, probabilities, resolve
from .judged import Judged

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]
Change = Callable[[Array, int, np.random.Generator], Array]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Figures of one window length; shares from 0 to 1.

    Attributes:
        seconds: of a window.
        recordings: how many.
        windows: how many.
        accuracy: share of windows that are right.
        balanced: mean recall of the classes that occur.
        interval: of `balanced`, 95 %, recordings drawn again.
        speech: share right when only speech and the rest are told apart; None without speech.
        recall: by class that occurs.
        f1: by class.
        calibration_error: of the largest probability.
        confusion: counts, a row per true class.
        by_origin: accuracy and windows by collection.
        minutes: of audio that was judged.
    """

    seconds: float
    recordings: int
    windows: int
    accuracy: float
    balanced: float
    interval: tuple[float, float]
    speech: float | None
    recall: dict[str, float]
    f1: dict[str, float]
    calibration_error: float
    confusion: list[list[int]]
    by_origin: dict[str, tuple[float, int]] = field(default_factory=dict)
    minutes: float = 0.0


@dataclass(frozen=True)
class Track:
    """The windows of one recording.

    Attributes:
        recording: whose.
        probabilities: [windows, K]
        seconds: duration.
    """

    recording: Recording
    probabilities: NDArray[np.float64]
    seconds: float = 0.0


def evaluate(
    model: str | Path | nn.Module,
    manifests: Sequence[str | Path],
    *,
    split: str = "test",
    seconds: Sequence[float] | None = None,
    refused_licenses: Sequence[str] = (),
    device: str = "auto",
    silence_db: float = SILENCE_DB,
    change: Change | None = None,
) -> list[Score]:
    """Measure a classifier on the recordings of a split.

    A class without a recording has no recall and a row of zeros in the confusion.

    Args:
        model: name of weights, model folder, or a model.
        manifests: CSV files.
        split: train, valid, test, or "all".
        seconds: lengths of the windows; None for the model's own, or 0.5, 1 and 2.
        refused_licenses: parts of licence names that are left out.
        device: see `classify`.
        silence_db: a quieter window does not count.
        change: done to each recording first, such as a codec.

    Raises:
        ValueError: the manifests have no recording of any of the model's classes, or a recording
            may be of several, which windows alone do not tell: see `judge`.
    """
    net = resolve(model, device)
    if getattr(net, "several", False):
        raise ValueError(
            f"{type(net).__name__} judges every class by itself: expected one class a recording; "
            "use `listen` and `judge`"
        )
    how: dict[str, Any] = {"refused_licenses": refused_licenses, "silence_db": silence_db}
    found = listen(net, manifests, split=split, seconds=seconds, change=change, **how)
    return [summarise(tracks, tuple(net.labels), s) for s, tracks in found.items()]


def listen(
    net: Any,
    manifests: Sequence[str | Path],
    *,
    split: str = "test",
    seconds: Sequence[float] | None = None,
    refused_licenses: Sequence[str] = (),
    silence_db: float = SILENCE_DB,
    change: Change | None = None,
) -> dict[float, list[Track]]:
    """What a model says of the windows of recordings, by their length; see `evaluate`."""
    several = bool(getattr(net, "several", False))
    rows = manifest.read_all(manifests, tuple(net.labels), several, some=True)
    if split not in ("all", *manifest.SPLITS):
        known = ", ".join((*manifest.SPLITS, "all"))
        raise ValueError(f"split={split!r}: expected one of {known}")
    rows = [r for r in manifest.allowed(rows, refused_licenses) if split in ("all", r.split)]
    if not rows:
        raise ValueError(f"split={split!r}: no recordings in {', '.join(map(str, manifests))}")
    if seconds is None:
        seconds = (net.seconds,) if hasattr(net, "seconds") else (0.5, 1.0, 2.0)
    return tracks(net, rows, seconds, silence_db=silence_db, change=change)


def judge(found: Sequence[Track], labels: Sequence[str]) -> Judged:
    """Judge recordings as a whole, by the mean probabilities of their windows.

    Args:
        found: windows of each; with several classes for a recording, as its row says.
        labels: classes, in the order of the probabilities.

    Raises:
        ValueError: there is none.
    """
    names = [str(track.recording.path) for track in found]
    chances = np.array([track.probabilities.mean(axis=0) for track in found])
    return judge_all(names, [track.recording for track in found], chances, labels)


def judge_all(
    names: Sequence[str],
    rows: Sequence[Recording],
    chances: NDArray[np.float64],
    labels: Sequence[str],
    *,
    several: bool | None = None,
    groups: Sequence[str] | None = None,
) -> Judged:
    """Judge probabilities [N, K] of recordings.

    Args:
        names: of the recordings.
        rows: of the manifest, with their classes.
        chances: [N, K]
        labels: K classes.
        several: whether classes are judged each by itself; by default where a row has several.
        groups: what is drawn again as a whole for intervals, see `Judged`.

    Raises:
        ValueError: there is none.
    """
    if several or (several is None and any(len(row.kinds) > 1 for row in rows)):
        hits = np.array([[label in row.kinds for label in labels] for row in rows])
        return evaluate_several.judge(names, labels, hits, chances, groups)
    there = {n: Clip(file=n, label=row.kind) for n, row in zip(names, rows, strict=True)}
    said = {}
    for name, row in zip(names, chances, strict=True):
        best = int(row.argmax())
        said[name] = Clip(
            file=name,
            label=labels[best],
            probability=float(row[best]),
            probabilities=dict(zip(labels, map(float, row), strict=True)),
        )
    return evaluate_clips.judge(there, said, labels, groups=groups, classes=labels)


def score_rows(
    net: Any,
    rows: Sequence[Recording],
    seconds: Sequence[float],
    *,
    silence_db: float = SILENCE_DB,
    change: Change | None = None,
) -> list[Score]:
    """The same for recordings that are at hand."""
    labels = tuple(net.labels)
    found = tracks(net, rows, seconds, silence_db=silence_db, change=change)
    return [summarise(found[s], labels, s) for s in seconds]


def tracks(
    net: Any,
    rows: Iterable[Recording],
    seconds: Sequence[float],
    *,
    silence_db: float = SILENCE_DB,
    change: Change | None = None,
) -> dict[float, list[Track]]:
    """What the model says of every window, by window length; each recording is read once.

    Recordings without a loud window are left out.
    """
    rate = int(net.sample_rate)
    found: dict[float, list[Track]] = {s: [] for s in seconds}
    for number, row in enumerate(rows):
        x = io.read(row.path, rate)[0]
        if change is not None:
            x = change(x, rate, np.random.default_rng(number))
        for s in seconds:
            windows = halves(x, round(s * rate))
            levels = [level_db(w) for w in windows]
            least = max(silence_db, max(levels) - PAUSE_DB)
            loud = [w for w, level in zip(windows, levels, strict=True) if level >= least]
            said = [probabilities(net, loud[i : i + BATCH]) for i in range(0, len(loud), BATCH)]
            if said:
                found[s].append(Track(row, np.concatenate(said), len(x) / rate))
    return found


def halves(x: Array, size: int) -> list[Array]:
    """Windows [size] overlapping by half, the last one at the end; x itself when shorter."""
    last = len(x) - size
    if last <= 0:
        return [x]
    starts = list(range(0, last + 1, max(size // 2, 1)))
    if starts[-1] != last:
        starts.append(last)
    return [x[start : start + size] for start in starts]


def summarise(found: Sequence[Track], labels: Sequence[str], seconds: float) -> Score:
    """Figures of the windows of many recordings.

    Raises:
        ValueError: there are none.
    """
    if not found:
        raise ValueError("no recording has a window that is not silent: nothing to measure")
    n = len(labels)
    truths = [labels.index(track.recording.kind) for track in found]
    tables = np.stack(
        [
            metrics.confusion(
                np.full(len(track.probabilities), truth), track.probabilities.argmax(axis=1), n
            )
            for track, truth in zip(found, truths, strict=True)
        ]
    ).astype(np.float64)
    table = tables.sum(axis=0)
    every = np.concatenate([track.probabilities for track in found])
    truth_of = np.repeat(truths, [len(track.probabilities) for track in found])
    origins: dict[str, NDArray[np.float64]] = {}
    for track, one in zip(found, tables, strict=True):
        name = f"{track.recording.kind} {track.recording.origin}"
        origins[name] = origins.get(name, np.zeros((n, n))) + one
    return Score(
        seconds=seconds,
        recordings=len(found),
        windows=int(table.sum()),
        accuracy=metrics.accuracy(table),
        balanced=metrics.balanced_accuracy(table),
        interval=metrics.bootstrap(tables, metrics.balanced_accuracy),
        speech=_speech(table, list(labels)),
        recall=_by(labels, metrics.recalls(table)),
        f1=_by(labels, metrics.f1_scores(table)),
        calibration_error=metrics.calibration_error(truth_of, every),
        confusion=table.astype(int).tolist(),
        by_origin={
            name: (metrics.accuracy(one), int(one.sum())) for name, one in sorted(origins.items())
        },
        minutes=sum(track.seconds for track in found) / 60,
    )


def _by(labels: Sequence[str], values: Any) -> dict[str, float]:
    return {k: float(v) for k, v in zip(labels, values, strict=True) if not math.isnan(v)}


def _speech(table: Any, labels: list[str]) -> float | None:
    if "speech" not in labels:
        return None
    i = labels.index("speech")
    wrong = table[i].sum() + table[:, i].sum() - 2 * table[i, i]
    return float(1 - wrong / table.sum())


def as_dict(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Scores as plain JSON values."""
    return [asdict(score) for score in scores]


def as_markdown(scores: Sequence[Score], labels: Sequence[str]) -> str:
    """A table with a row per window length; figures in percent."""
    speech = ["speech or not"] if "speech" in labels else []
    head = ["window", "accuracy", "balanced (95 %)", *speech]
    head += [f"recall {label}" for label in labels] + ["calibration error", "windows"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for s in scores:
        low, high = s.interval
        cells = [f"{s.seconds:g} s", f"{100 * s.accuracy:.1f}"]
        cells += [f"{100 * s.balanced:.1f} ({100 * low:.1f} to {100 * high:.1f})"]
        cells += ["" if s.speech is None else f"{100 * s.speech:.1f}"] * len(speech)
        cells += [f"{100 * s.recall[k]:.1f}" if k in s.recall else "" for k in labels]
        cells += [f"{100 * s.calibration_error:.1f}", str(s.windows)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
