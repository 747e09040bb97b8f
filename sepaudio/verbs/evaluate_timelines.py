"""How right timelines are, whatever made them: frame by frame, second by second, event by event.

A time that no segment holds is silence, as is one labelled so; segments may overlap. Figures:

- accuracy: share of frames in which exactly the classes that are there were named;
  accuracy_in_sound leaves out frames that are silent in the reference
- balanced_recall: mean recall of frames over the classes that occur, silence among them
- segment_f1, segment_macro_f1: of whether a class occurs in each second, over all classes together
  and as their mean
- event_f1, event_macro_f1: of events whose start lies within the collar, and whose end does, or
  within half of the event's length

Segments and events are those of sed_eval, see `metrics/events.py`; silence is none of their
classes. A frame is judged by its middle; the last one by the middle of what there is of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..data.timeline import Timeline
from .judged import Floats, Judged

SILENCE = "silence"


@dataclass(frozen=True, kw_only=True)
class TimelineCfg:
    """How timelines are judged; times in seconds.

    Attributes:
        frame: length of a frame.
        segment: length of a segment.
        collar: how far the starts and ends of an event may be off.
        share: of an event's length that its end may be off, where it is more than the collar.
    """

    frame: float = 0.01
    segment: float = 1.0
    collar: float = 0.2
    share: float = 0.5

    def __post_init__(self) -> None:
        if not (self.frame >= 1e-4 and self.segment >= 1e-4):
            raise ValueError(
                f"frame={self.frame}, segment={self.segment}: expected 0.0001 s or more"
            )
        if not (self.collar >= 0 and self.share >= 0):
            raise ValueError(f"collar={self.collar}, share={self.share}: expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was counted, of one file or, with an axis before, of many; silence is the last class.

    Attributes:
        frames: [4] in all, right, with sound in the reference, and right among these.
        classes: [K + 1, 3] frames of each class in both, in the reference, in the estimate.
        confusion: [K + 1, K + 1] frames where both have one class.
        segments: [K, 3] as `classes`.
        events: [K, 3] found, in the reference, in the estimate.
    """

    frames: Floats
    classes: Floats
    confusion: Floats
    segments: Floats
    events: Floats


def count(
    reference: Timeline, estimate: Timeline, labels: Sequence[str], cfg: TimelineCfg
) -> Counts:
    """Count one file; `labels` are the classes without silence."""
    there, said = (_spans(one, labels) for one in (reference, estimate))
    seconds = max(reference.seconds, estimate.seconds)
    starts = np.arange(np.ceil(seconds / cfg.frame - 1e-6)) * cfg.frame
    times = (starts + np.minimum(starts + cfg.frame, seconds)) / 2
    a, b = (_rows(spans, times) for spans in (there, said))
    right, sound = (a == b).all(axis=0), ~a[-1]
    one = (a.sum(axis=0) == 1) & (b.sum(axis=0) == 1)
    table = metrics.confusion(a[:, one].argmax(axis=0), b[:, one].argmax(axis=0), len(a))
    return Counts(
        frames=np.array(
            [len(times), right.sum(), sound.sum(), (right & sound).sum()], dtype=np.float64
        ),
        classes=np.stack([(a & b).sum(1), a.sum(1), b.sum(1)], axis=1).astype(np.float64),
        confusion=table.astype(np.float64),
        segments=metrics.segment_counts(there, said, cfg.segment),
        events=metrics.event_counts(there, said, cfg.collar, cfg.share),
    )


def judge(
    reference: Mapping[str, Timeline],
    predictions: Mapping[str, Timeline],
    cfg: TimelineCfg | None = None,
    about: Mapping[str, Any] | None = None,
) -> Judged:
    """Judge timelines by those of the same recordings in the reference.

    Args:
        reference: by name.
        predictions: by name; one that is missing counts as if nothing had been heard.
        cfg: how.
        about: plain values for the summary.

    Raises:
        ValueError: there is no recording, or none of the references has a segment.
    """
    cfg = cfg or TimelineCfg()
    files = list(reference)
    said = [predictions.get(file, Timeline()) for file in files]
    every = [*reference.values(), *said]
    labels = sorted({s.label for one in every for s in one.segments} - {SILENCE})
    if not any(one.segments for one in reference.values()):
        raise ValueError("no reference has a segment: expected one at least to judge by")
    each = [count(reference[f], one, labels, cfg) for f, one in zip(files, said, strict=True)]
    parts = {f.name: np.stack([getattr(one, f.name) for one in each]) for f in fields(Counts)}

    def added(weights: Floats) -> Counts:
        return Counts(**{name: np.tensordot(weights, part, 1) for name, part in parts.items()})

    whole = added(np.ones(len(files)))
    frames, single = whole.frames[0], whole.confusion.sum()
    return Judged(
        kind="timelines",
        files=files,
        labels=[*labels, SILENCE],
        figures=lambda weights: _figures(added(weights)),
        classes=_classes(whole, labels, cfg),
        confusion=whole.confusion * cfg.frame,
        unit="s",
        rows=[
            {"file": file, "seconds": one.frames[0] * cfg.frame, **_figures(one)}
            for file, one in zip(files, each, strict=True)
        ],
        about={
            **(about or {}),
            "minutes": frames * cfg.frame / 60,
            "settings": asdict(cfg),
            "overlap": float(1 - single / frames),
        },
    )


def _figures(of: Counts) -> dict[str, float]:
    total, right, sound, right_in_sound = of.frames
    return {
        "accuracy": _share(right, total),
        "accuracy_in_sound": _share(right_in_sound, sound),
        "balanced_recall": _mean(_recalls(of.classes)),
        "segment_f1": float(metrics.f1_of(of.segments.sum(axis=0))),
        "segment_macro_f1": _mean(metrics.f1_of(of.segments)),
        "event_f1": float(metrics.f1_of(of.events.sum(axis=0))),
        "event_macro_f1": _mean(metrics.f1_of(of.events)),
    }


def _classes(of: Counts, labels: Sequence[str], cfg: TimelineCfg) -> dict[str, dict[str, float]]:
    found = {}
    for i, label in enumerate([*labels, SILENCE]):
        both, there, said = of.classes[i]
        row = {
            "minutes": float(there * cfg.frame / 60),
            "precision": _share(both, said),
            "recall": _share(both, there),
            "f1": float(metrics.f1_of(of.classes[i])),
        }
        if label != SILENCE:
            row |= {
                "segment_f1": float(metrics.f1_of(of.segments[i])),
                "events": int(of.events[i, 1]),
                "event_f1": float(metrics.f1_of(of.events[i])),
            }
        found[label] = row
    return found


def _spans(one: Timeline, labels: Sequence[str]) -> list[list[tuple[float, float]]]:
    """Of every class but silence."""
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for s in one.segments:
        if s.label in found:
            found[s.label].append((s.start, s.end))
    return list(found.values())


def _rows(spans: Sequence[Any], times: Floats) -> NDArray[np.bool_]:
    """[K + 1, L] whether each class is active, and whether none is."""
    rows = [metrics.active(x, times) for x in spans]
    heard = np.array(rows, dtype=np.bool_).reshape(len(spans), len(times))
    return np.concatenate([heard, ~heard.any(axis=0, keepdims=True)])


def _recalls(classes: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(classes[:, 0] / classes[:, 1])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _mean(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
