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
import json
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from peer_figures import SHOWN, WHOLE, beside, flat, references, side

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data.timeline import Timeline
from sepaudio.files import atomic_json
from sepaudio.verbs import segment as verb
from sepaudio.verbs.classify import DEFAULT
from sepaudio.verbs.results import fill

HERE = Path(__file__).parent
OURS = "sepaudio segment"
WAYS = {"": DEFAULT, " --overlap": verb.OVERLAPPING}
# CPU time, time [s] and most memory [MB] of a command: a process of its own, which is small, as
# Linux counts the memory of who starts one for that of the one that is started
METER = """
import resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
spent = time.perf_counter() - begun
print(used.ru_utime + used.ru_stime, spent, used.ru_maxrss / 1024)
sys.exit(code)
"""


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
            done = subprocess.run(
                [sys.executable, "-c", METER, *words],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ValueError(f"{name}: exit code {done.returncode} of {shlex.join(words)}")
            sides[name] = [float(word) for word in done.stdout.split()]
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
