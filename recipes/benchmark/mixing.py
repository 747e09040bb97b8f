"""Time dynamic mixing one by one in numpy against whole batches in torch, and write mixing.md.

    python recipes/benchmark/mixing.py [MANIFEST ...] [--rounds 7] [--batch 16] [--threads 1]

Two speakers of 4 s at 8 kHz and an enrollment of 4 s, from the train split of manifests with
speech, noise and music; without manifests from noise-like voices that are generated. The
candidates take turns on the same draws, and each round has other draws and begins with another
candidate; a ratio is the median of the ratios within a round. Where there is a CUDA device, batches
are made there too.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.data.batched import Batched, to
from sepaudio.data.dataset import collate
from sepaudio.data.manifest import Recording
from sepaudio.data.mixing import Mixer, MixingCfg, load
from sepaudio.files import atomic_text

KINDS = {
    "speech alone": {},
    "speeds": {"speeds": (0.9, 1.0, 1.1)},
    "speeds, noise and music": {"speeds": (0.9, 1.0, 1.1), "noise": 0.6, "music": 0.3},
    "the same in rooms": {"speeds": (0.9, 1.0, 1.1), "noise": 0.6, "music": 0.3, "room": 1.0},
}
Make = Callable[[range], dict[str, torch.Tensor]]  # numbers of mixtures -> their batch


def generated(folder: Path) -> Path:
    """A manifest of speakers with a recording of 12 s each, noise and music: bursts of noise."""
    random, rows = np.random.default_rng(0), []
    for number in range(24):
        kind = {20: "noise", 21: "noise", 22: "music", 23: "music"}.get(number, "speech")
        x = 0.1 * random.standard_normal(12 * 8000) * np.repeat(random.random(240), 400)
        path = folder / f"{number}.wav"
        io.write(path, x.clip(-1, 1).astype(np.float32), 8000)
        speaker = str(number) if kind == "speech" else ""
        about = {"license": "CC0-1.0", "source": "generated", "split": "train"}
        rows.append(Recording(path=path, kind=kind, speaker=speaker, **about))
    manifest.write(folder / "manifest.csv", rows)
    return folder / "manifest.csv"


def candidates(mixer: Mixer) -> dict[str, Make]:
    """By name: what makes a batch, from drawing to samples that a network can take."""
    source = Batched(mixer)

    def one_by_one(numbers: range) -> dict[str, torch.Tensor]:
        return collate([mixer.item(0, 0, i) for i in numbers])

    def on(device: torch.device) -> Make:
        def make(numbers: range) -> dict[str, torch.Tensor]:
            made = source(to(source.drawn(0, 0, numbers), device))
            if device.type == "cuda":
                torch.cuda.synchronize()
            return made

        return make

    found: dict[str, Make] = {
        "numpy, one by one": one_by_one,
        "torch, CPU": on(torch.device("cpu")),
    }
    if torch.cuda.is_available():
        found[f"torch, {torch.cuda.get_device_name()}"] = on(torch.device("cuda"))
    return {**found, "drawing alone": lambda numbers: source.drawn(0, 0, numbers)}


def timed(makes: dict[str, Make], rounds: int, batch: int) -> dict[str, list[float]]:
    """Seconds a batch of every candidate, in turns, on the same draws within a round."""
    times: dict[str, list[float]] = {name: [] for name in makes}
    names = list(makes)
    for make in makes.values():
        make(range(batch))
    for turn in range(rounds):
        numbers = range((turn + 1) * batch, (turn + 2) * batch)
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            began = time.perf_counter()
            makes[name](numbers)
            times[name].append(time.perf_counter() - began)
    return times


def agreement(make: Make, other: Make, batch: int) -> float:
    """Least SNR of mixtures made in one way over what the other makes of them differs by [dB]."""
    a, b = (how(range(batch))["mixture"].cpu().double() for how in (make, other))
    return float((10 * torch.log10(a.square().sum(1) / (a - b).square().sum(1))).min())


def main() -> None:
    """Time all candidates and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = []
    with TemporaryDirectory() as folder:
        manifests = options.manifests or [generated(Path(folder))]
        for kind, changes in KINDS.items():
            cfg = MixingCfg(refused_speakers=("unlabelled",), **changes)
            makes = candidates(load(cfg, manifests, "train", Path(folder) / "shelf"))
            times = timed(makes, options.rounds, options.batch)
            (plain, base), *_ = times.items()
            for name, taken in times.items():
                hours = sorted(options.batch * cfg.seconds / seconds for seconds in taken)
                ratio = statistics.median(p / q for p, q in zip(base, taken, strict=True))
                cells = [kind, name, f"{1e3 * statistics.median(taken) / options.batch:.2f}"]
                cells += [f"{statistics.median(hours):.0f} ({hours[0]:.0f} to {hours[-1]:.0f})"]
                if name.startswith("torch"):
                    cells += [f"{ratio:.2f}"]
                    least = agreement(makes[plain], makes[name], options.batch)
                    cells += ["to the last bit" if math.isinf(least) else f"{least:.0f}"]
                else:
                    cells += ["", ""]
                lines.append(f"| {' | '.join(cells)} |\n")
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "numpy", "soxr"))
    data = " ".join(Path(path).name for path in options.manifests)
    command = " ".join(["python recipes/benchmark/mixing.py", *([data] if data else [])])
    text = (
        f"# Dynamic mixing\n\nMade by `{command} --rounds {options.rounds} --batch "
        f"{options.batch} --threads {options.threads}`: two speakers of {cfg.seconds:g} s at "
        f"{cfg.sample_rate} Hz and an enrollment of {cfg.enrollment_seconds:g} s, "
        f"{'recordings of that manifest' if data else 'generated voices'}. {platform.machine()}, "
        f"{os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f} (others worked beside it "
        f"where that is above 1), {options.threads} thread, one process; Python "
        f"{platform.python_version()}, {versions}.\n\nMixture-hours are hours of mixtures made per "
        "hour of wall-clock time, from drawing to a batch; the enrollments come on top. What "
        "drawing alone gives is the most that one worker process can feed a device."
        f"{'' if torch.cuda.is_available() else ' There was no CUDA device.'}\n\n"
        "| what | how | ms a mixture, median | mixture-hours per hour, median (least to most) | "
        "faster than numpy by | agrees with numpy to [dB] |\n"
        "| --- | --- | --- | --- | --- | --- |\n" + "".join(lines)
    )
    atomic_text(Path(__file__).parent / "mixing.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
