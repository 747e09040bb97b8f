"""How right labels are, whatever made them: of whole recordings, or timelines.

Labels of whole recordings are CSV files with a row for each (path and label; columns named like
classes hold probabilities). Timelines are CSV, JSONL, RTTM, TextGrid or Audacity files, or folders
of them. Recordings belong together when their names are equal without folders and suffix; where
that does not tell them apart, folders count too.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import labelled, pairs, timeline
from ..data.labelled import Clip
from ..data.timeline import Timeline
from . import evaluate_clips, evaluate_timelines
from .evaluate_timelines import TimelineCfg
from .judged import Judged

MISSING = {
    "error": "refuse to judge",
    "skip": "leave them out of all figures",
    "wrong": "count them as if nothing had been heard in them",
}
Clips = list[tuple[str, Clip]]
Timelines = list[tuple[str, Timeline]]


def evaluate_labels(
    labels: str | Path,
    predictions: str | Path,
    *,
    cfg: TimelineCfg | None = None,
    missing: str = "error",
    only: Collection[str] | None = None,
) -> Judged:
    """Judge predictions by reference labels; `judged.summarise` gives the figures.

    Args:
        labels: the reference: a file, or a folder of timelines.
        predictions: what is judged, of the same kind.
        cfg: how timelines are judged.
        missing: a key of `MISSING`: what becomes of recordings that the predictions lack, or have
            an error for. Unless it is "error", recordings that the reference lacks are ignored.
        only: names of the reference's recordings that count; None is all.

    Raises:
        ValueError: a file is missing or bad, the two are of different kinds, or recordings do not
            match; the message names them.
    """
    if missing not in MISSING:
        raise ValueError(f"missing={missing!r}: expected one of {', '.join(MISSING)}")
    kinds = {path: kind_of(path) for path in (Path(labels), Path(predictions))}
    if len(set(kinds.values())) > 1:
        raise ValueError(
            " but ".join(f"{path} holds {kind}" for path, kind in kinds.items())
            + ": expected the same of both"
        )
    columns: list[str] = []
    there: Any
    said: Any
    if kinds[Path(labels)] == "clips":
        reference, _ = labelled.read(labels)
        known = {clip.label for clip in reference}
        heard, columns = labelled.read(predictions, known)
        there = [(clip.file, clip) for clip in reference]
        said = [(clip.file, clip) for clip in heard]
    else:
        there, said = timelines(Path(labels)), timelines(Path(predictions))
    for name, one in there:
        if one.error is not None:
            raise ValueError(f"{labels}: {name} has an error: {one.error}; take it out")
    failed = {name: one.error for name, one in said if one.error is not None}
    found = pairs.pair(there, [(name, one) for name, one in said if name not in failed])
    if missing == "error":
        _refuse(labels, predictions, found.missing, found.extra, failed)
    kept = [
        name
        for name in found.reference
        if (only is None or name in only) and (missing != "skip" or name in found.other)
    ]
    if not kept:
        raise ValueError(f"{labels} and {predictions} have no recording in common: check the names")
    ours = {name: found.reference[name] for name in kept}
    theirs = {name: found.other[name] for name in kept if name in found.other}
    about = {"missing": len(found.missing), "extra": len(found.extra)}
    if kinds[Path(labels)] == "clips":
        return evaluate_clips.judge(ours, theirs, columns, about)
    return evaluate_timelines.judge(ours, theirs, cfg, about)


def kind_of(path: str | Path) -> str:
    """What a file or folder holds: "clips", labels of whole recordings, or else "timelines".

    Raises:
        ValueError: there is no such file or folder, or it is no text.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() != ".csv":
        return "timelines"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return "timelines" if "start_s" in next(csv.reader(file), []) else "clips"
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected labels or timelines") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: expected labels or timelines") from None


def timelines(path: Path) -> Timelines:
    """Names and timelines of a file, or of all in a folder and below it.

    Raises:
        ValueError: a file is bad, or a folder holds none.
    """
    if not path.is_dir():
        return _of_file(path, path.stem)
    suffixes = {s.lower() for one in timeline.FORMATS.values() for s in one.suffixes}
    files = sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in suffixes)
    if not files:
        raise ValueError(
            f"{path} holds no timeline: expected files that end with {', '.join(sorted(suffixes))}"
        )
    return [
        pair
        for file in files
        for pair in _of_file(file, file.relative_to(path).with_suffix("").as_posix())
    ]


def _of_file(path: Path, name: str) -> Timelines:
    """Timelines by name; rows of one recording may stand apart from each other."""
    single = timeline.known(timeline.format_of(path)).single
    read = timeline.read(path)
    if single:  # it is named by its file, also where it holds nothing
        return [(name, replace(read[0], file=name) if read else Timeline(file=name))]
    found: dict[str, Timeline] = {}
    for one in read:
        before = found.get(one.file, Timeline())
        segments = sorted([*before.segments, *one.segments], key=lambda s: (s.start, s.end))
        found[one.file] = replace(one, segments=tuple(segments), error=one.error or before.error)
    return list(found.items())


def _refuse(
    labels: str | Path,
    predictions: str | Path,
    missing: Any,
    extra: Any,
    failed: dict[str, str],
) -> None:
    faults = [f"{predictions}: {name} has an error: {text}" for name, text in failed.items()][:1]
    if missing:
        faults.append(f"{predictions} lacks {pairs.some(missing)}")
    if extra:
        faults.append(f"{labels} lacks {pairs.some(extra)}")
    if faults:
        raise ValueError(
            f"{'; '.join(faults)}: expected the same recordings in both; "
            "see --missing for how to judge those that match"
        )
