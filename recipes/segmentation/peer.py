"""Judge other programs beside `sepaudio segment`: the same references, the same frames.

    python recipes/segmentation/peer.py compare --sets FOLDER ... --theirs NAME=FOLDER ...
    python recipes/segmentation/peer.py time --set FOLDER "NAME=COMMAND {audio} {out}" ...

A set is a folder of recordings with labels.csv, as make_set.py and mixture_set.py make them, or
with a timeline beside each that has its stem. What a program made of the set X lies in NAME's
folder as X/STEM.csv, in any format that `sepaudio` reads or in inaSpeechSegmenter's CSV (tabs;
label, start, stop). Of `segment --overlap` all is speech that has some. `time` gives each command
ten minutes of a set as one file, one after the other, and an empty folder; what it takes is that of
all its processes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evaluate import JUDGED, edges

from sepaudio import io, metrics
from sepaudio.cli import script
from sepaudio.data import timeline
from sepaudio.data.timeline import Segment, Timeline
from sepaudio.files import atomic_json
from sepaudio.verbs import segment as verb
from sepaudio.verbs import smooth
from sepaudio.verbs.classify import DEFAULT
from sepaudio.verbs.evaluate_timelines import count
from sepaudio.verbs.results import fill

HERE = Path(__file__).parent
OURS = "sepaudio segment"
WAYS = {"": DEFAULT, " --overlap": verb.OVERLAPPING}
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


def heard(net: Any, paths: Iterable[Path]) -> list[Timeline]:
    """The timelines of recordings by `segment`."""
    found = list(verb.segment_files(paths, model=net, device="cpu"))
    if wrong := [one for one in found if one.error]:
        raise ValueError(f"{wrong[0].file}: {wrong[0].error}")
    return [flat(one) for one in found] if net.several else found


def compare(options: argparse.Namespace) -> None:
    """Judge all programs on all sets; write peer.json and a block of README.md."""
    nets = {name: verb.resolve(name, "cpu") for name in (DEFAULT, verb.OVERLAPPING)}
    roots = {name: Path(folder) for name, folder in map(named, options.theirs)}
    results: dict[str, Any] = {}
    for folder in options.sets:
        sounds = references(folder)
        there = list(sounds.values())
        sides = {OURS + how: heard(nets[name], sounds) for how, name in WAYS.items()}
        sides |= {
            name: [beside(root / folder.name, path.stem) for path in sounds]
            for name, root in roots.items()
            if (root / folder.name).is_dir()
        }
        results[folder.name] = {
            "files": len(there),
            "minutes": sum(one.seconds for one in there) / 60,
            "sides": {name: side(there, said, sides[OURS]) for name, said in sides.items()},
        }
    put(options.into, results)


def put(into: Path, found: dict[str, Any]) -> None:
    """Add what was found to peer.json, and write README.md's block anew."""
    path = into / "peer.json"
    whole = json.loads(path.read_text()) if path.exists() else {}
    atomic_json(path, whole | found)
    text = "\n".join(as_markdown(key, one) for key, one in (whole | found).items())
    fill(into / "README.md", text, "peer")
    print(text)


def as_markdown(title: str, one: dict[str, Any]) -> str:
    """Tables of one set, or of times."""
    if title == "time":
        text = f"#### One file of {one['seconds'] / 60:g} minutes, {one['machine']}\n\n"
        text += "| | CPU time [s] | of the file's length | elapsed [s] | most memory [MB] |\n"
        text += "| --- | ---: | ---: | ---: | ---: |\n"
        for name, (cpu, wall, memory) in one["sides"].items():
            share = f"{100 * cpu / one['seconds']:.2f} %"
            text += f"| {name} | {cpu:.1f} | {share} | {wall:.1f} | {memory:.0f} |\n"
        return text
    text = f"#### {title}: {one['files']} files, {one['minutes']:.1f} minutes\n\n"
    text += _table("", [*SHOWN.values(), "boundary [s]", "changes"], {
        name: [*(_cell(s["figures"].get(key), key == "accuracy") for key in SHOWN),
               *("" if s[key] is None else f"{s[key]:.2f}" for key in ("boundary", "changes"))]
        for name, s in one["sides"].items()
    })  # fmt: skip
    text += "\n" + _table("speech, all frames", list(WHOLE.values()), {
        name: [_cell(s["figures"].get(key), True) for key in WHOLE]
        for name, s in one["sides"].items()
    })  # fmt: skip
    keys = [key for key in SHOWN if key != "silenced"]
    return text + "\n" + _table(f"points {OURS} has over", [SHOWN[key] for key in keys], {
        name: [_cell(s["ours_over"].get(key), True, "+") for key in keys]
        for name, s in one["sides"].items() if name != OURS
    })  # fmt: skip


def _table(head: str, titles: list[str], rows: dict[str, list[str]]) -> str:
    lines = [f"| {' | '.join([head, *titles])} |", "|" + " --- |" * (len(titles) + 1)]
    return (
        "\n".join([*lines, *(f"| {' | '.join([k, *cells])} |" for k, cells in rows.items())]) + "\n"
    )


def _cell(value: list[float] | None, interval: bool, sign: str = "") -> str:
    if value is None:
        return ""
    whole, low, high = (f"{100 * x:{sign}.1f}" for x in value)
    return f"{whole} ({low} to {high})" if interval else whole


def clock(options: argparse.Namespace) -> None:
    """Time commands on one file."""
    sounds = [io.read(path, 16000)[0] for path in references(options.set)]
    n = round(16000 * options.seconds)
    x = np.concatenate(sounds)
    x = np.tile(x, -(-n // len(x)))[:n]
    sides = {}
    with tempfile.TemporaryDirectory() as place:
        audio = Path(place) / "audio.wav"
        io.write(audio, x, 16000, "PCM_16", clip=True)
        for i, (name, command) in enumerate(map(named, options.commands)):
            out = Path(place) / f"out{i}"
            out.mkdir()
            words = [w.format(audio=audio, out=out) for w in shlex.split(command)]
            begun = time.perf_counter()
            child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise ValueError(f"{name}: exit code {child.returncode} of {shlex.join(words)}")
            spent = used.ru_utime + used.ru_stime, time.perf_counter() - begun
            sides[name] = [*spent, used.ru_maxrss / 1024]
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    put(options.into, {"time": {"seconds": options.seconds, "machine": machine, "sides": sides}})


def named(text: str) -> tuple[str, str]:
    """NAME=REST as two."""
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise ValueError(f"{text!r}: expected NAME=...")
    return name, rest


def main() -> None:
    """Compare or time."""
    parser = argparse.ArgumentParser(description=__doc__)
    ways = parser.add_subparsers(required=True)
    one = ways.add_parser("compare", help="programs on sets")
    one.add_argument("--sets", nargs="+", type=Path, required=True)
    one.add_argument("--theirs", nargs="+", default=[], metavar="NAME=FOLDER")
    one.set_defaults(work=compare)
    two = ways.add_parser("time", help="programs on one file")
    two.add_argument("--set", type=Path, required=True)
    two.add_argument("--seconds", type=float, default=600.0)
    two.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    two.set_defaults(work=clock)
    for way in (one, two):
        way.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    script(main)
