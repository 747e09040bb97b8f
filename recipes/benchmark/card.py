"""Time mixing, training steps and separation on a CUDA device, and write card.md.

    python recipes/benchmark/card.py [mixing] [steps] [hearing] [recorded] [compiled]
        [--device cuda]

Mixing: two speakers of 4 s at 8 kHz and an enrollment of 4 s out of generated voices, drawn by
processes and made on the device; made of draws that lie there already, it shows what the device
could do if it never waited. Steps: objective, gradient, clipping and Adam for the networks of the
papers, on noise, and on mixtures that are drawn and made meanwhile. Hearing: the weights that ship,
by the verbs and in batches. If they are asked for: steps of `one_speaker` by Muon in bf16, as they
come and recorded (`optim.graph`), and compiled steps, which come last, as compiling takes time.

Every figure is the median of `--rounds` rounds; the device has finished when a clock is read. Parts
that are not asked for keep their figures of before, from card.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mixing import KINDS, generated
from steps import noise
from torch.utils.data import DataLoader

from sepaudio import Streamer, create, hub, io, registry
from sepaudio.cli import script
from sepaudio.data.batched import Batched, to
from sepaudio.data.mixing import MixingCfg, load
from sepaudio.files import atomic_text
from sepaudio.training import recipe as recipes
from sepaudio.training.draws import batch_at
from sepaudio.training.graph import Recorded
from sepaudio.training.loop import Steps
from sepaudio.training.mixtures import objective_of
from sepaudio.training.optimizers import optimizer_of
from sepaudio.training.process import compiled, quiet_lightning
from sepaudio.training.start import freeze
from sepaudio.verbs.separate import extract, separate

HERE = Path(__file__).parent
MIXED = {
    key: KINDS[key] for key in ("speech alone", "speeds, noise and music", "the same in rooms")
}
NETWORKS: dict[
    str, dict[str, Any]
] = {  # what differs from the papers: a speaker encoder that learns
    "tsenet_mitas": {"embedding": 400, "speaker": {"size": 400}},
    "mitas": {},
}
PARTS = ("mixing", "steps", "hearing", "recorded", "compiled")
HEADS = {
    "mixing": ("what", "how", "ms a mixture", "mixture-hours per hour"),
    "steps": ("network", "arithmetic", "mixtures", "a step, ms", "mixture-seconds per second"),
    "hearing": ("what", "how", "ms", "times real time"),
}
HEADS["recorded"] = HEADS["steps"]
HEADS["compiled"] = (*HEADS["steps"], "first three steps, s")
Run = Callable[[], Any]
Rows = list[list[str]]


def timed(run: Run, rounds: int, device: torch.device, times: int = 1) -> list[float]:
    """Seconds of a run in each round, in ascending order; a round is so many runs."""

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    run()
    run()
    found = []
    for _ in range(rounds):
        finish()
        began = time.perf_counter()
        for _ in range(times):
            run()
        finish()
        found.append((time.perf_counter() - began) / times)
    return sorted(found)


def cells(seconds: list[float], amount: float, each: float = 1.0) -> list[str]:
    """Milliseconds for one of `each`, and how much of an amount in a second: medians, spans."""
    ms = [1e3 * s / each for s in seconds]
    pace = sorted(amount / s for s in seconds)
    return [
        f"{_short(statistics.median(x))} ({_short(x[0])} to {_short(x[-1])})" for x in (ms, pace)
    ]


def _short(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}"


class Drawing:
    """What processes draw ahead, batch by batch, as a run has it."""

    def __init__(self, source: Batched, batch: int, workers: int):
        loader = DataLoader(
            Steps(batch_at(source, batch, 0)),
            batch_size=None,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,
        )
        self.coming = iter(loader)
        next(self.coming)  # all are there now

    def __call__(self) -> Any:
        """What was drawn for the next batch."""
        return next(self.coming)

    def close(self) -> None:
        """End the processes."""
        if hasattr(self.coming, "_shutdown_workers"):
            self.coming._shutdown_workers()


def source_of(folder: str, **changes: Any) -> Batched:
    """Generated voices, noise and music, to be mixed."""
    manifest = Path(folder) / "manifest.csv"
    manifest = manifest if manifest.exists() else generated(Path(folder))
    return Batched(load(MixingCfg(**changes), [str(manifest)], "train", Path(folder) / "shelf"))


def mixing(options: argparse.Namespace, device: torch.device) -> Rows:
    """Mixture-hours an hour, by how many processes draw."""
    rows, batch, seconds = [], options.batch, MixingCfg().seconds
    with TemporaryDirectory() as folder:
        for kind, changes in MIXED.items():
            source = source_of(folder, **changes)
            there = to(source.drawn(0, 0, range(batch)), device)
            runs: dict[str, Run] = {
                "made of draws that lie there": partial(source, there),
                "drawn alone, by one process": lambda source=source: source.drawn(
                    0, 0, range(batch)
                ),
            }
            for how, run in runs.items():
                taken = timed(run, options.rounds, device, 2)
                rows.append([kind, how, *cells(taken, batch * seconds, batch)])
            for workers in options.workers:
                with closing(Drawing(source, batch, workers)) as drawing:
                    run = lambda source=source, drawing=drawing: source(to(drawing(), device))  # noqa: E731
                    # longer than what lies ready when a round begins
                    taken = timed(run, options.rounds, device, 3 * max(workers, 1))
                    how = f"drawn by {workers} processes, made there"
                    rows.append([kind, how, *cells(taken, batch * seconds, batch)])
    return rows


def recipe_of(name: str) -> recipes.MixtureRecipeCfg:
    """Defaults, for one of the networks."""
    return recipes.MixtureRecipeCfg(architecture=name, model=NETWORKS.get(name, {}))


def learning(name: str, batch: Run, device: torch.device, bf16: bool, fused: bool = False) -> Run:
    """A step of a network's training."""
    cfg = recipe_of(name)
    torch.manual_seed(0)
    model: Any = registry.build(recipes.model_cfg(cfg)).to(device).train()
    dead = set(model.dead_parameters)
    own = [p.requires_grad_(key not in dead) for key, p in model.named_parameters()]
    own = [p for p in own if p.requires_grad]
    optimizer, objective = torch.optim.Adam(own), objective_of(model, cfg)
    objective = compiled(objective, model) if fused else objective

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = objective(model, batch())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def steps(options: argparse.Namespace, device: torch.device) -> Rows:
    """Mixture-seconds a second that networks learn from."""
    rows, n = [], options.learned
    seconds, workers = n * MixingCfg().seconds, max(options.workers)
    with TemporaryDirectory() as folder:
        source = source_of(folder, **MIXED["the same in rooms"])
        for name in NETWORKS:
            made = noise(recipe_of(name), n, device)
            for how, bf16 in (("float32", False), ("bf16", True)):
                taken = timed(learning(name, lambda made=made: made, device, bf16), *of(options))
                rows.append([name, how, f"{n} of noise", *cells(taken, seconds)])
            with closing(Drawing(source, n, workers)) as drawing:
                batch = lambda drawing=drawing: source(to(drawing(), device))  # noqa: E731
                taken = timed(learning(name, batch, device, True), *of(options), 2)
                what = f"{n} in rooms, drawn by {workers} processes, made there"
                rows.append([name, "bf16", what, *cells(taken, seconds)])
    return rows


