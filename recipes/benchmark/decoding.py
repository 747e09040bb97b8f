"""Time how fast recordings are decoded for training, by one thread and as it ships: decoding.md.

    python recipes/benchmark/decoding.py [--rounds 5]

Clips at 44.1 kHz become shelves at 8 kHz, in memory: as they are, and in another manner
(`sepaudio/data/restyle.py`). Both ways take turns; that their samples are the same is checked.
Audio: the samples that ship, joined and cut at random.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np
from folders import CLIP, RATE, make

from sepaudio import parallel
from sepaudio.cli import script
from sepaudio.data.manifest import Recording
from sepaudio.data.shelf import Shelf
from sepaudio.files import atomic_text

HERE = Path(__file__).parent
TO = 8000  # [Hz]
HOW = {"as they are": 0, "in another manner": 1}


def decode(rows: list[Recording], threads: int) -> tuple[float, np.ndarray]:
    """How long it takes [s], and the samples."""
    with patch.object(parallel, "cores", return_value=threads):
        began = time.perf_counter()
        shelf = Shelf(rows, TO)
    return time.perf_counter() - began, shelf.samples


def timed(rows: list[Recording], rounds: int) -> dict[int, list[float]]:
    """Seconds by one thread and by as many as ship, in turns."""
    ways = (1, parallel.cores())
    first, second = (decode(rows, threads)[1] for threads in ways)
    if not np.array_equal(first, second):
        raise SystemExit("the ways differ")
    times: dict[int, list[float]] = {threads: [] for threads in ways}
    for turn in range(rounds):
        for threads in ways[:: 1 - 2 * (turn % 2)]:
            times[threads].append(decode(rows, threads)[0])
    return times


def main() -> None:
    """Time both ways and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=600)
    options = parser.parse_args()
    if parallel.cores() == 1:
        raise SystemExit("one core: expected more, as there is nothing to compare")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        clips, _ = make(Path(folder), options.clips, 0.1).values()
        about = {"kind": "speech", "license": "", "source": "", "split": "train"}
        for how, manner in HOW.items():
            rows = [Recording(path=path, manner=manner, **about) for path in clips]
            one, many = timed(rows, options.rounds).values()
            cells = []
            for times in (one, many):
                speeds = sorted(options.clips * CLIP / 60 / t for t in times)
                cells.append(
                    f"{statistics.median(speeds):.1f} ({speeds[0]:.1f} to {speeds[-1]:.1f})"
                )
            ratio = statistics.median(a / b for a, b in zip(one, many, strict=True))
            lines.append(f"| {how} | {cells[0]} | {cells[1]} | {ratio:.2f} |\n")
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "numpy", "soundfile", "soxr"))
    text = (
        "# Decoding for training\n\nMade by `python recipes/benchmark/decoding.py --rounds "
        f"{options.rounds}`: {options.clips} clips of {CLIP} s, WAV, {RATE} Hz to {TO} Hz. "
        f"{platform.machine()}, {parallel.cores()} cores; Python {platform.python_version()}, "
        f"{versions}.\n\nMinutes of audio per second, median (least to most); the samples are the "
        "same.\n\n| clips | one thread | as it ships | faster by |\n| --- | --- | --- | --- |\n"
        + "".join(lines)
    )
    atomic_text(HERE / "decoding.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
