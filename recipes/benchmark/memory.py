"""Measure how much memory the command line needs for long files, and write memory.md.

    python recipes/benchmark/memory.py [--minutes 1 20 180]

Each verb runs in a process of its own on a stereo FLAC file at 44.1 kHz, made of the samples that
ship; what counts is the most that the process had resident, with the interpreter and torch. A file
of 180 minutes needs 1 GB of disk while it is made.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile as sf

from sepaudio import io
from sepaudio.cli import script
from sepaudio.files import atomic_text
from sepaudio.parallel import cores

HERE = Path(__file__).parent
SAMPLES = HERE.parent.parent / "samples"
RATE = 44100  # [Hz]
VERBS = ("classify", "segment")
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(used * (1 if sys.platform == "darwin" else 1024))
"""


def make(path: Path, minutes: float) -> None:
    """The samples over and over, block by block, so that this needs little memory itself."""
    sounds = [io.read(sample, RATE)[0] for sample in sorted(SAMPLES.glob("*.flac"))]
    x = np.concatenate(sounds)
    block = np.stack([x, 0.7 * x], axis=1)
    left = round(60 * minutes * RATE)
    with sf.SoundFile(path, "w", RATE, 2, "PCM_16", format="FLAC") as file:
        while left > 0:
            file.write(block[:left])
            left -= len(block)


def measured(verb: str, path: Path) -> int:
    """The most memory of a verb on a file [bytes]."""
    command = [sys.executable, "-m", "sepaudio", verb, str(path)]
    out = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], check=True, capture_output=True, text=True
    )
    return int(out.stdout)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 20, 180])
    parser.add_argument("--out", type=Path, default=HERE / "memory.md")
    options = parser.parse_args()
    rows = []
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.flac"
            make(path, minutes)
            for verb in VERBS:
                rows.append(f"| {verb} | {minutes:g} | {measured(verb, path) / 1e6:.0f} |")
                print(rows[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "soundfile"))
    about = f"{platform.machine()}, {cores()} cores; Python {platform.python_version()}, {versions}"
    atomic_text(
        options.out,
        "# Memory of long files\n\n"
        f"Made by `python recipes/benchmark/memory.py`, {RATE} Hz, stereo, FLAC, CPU. {about}.\n\n"
        "The most memory that the process had resident, with the interpreter and torch. What "
        "`segment` keeps is every frame's probabilities, which it decides on at the end.\n\n"
        "| verb | file [min] | memory [MB] |\n| --- | ---: | ---: |\n" + "\n".join(rows) + "\n",
    )


if __name__ == "__main__":
    script(main)
