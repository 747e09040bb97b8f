"""Make samples/: a few seconds each of freely licensed recordings, with their sources.

    python data_prep/samples.py DATA samples

DATA is a folder with a manifest.csv whose recordings are named below; the text of SOURCES.md is
written from its licences. All but the enrollment are of the test split: no shipped model was
trained on them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.files import atomic_text


@dataclass(frozen=True)
class Sample:
    """A cut of one recording, or of two laid over each other at equal level."""

    name: str
    expected: str
    paths: tuple[str, ...]
    start: float  # [s]
    seconds: float
    about: str


SAMPLES = (
    Sample(
        "speech.flac", "speech", ("speech/ls_0078/78-368-0000.flac",), 7.0, 5.0,
        "LibriSpeech reader 78 (V. Panayotov et al., from LibriVox)",
    ),
    Sample(
        "music_cello.flac", "music", ("music/sms_cello_phrase.ogg",), 0.0, 8.0,
        "solo cello, sms-tools materials (xserra and others, freesound.org)",
    ),
    Sample(
        "singing.flac", "music", ("music/sms_singing_female.ogg",), 0.0, 6.0,
        "a woman singing alone, sms-tools materials (xserra and others, freesound.org)",
    ),
    Sample(
        "music_trumpet.flac", "music", ("music/librosa_sorohanro_solo_trumpet_06.ogg",), 0.0, 5.0,
        "solo trumpet by Mihai Sorohan, from librosa's example recordings",
    ),
    Sample(
        "crying_baby.flac", "noise", ("esc10/audio/5-151085-A-20.ogg",), 0.0, 5.0,
        "ESC-10 clip 5-151085-A (K. J. Piczak)",
    ),
    Sample(
        "helicopter.flac", "noise", ("esc10/audio/5-177957-A-40.ogg",), 0.0, 4.0,
        "ESC-10 clip 5-177957-A (K. J. Piczak)",
    ),
    Sample(
        "dishes.flac", "noise", ("noise/speechcommands_doing_the_dishes.flac",), 10.0, 4.0,
        "doing the dishes, background noise of Google's Speech Commands",
    ),
    Sample(
        "mixture.flac", "speech",
        ("speech/ls_2910/2910-131096-0000.flac", "speech/ls_0405/405-130894-0000.flac"), 8.0, 6.0,
        "two LibriSpeech readers at once, 2910 and 405",
    ),
    Sample(
        "mixture_enrollment.flac", "speech", ("speech/ls_2910/2910-131096-0000.flac",), 1.0, 5.0,
        "LibriSpeech reader 2910 alone: the enrollment for mixture.flac",
    ),
)  # fmt: skip


def cut(path: Path, start: float, seconds: float, rate: int | None) -> tuple[np.ndarray, int]:
    """A stretch of a recording with fades of 10 ms, and its rate."""
    x, rate = io.read(path, rate)
    y = x[round(start * rate) : round((start + seconds) * rate)].copy()
    n = rate // 100
    fade = np.linspace(0, 1, n, dtype=np.float32)
    y[:n] *= fade
    y[-n:] *= fade[::-1]
    return y, rate


def main() -> None:
    """Write the samples, SOURCES.md and expected.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("out", type=Path, help="folder to write to")
    options = parser.parse_args()
    rows = {
        str(r.path.relative_to(options.data)): r
        for r in manifest.read(options.data / "manifest.csv")
    }
    text = [
        "# Sources of the samples\n\nMade by `data_prep/samples.py`: cut, faded over 10 ms, mono "
        "FLAC; in the mixture both voices have the same level. `expected.csv` is what a listener "
        "hears.\n\n| file | what | source | licence |\n| --- | --- | --- | --- |\n"
    ]
    expected = ["file,label\n"]
    for sample in SAMPLES:
        parts = [cut(options.data / p, sample.start, sample.seconds, None) for p in sample.paths]
        rate = parts[0][1]
        level = np.sqrt(np.mean(parts[0][0] ** 2))
        x = sum(y * (level / np.sqrt(np.mean(y**2))) for y, _ in parts)
        x = x * min(1.0, 0.9 / np.abs(x).max())
        io.write(options.out / sample.name, x.astype(np.float32), rate, "PCM_16")
        here = [rows[p] for p in sample.paths]
        source = "; ".join(f"`{row.source}`" for row in here)
        licence = ", ".join(sorted({row.license for row in here}))
        text.append(f"| {sample.name} | {sample.about} | {source} | {licence} |\n")
        expected.append(f"{sample.name},{sample.expected}\n")
    atomic_text(options.out / "SOURCES.md", "".join(text))
    atomic_text(options.out / "expected.csv", "".join(expected))


if __name__ == "__main__":
    script(main)
