"""Timelines of other programs, and figures of them by how often each file counts."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import JUDGED, edges

from sepaudio import io, metrics
from sepaudio.data import timeline
from sepaudio.data.timeline import Segment, Timeline
from sepaudio.verbs import smooth
from sepaudio.verbs.evaluate_timelines import count

LABELS = ("noise", "music", "speech")
SPEECH = LABELS.index("speech")
CALLED = {"male": "speech", "female": "speech", "noEnergy": "silence"}  # by inaSpeechSegmenter
SHOWN = {
    "accuracy": "accuracy",
    "both_hear": "where neither hears silence",
    "silenced": "taken for silence",
    "speech": "speech or not",
    **{f"recall {name}": f"recall {name}" for name in LABELS},
    "segment_f1": "segment F1",
    "event_f1": "event F1",
}
WHOLE = {"whole": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
NO_NOISE = ("silenced", "speech", "recall music", "recall speech", *WHOLE)  # of who names no noise
Figures = dict[str, float]
Weigh = Callable[[np.ndarray], Figures]  # how often each file counts -> figures


def read(path: Path) -> Timeline:
    """A timeline of one recording, whoever made it."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        head = file.readline().split()
    if head != ["labels", "start", "stop"]:
        found = timeline.read(path)
        if len(found) != 1:
            raise ValueError(f"{path} holds {len(found)} recordings: expected one")
        return found[0]
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    try:
        spans = [(float(r["start"]), float(r["stop"]), r["labels"]) for r in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; expected a label, a start and a stop [s]") from None
    parts = [
        Segment(start=start, end=stop, label=CALLED.get(label, label))
        for start, stop, label in spans
        if stop > start
    ]
    return Timeline(segments=tuple(parts))


def beside(folder: Path, stem: str) -> Timeline:
    """What a folder holds of a recording."""
    for one in timeline.FORMATS.values():
        for suffix in one.suffixes:
            if (path := folder / f"{stem}{suffix}").exists():
                return read(path)
    raise ValueError(f"{folder} holds no timeline of {stem}: expected {stem}.csv")


def references(folder: Path) -> dict[Path, Timeline]:
    """The recordings of a set and what is there."""
    if (folder / "labels.csv").exists():
        found = {folder / one.file: one for one in timeline.read(folder / "labels.csv")}
    else:
        found = {path: beside(folder, path.stem) for path in io.find([folder])}
    for path, one in found.items():
        if strange := {s.label for s in one.segments} - {*LABELS, "silence"}:
            raise ValueError(f"{path}: labelled {', '.join(sorted(strange))}: expected {LABELS}")
    return found


def classes(one: Timeline, times: np.ndarray) -> np.ndarray:
    """The class at each time [s], silence the last; speech where classes overlap."""
    found = np.full(len(times), len(LABELS))
    for number, label in enumerate(LABELS):
        spans = [(s.start, s.end) for s in one.segments if s.label == label]
        found[metrics.active(spans, times)] = number
    return found


def flat(one: Timeline) -> Timeline:
    """Stretches that may overlap -> one class at a time, speech where there is any."""
    frame = JUDGED.frame
    found = classes(one, (np.arange(round(one.seconds / frame)) + 0.5) * frame)
    parts = [
        Segment(start=a * frame, end=b * frame, label=[*LABELS, "silence"][k])
        for a, b, k in smooth.runs(found)
    ]
    return Timeline(file=one.file, segments=tuple(parts))


def judged(
    there: Sequence[Timeline], said: Sequence[Timeline], other: Sequence[Timeline]
) -> tuple[Weigh, dict[str, float | None]]:
    """Figures of timelines by how often each file counts, and what changes there are.

    Frames that are silent in the reference count in `WHOLE` alone. `both_hear` leaves out those
    that either side takes for silence.
    """
    counts = [count(a, b, LABELS, JUDGED) for a, b in zip(there, said, strict=True)]
    table = np.array([one.confusion for one in counts])
    table[:, -1] = 0
    segments, events = (np.array([getattr(c, k) for c in counts]) for k in ("segments", "events"))
    whole = np.array([[one.frames[0], *one.classes[SPEECH]] for one in counts])
    heard = []
    for lines in zip(there, said, other, strict=True):
        n = round(max(one.seconds for one in lines) / JUDGED.frame)
        a, b, c = (classes(one, (np.arange(n) + 0.5) * JUDGED.frame) for one in lines)
        use = (a < len(LABELS)) & (b < len(LABELS)) & (c < len(LABELS))
        heard.append(metrics.confusion(a[use], b[use], len(LABELS)))
    both = np.array(heard, dtype=np.float64)

    def figures(weights: np.ndarray) -> Figures:
        total, audible, second, event, (frames, hit, real, told) = (
            np.tensordot(weights, x, 1) for x in (table, both, segments, events, whole)
        )
        rest = np.delete(np.delete(total, SPEECH, 0), SPEECH, 1).sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "accuracy": metrics.accuracy(total),
                "both_hear": metrics.accuracy(audible),
                "silenced": float(total[:, -1].sum() / total.sum()),
                "speech": float((total[SPEECH, SPEECH] + rest) / total.sum()),
                **{
                    f"recall {name}": float(total[i, i] / total[i].sum())
                    for i, name in enumerate(LABELS)
                },
                "segment_f1": float(metrics.f1_of(second.sum(axis=0))),
                "event_f1": float(metrics.f1_of(event.sum(axis=0))),
                "whole": float(1 - (real + told - 2 * hit) / frames),
                "precision": float(hit / told),
                "recall": float(hit / real),
                "f1": float(2 * hit / (real + told)),
            }

    pairs = [(edges(a), edges(b)) for a, b in zip(there, said, strict=True)]
    far = [float(np.abs(b - t).min()) for a, b in pairs for t in a if len(b)]
    n = sum(len(a) for a, _ in pairs)
    changes = {
        "boundary": float(np.median(far)) if far else None,
        "changes": sum(len(b) for _, b in pairs) / n if n else None,
    }
    return figures, changes


def side(
    there: Sequence[Timeline], said: Sequence[Timeline], ours: Sequence[Timeline]
) -> dict[str, Any]:
    """Figures of one program with 95 % intervals, and what ours has over it on the same draws."""
    figures, changes = judged(there, said, ours)
    mine, _ = judged(there, ours, said)
    knows = any(s.label == "noise" for one in said for s in one.segments)
    needed = any(s.label == "noise" for one in there for s in one.segments)
    names = [*SHOWN, *WHOLE] if knows or not needed else list(NO_NOISE)
    ones = np.ones(len(there))
    theirs, own = figures(ones), mine(ones)
    again = metrics.redrawn(
        len(there),
        lambda w: [[f[name] for name in names] for f in (figures(w), mine(w))],
    )
    found: dict[str, Any] = {"figures": {}, "ours_over": {}}
    for i, name in enumerate(names):
        values, gains = again[:, 0, i], again[:, 1, i] - again[:, 0, i]
        found["figures"][name] = _plain(theirs[name], metrics.spread(values))
        found["ours_over"][name] = _plain(own[name] - theirs[name], metrics.spread(gains))
    return found | (changes if knows or not needed else dict.fromkeys(changes))


def _plain(value: float, interval: tuple[float, float]) -> list[float] | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else [value, *interval]