def of(options: argparse.Namespace) -> tuple[int, torch.device]:
    """What `timed` wants."""
    return options.rounds, torch.device(options.device)


def recorded_steps(options: argparse.Namespace, device: torch.device) -> Rows:
    """Steps of the shipped extractor, as they come and asked for at once."""
    rows, n = [], options.learned
    recipe = HERE.parent / "real_small" / "tsenet_small_card.yaml"
    cfg = recipes.read(recipe, ["presence=0", "optim.graph=false"])
    assert isinstance(cfg, recipes.MixtureRecipeCfg)
    made, clip, seconds = noise(cfg, n, device), cfg.optim.clip_norm, cfg.data.mixing.seconds
    del made["lengths"]  # none is padded, and to look would wait for the device
    for how in ("as they come", "loss and gradient recorded", "the update, too"):
        model: Any = hub.load("one_speaker").to(device).train()
        freeze(model, cfg.freeze)
        plain, graph = objective_of(model, cfg), how != "as they come"
        lent = clip if how == "the update, too" else None
        objective = Recorded(plain, [model], lent) if graph else plain
        optimizer = optimizer_of(model, replace(cfg.optim, graph=lent is not None))

        def step(
            objective: Any = objective,
            optimizer: Any = optimizer,
            model: Any = model,
            lent: Any = lent,
        ) -> None:
            with torch.autocast(device.type, torch.bfloat16):
                loss = objective(model, made)
            loss.backward()
            if lent is None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()

        taken = timed(step, *of(options), 10)
        what = f"{n} of noise, {seconds:g} s"
        rows.append([f"`one_speaker`, {how}", "bf16", what, *cells(taken, n * seconds)])
    return rows


def compiled_steps(options: argparse.Namespace, device: torch.device) -> Rows:
    """The same in bf16, compiled."""
    rows, n = [], options.learned
    for name in options.compile:
        made = noise(recipe_of(name), n, device)
        step = learning(name, lambda made=made: made, device, True, True)
        began = time.perf_counter()
        for _ in range(3):
            step()
        first = time.perf_counter() - began
        print(f"{name} is compiled: {first:.1f} s", flush=True)
        row = cells(timed(step, *of(options)), n * MixingCfg().seconds)
        rows.append([name, "bf16, compiled", f"{n} of noise", *row, f"{first:.0f}"])
    return rows


def snr_db(wanted: np.ndarray[Any, Any], made: np.ndarray[Any, Any]) -> float:
    """What was wanted over what was made of it [dB]."""
    off = np.square(wanted - made, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(wanted, dtype=np.float64).sum() / max(off, 1e-20)))


