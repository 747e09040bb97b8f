"""Time classify and segment on a folder of clips and on a long file, and write folders.md.

    python recipes/benchmark/folders.py [--rounds 5]

Plain: one file after the other, each decoded, heard block by block and decided by one thread.
As it ships: as many files at once as there are cores, in threads, a long file decoded while it is
heard. Processes: the same for a folder, by processes that each import and load all; without and
with the time that they need to start. All take turns, each round in another order. All give the
same results, which is checked. Audio: the samples that ship, joined and cut at random.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import io
from sepaudio.cli import script
from sepaudio.files import atomic_text
from sepaudio.parallel import cores
from sepaudio.verbs import classify, segment

HERE = Path(__file__).parent
SAMPLES = HERE.parent.parent / "samples"
RATE, CLIP = 44100, 5  # [Hz], [s]
Results = list[Any]
_net: Any = None  # of a process


def make(folder: Path, clips: int, minutes: float) -> dict[str, list[Path]]:
    """Clips of 5 s and one long stereo file, 44.1 kHz."""
    sounds = [io.read(path, RATE)[0] for path in sorted(SAMPLES.glob("*.flac"))]
    x, random = np.concatenate(sounds), np.random.default_rng(0)
    for i in range(clips):
        start = int(random.integers(len(x) - CLIP * RATE))
        io.write(folder / f"{i:04}.wav", x[start : start + CLIP * RATE], RATE, "PCM_16", clip=True)
    n = round(60 * minutes * RATE)
    long = np.tile(x, n // len(x) + 1)[:n]
    io.write(folder / "long.flac", np.stack([long, 0.7 * long]), RATE, "PCM_16", clip=True)
    return {
        f"{clips} clips of {CLIP} s, WAV": sorted(folder.glob("*.wav")),
        f"one file of {minutes:g} min, FLAC, stereo": [folder / "long.flac"],
    }


def plain(verb: Any, net: Any, paths: list[Path]) -> Results:
    """One after the other on one thread; no block is decoded before the last one is heard."""

    def blocks(path: Path, seconds: float) -> Iterator[np.ndarray]:
        return io.blocks(path, seconds, sample_rate=int(net.sample_rate))

    if verb is classify:
        size = classify.window_of(net)
        batch = classify.BATCH * size
        return [classify.sum_up(net, blocks(p, batch), size, classify.SILENCE_DB) for p in paths]
    cfg = segment.SegmentCfg()
    return [segment.decide(segment.hear(net, blocks(p, segment.BLOCK)), cfg) for p in paths]


def ships(verb: Any, net: Any, paths: list[Path]) -> Results:
    """What the command line does."""
    run = verb.classify_files if verb is classify else verb.segment_files
    return list(run(paths, model=net, device="cpu"))


def begin(model: str) -> None:
    """What a process does first."""
    global _net
    torch.set_num_threads(1)
    _net = segment.resolve(model, "cpu")


def alone(job: tuple[str, Path]) -> Any:
    """What a process makes of a file."""
    verb = classify if job[0] == classify.__name__ else segment
    return plain(verb, _net, [job[1]])[0]


def timed(verb: Any, net: Any, paths: list[Path], options: Any) -> dict[str, list[float]]:
    """Seconds of every way, in turns."""
    ways: dict[str, Callable[[], Results]] = {
        "plain": lambda: plain(verb, net, paths),
        "ships": lambda: ships(verb, net, paths),
    }
    jobs = [(verb.__name__, path) for path in paths]
    began = time.perf_counter()
    with ProcessPoolExecutor(cores(), get_context("spawn"), begin, (options.model,)) as pool:
        if len(paths) > 1:
            list(pool.map(alone, jobs, chunksize=8))
            start = time.perf_counter() - began
            ways["processes"] = lambda: list(pool.map(alone, jobs, chunksize=8))
        found = [[said(one) for one in way()] for way in ways.values()]
        if any(one != found[0] for one in found):
            raise SystemExit(f"{verb.__name__}: the ways differ")
        times: dict[str, list[float]] = {name: [] for name in ways}
        names = list(ways)
        for turn in range(options.rounds):
            for i in range(len(names)):
                name = names[(turn + i) % len(names)]
                began = time.perf_counter()
                ways[name]()
                times[name].append(time.perf_counter() - began)
    if "processes" in times:
        times["started"] = [start]
    return times


def said(result: Any) -> Any:
    """A result without the name of its file."""
    return {**vars(result), "file": ""}


def row(title: list[str], hours: float, times: dict[str, list[float]]) -> str:
    """Hours of audio per minute, and how much faster what ships is."""
    cells = list(title)
    for name in ("plain", "ships", "processes", "started"):
        speeds = sorted(hours / (t / 60) for t in times.get(name, ()))
        spread = f" ({speeds[0]:.1f} to {speeds[-1]:.1f})" if len(speeds) > 1 else ""
        cells.append(f"{statistics.median(speeds):.1f}{spread}" if speeds else "")
    ratio = statistics.median(a / b for a, b in zip(times["plain"], times["ships"], strict=True))
    return f"| {' | '.join([*cells[:4], f'{ratio:.2f}', *cells[4:]])} |\n"


def main() -> None:
    """Time both ways and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--model", default=classify.DEFAULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    net, lines = segment.resolve(options.model, "cpu"), []
    with tempfile.TemporaryDirectory() as folder:
        for what, paths in make(Path(folder), options.clips, options.minutes).items():
            hours = sum(io.info(path).duration or 0 for path in paths) / 3600
            for verb in (classify, segment):
                times = timed(verb, net, paths, options)
                lines.append(row([verb.__name__.rpartition(".")[2], what], hours, times))
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "numpy", "soundfile", "soxr"))
    text = (
        "# Folders and long files\n\nMade by `python recipes/benchmark/folders.py "
        f"--rounds {options.rounds}`: weights `{options.model}`, {RATE} Hz to "
        f"{net.sample_rate} Hz, CPU. {platform.machine()}, {cores()} cores; Python "
        f"{platform.python_version()}, {versions}.\n\n"
        "Hours of audio per minute, median (least to most). Plain: one thread, one file after the "
        "other. As it ships: files on all cores, decoding while the network hears; results are the "
        "same.\n\n"
        "| verb | audio | plain | as it ships | faster by | processes | with their start |\n"
        "|" + " --- |" * 7 + "\n" + "".join(lines)
    )
    atomic_text(HERE / "folders.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
