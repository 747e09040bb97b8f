"""Time the front-ends against torchaudio and librosa, side by side, and write frontends.md.

    python recipes/benchmark/frontends.py [--rounds 11] [--threads 1]

Ten minutes at 16 kHz, float32, on the CPU. The candidates take turns, and each round begins with
another one; a ratio is the median of the ratios within a round. The deviation is the largest
difference from ours, beside the largest value.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import doors
from sepaudio.cli import script
from sepaudio.files import atomic_text
from sepaudio.frontends import MFCC, STFT, LogMel, MelCfg, mel_cfg

RATE, SECONDS = 16000, 600
LAYOUT = {"n_fft": 512, "hop_length": 160, "win_length": 400}


def candidates() -> dict[tuple[str, str], Callable[[Any], Any]]:
    """By (front-end, library): a function of the waveform [T]."""
    import librosa

    transforms = doors.torchaudio().transforms
    cfg = MelCfg(
        sample_rate=RATE, n_fft=512, hop=160, window_length=400, center=True, n_mels=40, n_mfcc=20
    )
    mel = {**LAYOUT, "n_mels": 40}
    their = {**mel, "mel_scale": "slaney", "norm": "slaney", "pad_mode": "constant"}
    window = torch.hann_window(400)
    log_mel = torch.nn.Sequential(
        transforms.MelSpectrogram(RATE, **their), transforms.AmplitudeToDB()
    )
    return {
        ("STFT", "sepaudio"): STFT(512, 160, 400),
        ("STFT", "torch"): lambda x: torch.stft(
            x, 512, 160, 400, window, center=True, pad_mode="constant", return_complex=True
        ),
        ("STFT", "librosa"): lambda x: librosa.stft(x.numpy(), **LAYOUT),
        ("log-mel", "sepaudio"): LogMel(cfg),
        ("log-mel", "torchaudio"): log_mel,
        ("log-mel", "librosa"): lambda x: librosa.power_to_db(
            librosa.feature.melspectrogram(y=x.numpy(), sr=RATE, **mel), top_db=None
        ),
        ("MFCC", "sepaudio"): MFCC(cfg),
        ("MFCC", "torchaudio"): transforms.MFCC(RATE, 20, melkwargs=their),
        ("MFCC", "librosa"): lambda x: librosa.feature.mfcc(y=x.numpy(), sr=RATE, n_mfcc=20, **mel),
        ("SwishNet's MFCC", "sepaudio"): MFCC(mel_cfg("psf", RATE)),
    }


def main() -> None:
    """Time all candidates and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, runs = 0.1 * torch.randn(RATE * SECONDS), candidates()
    lines = [
        "| front-end | library | ms, median (least to most) | times real time | ours is faster "
        "by | deviation |\n| --- | --- | --- | --- | --- | --- |\n"
    ]
    with torch.no_grad():
        results = {key: np.asarray(run(x)) for key, run in runs.items()}
        times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
        keys = list(runs)
        for turn in range(options.rounds):
            for i in range(len(keys)):
                key = keys[(turn + i) % len(keys)]
                began = time.perf_counter()
                runs[key](x)
                times[key].append(time.perf_counter() - began)
    for (kind, library), taken in times.items():
        ours = (kind, "sepaudio")
        middle, least, most = statistics.median(taken), min(taken), max(taken)
        ratio = statistics.median(a / b for a, b in zip(taken, times[ours], strict=True))
        off = np.abs(results[kind, library] - results[ours]).max()
        cells = [kind, library, f"{1e3 * middle:.0f} ({1e3 * least:.0f} to {1e3 * most:.0f})"]
        cells += [f"{SECONDS / middle:.0f}", "" if library == "sepaudio" else f"{ratio:.1f}"]
        cells += [f"{off:.0e} of {np.abs(results[ours]).max():.0f}"]
        lines.append(f"| {' | '.join(cells)} |\n")
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "torchaudio", "librosa", "numpy"))
    head = (
        "# Front-ends\n\nMade by `python recipes/benchmark/frontends.py "
        f"--rounds {options.rounds} --threads {options.threads}`: {SECONDS // 60} min at "
        f"{RATE} Hz, float32. {platform.machine()}, {os.cpu_count()} cores, "
        f"{options.threads} thread; Python {platform.python_version()}, {versions}.\n\n"
    )
    text = head + "".join(lines)
    atomic_text(Path(__file__).parent / "frontends.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