def hearing(options: argparse.Namespace, device: torch.device) -> Rows:
    """Seconds of sound that are separated in a second."""
    rows, samples = [], HERE.parents[1] / "samples"
    x, rate = io.read(samples / "mixture.flac")
    voice, _ = io.read(samples / "mixture_enrollment.flac")
    minute = np.tile(x, -(-60 * rate // len(x)))[: 60 * rate]
    nets: dict[str, Any] = {key: hub.load(key) for key in ("one_speaker", "two_speakers")}
    at_rate = torch.from_numpy(io.resample(voice, rate, nets["one_speaker"].sample_rate))
    embedding = nets["one_speaker"].enroll(at_rate[None])
    verbs: dict[str, Callable[..., Any]] = {
        "one_speaker": partial(extract, embedding=embedding),
        "two_speakers": separate,
    }
    for key, verb in verbs.items():
        wanted, *_ = verb(x, rate, model=nets[key], device="cpu")
        made, *_ = verb(x, rate, model=nets[key], device=str(device))
        run = partial(verb, minute, rate, model=nets[key], device=str(device))
        off = f"{snr_db(wanted, made):.0f} dB from the CPU's"
        rows.append(
            [
                f"`{key}`, a minute",
                f"`{verb_name(verb)}`, {off}",
                *cells(timed(run, *of(options)), 60),
            ]
        )
        net, vector = nets[key].to(device), embedding.vectors.to(device)
        more = (vector,) if key == "one_speaker" else ()
        for n, seconds, bf16 in (
            (1, 4, False),
            (options.heard, 4, False),
            (options.heard, 4, True),
        ):
            batch = 0.1 * torch.randn(n, seconds * net.sample_rate, device=device)
            run = partial(_forward, net, batch, more, bf16)
            how = f"{n} at once, {'bf16' if bf16 else 'float32'}"
            row = cells(timed(run, *of(options)), n * seconds)
            rows.append([f"`{key}`, {seconds} s", how, *row])
    causal = create("mitas_causal").to(device).eval()
    stream, chunk = Streamer(causal), torch.zeros(1, causal.sample_rate // 100, device=device)
    taken = timed(lambda: stream.feed(chunk), *of(options), 10)
    rows.append(["`mitas_causal`", "streamed 10 ms at a time", *cells(taken, 0.01)])
    return rows


def verb_name(verb: Any) -> str:
    """Of a function, or of one that is partly called."""
    return str(getattr(verb, "func", verb).__name__)


def _forward(net: Any, batch: torch.Tensor, more: tuple[Any, ...], bf16: bool) -> None:
    with torch.inference_mode(), torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
        net(batch, *more)


def text_of(found: dict[str, Any]) -> str:
    """The tables of all parts that were timed."""
    text = (
        "# On a card\n\nMade by `python recipes/benchmark/card.py`; medians, and the least and the "
        "most of the rounds. float32 with TF32 in convolutions, as torch has it. "
        "Mixture-hours are hours of mixtures made per hour of wall-clock time; enrollments come "
        "on top. Steps are on 4 s at 8 kHz with enrollments of 4 s.\n"
    )
    for part in PARTS:
        if part in found:
            head = HEADS[part]
            lines = [head, ["---"] * len(head), *found[part]["rows"]]
            table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
            text += f"\n## {part.capitalize()}\n\n{found[part]['where']}\n\n{table}"
    return text


def main() -> None:
    """Time the parts that are asked for and write the tables, each as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS[:3]), help=", ".join(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64, help="mixtures made at once")
    parser.add_argument("--learned", type=int, default=32, help="mixtures a step")
    parser.add_argument("--heard", type=int, default=32, help="mixtures separated at once")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 12])
    parser.add_argument("--compile", nargs="+", default=list(NETWORKS), help="networks")
    parser.add_argument("--output", default=str(HERE), help="folder of card.json and card.md")
    options = parser.parse_args()
    device = torch.device(options.device)
    card = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    file = Path(options.output) / "card.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    timing = {"mixing": mixing, "steps": steps, "hearing": hearing}
    timing |= {"recorded": recorded_steps, "compiled": compiled_steps}
    for part in options.parts:
        with quiet_lightning():
            warnings.filterwarnings("ignore", category=UserWarning, module="torch")
            rows = timing[part](options, device)
        where = (
            f"`card.py {part} --device {options.device} --rounds {options.rounds} --batch "
            f"{options.batch} --learned {options.learned} --heard {options.heard} --workers "
            f"{' '.join(map(str, options.workers))}`: {card}, {os.cpu_count()} cores, "
            f"{torch.get_num_threads()} thread(s); Python {platform.python_version()}, torch "
            f"{version('torch')}."
        )
        found = json.loads(file.read_text()) if file.exists() else {}
        found[part] = {"where": where, "rows": rows}
        atomic_text(file, json.dumps(found, indent=1) + "\n")
        atomic_text(file.with_suffix(".md"), text_of(found))
        if device.type == "cuda":
            torch.cuda.empty_cache()
    print(file.with_suffix(".md").read_text())


if __name__ == "__main__":
    script(main)
