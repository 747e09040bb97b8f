"""Time Conv-TasNet against torchaudio's and asteroid's, side by side, and write separators.md.

    python recipes/benchmark/separators.py [--rounds 7] [--threads 1]

The same network with the same weights: theirs are converted. Two seconds at 8 kHz, one signal,
float32, on the CPU: forward, and forward and backward. The candidates take turns, and each round
begins with another one; a ratio is the median of the ratios within a round.
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

import torch
from torch import Tensor, nn

from sepaudio import Streamer, create, doors
from sepaudio.cli import script
from sepaudio.convert import from_asteroid, from_torchaudio
from sepaudio.files import atomic_text

RATE, SECONDS = 8000, 2.0
Run = Callable[[], Any]


def pairs() -> dict[str, tuple[nn.Module, nn.Module]]:
    """By library: their network and ours with its weights, both taking [B, T]."""
    theirs = doors.torchaudio().models.conv_tasnet_base(2).eval()
    found = {
        "torchaudio": (
            _Mono(theirs),
            from_torchaudio(theirs.state_dict(), sample_rate=RATE, mask="relu").eval(),
        )
    }
    doors.asteroid()
    from asteroid.models import ConvTasNet

    other = ConvTasNet(n_src=2, sample_rate=RATE).eval()
    found["asteroid"] = (other, from_asteroid(other.serialize()).eval())
    return found


class _Mono(nn.Module):
    """A network of [B, 1, T] called with [B, T]."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x[:, None])


def forward(net: nn.Module, x: Tensor) -> Run:
    """Inference."""

    def run() -> Tensor:
        with torch.inference_mode():
            return net(x)

    return run


def step(net: nn.Module, x: Tensor) -> Run:
    """Forward and backward."""

    def run() -> None:
        net(x).square().mean().backward()
        net.zero_grad()

    return run


def timed(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of every candidate, in turns."""
    times: dict[str, list[float]] = {key: [] for key in runs}
    keys = list(runs)
    for run in runs.values():
        run()
    for turn in range(rounds):
        for i in range(len(keys)):
            key = keys[(turn + i) % len(keys)]
            began = time.perf_counter()
            runs[key]()
            times[key].append(time.perf_counter() - began)
    return times


def streamed(rounds: int) -> str:
    """A row for a causal network fed 10 ms at a time."""
    net = create("mitas_causal").eval()
    stream, chunk, taken = Streamer(net), torch.zeros(1, RATE // 100), []
    for _ in range(100):
        began = time.perf_counter()
        stream.feed(chunk)
        taken.append(time.perf_counter() - began)
    middle = statistics.median(taken[-10 * rounds :])
    return (
        "\n`mitas_causal`, fed 10 ms at a time: "
        f"{1e3 * middle:.1f} ms a chunk (median), {0.01 / middle:.2f} times real time.\n"
    )


def main() -> None:
    """Time all candidates and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, lines = 0.1 * torch.randn(1, round(RATE * SECONDS)), []
    for library, (theirs, ours) in pairs().items():
        with torch.inference_mode():
            a, b = theirs(x), ours(x)
            off = ((a - b).abs().max() / b.std()).item()
        for what, of in (("forward", forward), ("forward and backward", step)):
            times = timed({"theirs": of(theirs, x), "ours": of(ours, x)}, options.rounds)
            ratio = statistics.median(
                p / q for p, q in zip(times["theirs"], times["ours"], strict=True)
            )
            spans = [
                f"{1e3 * statistics.median(t):.0f} ({1e3 * min(t):.0f} to {1e3 * max(t):.0f})"
                for t in (times["theirs"], times["ours"])
            ]
            lines.append(
                f"| {library} | {what} | {' | '.join(spans)} | {ratio:.2f} | {off:.0e} |\n"
            )
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "torchaudio", "asteroid"))
    text = (
        "# Separators\n\nMade by `python recipes/benchmark/separators.py "
        f"--rounds {options.rounds} --threads {options.threads}`: {SECONDS:g} s at {RATE} Hz, "
        f"float32, the same weights. {platform.machine()}, {os.cpu_count()} cores, "
        f"{options.threads} thread; Python {platform.python_version()}, {versions}.\n\n"
        "| Conv-TasNet of | what | theirs, ms, median (least to most) | ours | ours is faster by | "
        "largest difference / deviation |\n| --- | --- | --- | --- | --- | --- |\n"
        + "".join(lines)
        + streamed(options.rounds)
    )
    atomic_text(Path(__file__).parent / "separators.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
