"""Judge what train.py made on the fold it never heard, measure how fast it is, fill README.md.

    python recipes/esc10/backbones/evaluate.py [--runs runs/esc10_backbones] [--repeats 15]

Accuracy is of the model after the last step. Latency is that of the whole model, from the waveform
of a clip to its logits, on one thread of the CPU, and on a GPU where there is one: the median of
the repeats, divided by the clips of a batch. On the CPU it is the time that the thread computes, so
that it hardly depends on what else the machine does. What was measured is kept with the runs. The
plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from train import FAMILIES, HALF, NAMES

from sepaudio import doors, files, hub, metrics
from sepaudio.cli import script
from sepaudio.training import clips, recipe
from sepaudio.verbs.profile import profile
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
BATCHES = (1, 16)
WARM = 3  # forwards before the first that counts
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#000000")  # that most eyes tell apart
MARKS = "so^Dv"


def latency(model: Any, batch: int, device: str, repeats: int) -> float:
    """Seconds that a clip takes in a batch; the median of the repeats."""
    x = 0.1 * torch.randn(batch, round(model.seconds * model.sample_rate), device=device)
    net, times = model.to(device), []
    clock = time.process_time if device == "cpu" else time.perf_counter
    with torch.inference_mode():
        for i in range(WARM + repeats):
            begun = clock()
            net.clip(x).cpu()  # waits for a GPU to finish
            if i >= WARM:
                times.append(clock() - begun)
    model.to("cpu")
    return statistics.median(times) / batch


def judged(folder: Path, repeats: int) -> dict[str, Any]:
    """What is known of one run."""
    made, model = recipe.read(folder / "recipe.yaml"), hub.load(folder / "model")
    heard = clips.load(made, model)
    test = heard.parts["test"]
    said = clips.logits_of(model, heard, test, made.data.augment.fill).argmax(dim=1).numpy()
    n, tables = len(model.labels), dict[str, np.ndarray]()
    for i, label, one in zip(test, heard.labels[test], said, strict=True):
        source = heard.shelf.rows[i].source.split(":")[0]
        tables.setdefault(source, np.zeros((n, n)))
        tables[source] += metrics.confusion(np.array([label]), np.array([one]), n)
    every = np.stack(list(tables.values()))
    cost = profile(model, model.seconds)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return {
        "accuracy": metrics.accuracy(every.sum(axis=0)),
        "interval": list(metrics.bootstrap(every, metrics.accuracy)),
        "clips": len(test),
        "multiplier": model.cfg.multiplier,
        "depth": model.cfg.depth,
        "parameters": cost.parameters,
        "macs": cost.macs,
        "seconds": {
            device: {str(n): latency(model, n, device, repeats) for n in BATCHES}
            for device in devices
        },
    }


def known(folder: Path, repeats: int) -> dict[str, Any]:
    """The same, measured once and kept in the folder of the run."""
    path = folder / f"judged_{repeats}.json"
    if not path.exists():
        files.atomic_json(path, judged(folder, repeats))
    return dict(json.loads(path.read_text()))


def gpu(found: dict[str, Any]) -> bool:
    """Whether all of the networks were measured on a GPU too."""
    return all("cuda" in one["seconds"] for one in found.values())


def table(found: dict[str, Any], about: str) -> str:
    """Markdown of all networks, the best first."""
    devices = ["cpu", *(["cuda"] if gpu(found) else [])]
    heads = [f"{device.upper()}, batch {n} [ms]" for device in devices for n in BATCHES]
    some = next(iter(found.values()))
    lines = [
        f"Fold 1, {some['clips']} clips, after the last step, one seed; in brackets the 95 % "
        f"interval when source recordings are drawn again. {about}\n",
        "| network | family | width | parameters | multiply-adds [M] | accuracy, % | "
        + " | ".join(heads)
        + " |",
        "| --- | --- |" + " ---: |" * (4 + len(heads)),
    ]
    for name, one in sorted(found.items(), key=lambda pair: -pair[1]["accuracy"]):
        low, high = (100 * end for end in one["interval"])
        deep = f", depth x {one['depth']:g}" if one["depth"] != 1 else ""
        speed = [f"{1e3 * one['seconds'][d][str(n)]:.1f}" for d in devices for n in BATCHES]
        cells = [
            f"`{name}`{'*' if name in HALF else ''}{deep}",
            family(name),
            f"x {one['multiplier']:.3g}",
            f"{one['parameters']:,}",
            f"{one['macs'] / 1e6:.0f}",
            f"{100 * one['accuracy']:.1f} ({low:.0f} to {high:.0f})",
            *speed,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    left = ", ".join(f"`{name}`" for name in NAMES if name not in found)
    return (
        "\n".join(lines)
        + "\n\n\\* hears the picture at half its size."
        + (f" Not trained here: {left}." if left else "")
        + "\n"
    )


def family(name: str) -> str:
    """Which one of FAMILIES a network belongs to."""
    return next(kind for kind, names in FAMILIES.items() if name in names)


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy against what a network costs; numbers in the plot are ranks, listed beside it."""
    figure = doors.matplotlib().figure.Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3, width_ratios=(4, 4, 1.5))
    panels = [
        ("parameters [million]", lambda one: one["parameters"] / 1e6),
        ("multiply-adds of a clip [million]", lambda one: one["macs"] / 1e6),
    ]
    device = "cuda" if gpu(found) else "cpu"
    panels += [
        (
            f"{device.upper()}, batch {n}: time of a clip [ms]",
            lambda one, n=n: 1e3 * one["seconds"][device][str(n)],
        )
        for n in BATCHES
    ]
    ranked = sorted(found, key=lambda name: -found[name]["accuracy"])
    for ax, (what, cost) in zip(axes[:, :2].flat, panels, strict=True):
        for number, name in enumerate(ranked, 1):
            kind = list(FAMILIES).index(family(name))
            x, y = cost(found[name]), 100 * found[name]["accuracy"]
            ax.plot(x, y, MARKS[kind], color=COLOURS[kind], markersize=4)
            ax.annotate(
                str(number), (x, y), (3, 2), textcoords="offset points", fontsize=7,
                color=COLOURS[kind],
            )  # fmt: skip
        ax.set(xlabel=what, ylabel="accuracy on fold 1 [%]", xscale="log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("{x:g}")
        ax.tick_params(axis="x", which="both", labelsize=7)
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
    for ax in axes[:, 2]:
        ax.remove()
    beside = figure.add_subplot(axes[0, 2].get_gridspec()[:, 2])
    beside.axis("off")
    for number, name in enumerate(ranked, 1):
        kind = list(FAMILIES).index(family(name))
        beside.text(
            0, 1 - number / (len(ranked) + len(FAMILIES) + 2), f"{number}  {name}",
            color=COLOURS[kind], fontsize=8,
        )  # fmt: skip
    for kind, text in enumerate(FAMILIES):
        y = 1 - (len(ranked) + 2 + kind) / (len(ranked) + len(FAMILIES) + 2)
        beside.plot(0.02, y + 0.006, MARKS[kind], color=COLOURS[kind], markersize=5)
        beside.text(0.1, y, text, color=COLOURS[kind], fontsize=8)
    beside.set(xlim=(0, 1), ylim=(0, 1))
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=80)


def main() -> None:
    """Judge, measure, write README.md, results.json and the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/esc10_backbones"))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--into", type=Path, default=HERE, help="folder of README.md and plot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in NAMES if (options.runs / name / "model").exists()]
    if not names:
        raise SystemExit(f"no trained network in {options.runs}: run train.py first")
    found = {name: known(options.runs / name, options.repeats) for name in names}
    about = machine(torch.nn.Linear(1, 1)).removesuffix(").") + ", one thread)."
    files.atomic_json(options.into / "results.json", found)
    text = table(found, about)
    plot(found, options.into / "backbones.png")
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
