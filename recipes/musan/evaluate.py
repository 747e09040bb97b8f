"""Measure what train.py made on the test split, beside the paper's figures; fill README.md.

    python recipes/musan/evaluate.py MANIFEST.csv [--segments VALID TEST] [--every 5] [--data TEXT]

Clips of the test split are prepared as those of training. The folders of --segments come from
recipes/segmentation/make_set.py with --loudness paper: the first one chooses what a change of class
costs in Viterbi's search, the second is measured. Every cell names its run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import paper
import report
import segments
import torch
from report import FRAMEWISE, Tables

from sepaudio import hub, metrics
from sepaudio.cli import script
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.cut import logits_of
from sepaudio.training.prepared import cuts
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
RUNS = Path("runs/musan")


def run_of(name: str, seconds: float) -> str:
    """Name of the run that judges clips of a length."""
    return name if name in FRAMEWISE else f"{name}_{seconds:g}s"


def confusions(net: Any, manifest: Path, seconds: float) -> Tables:
    """A table of the test clips of each recording."""
    given = [f"data.manifests={json.dumps([str(manifest.resolve())])}"]
    given += [f"data.cut.seconds={seconds}", "data.cut.overlap=0.5"]
    recipe: Any = recipes.read(HERE / "snn.yaml", given)
    found = cuts(recipe.data, net, "test")
    said = logits_of(net, found).argmax(dim=1).numpy()
    tables = np.zeros((len(found.features.rows), *2 * (len(net.labels),)), np.int64)
    np.add.at(tables, (found.places[:, 0], found.labels, said), 1)
    return tables


def speech_or_not(table: Any) -> float:
    """Accuracy where speech, the last class, is told from the rest alone."""
    table = np.asarray(table, dtype=np.float64)
    return float((table[-1, -1] + table[:-1, :-1].sum()) / table.sum())


def summary(tables: Tables) -> dict[str, Any]:
    """Figures of many recordings, in percent, and the tables they come from."""
    total = tables.sum(axis=0)
    low, high = metrics.bootstrap(tables, metrics.accuracy)
    return {
        "accuracy": 100 * metrics.accuracy(total),
        "interval": [100 * low, 100 * high],
        "speech": 100 * speech_or_not(total),
        "f1": 100 * metrics.macro_f1(total),
        "recall": [100 * x for x in metrics.recalls(total).tolist()],
        "confusion": total.tolist(),
        "recordings": len(tables),
        "items": int(total.sum()),
    }


def about_run(run: str, net: Any) -> dict[str, Any]:
    """What a run's config.json says of it."""
    config = hub.read_config(RUNS / run / "model")
    recipe = config.get("recipe", {})
    distill = recipe.get("distill", {})
    taught = bool(distill.get("teacher")) and distill.get("weight", 0) > 0
    kept = "valid" in config and config["valid"]
    trained = sum(p.numel() for p in net.parameters())
    if hasattr(net, "mixtures"):  # a mixture's numbers are means, variances and weights
        trained = sum(m.means.numel() * 2 + m.components for m in net.mixtures)
    return {
        "parameters": trained,
        "seed": config["seed"],
        "clips": config["clips"],
        "epochs": recipe.get("optim", {}).get("epochs"),
        "batch": recipe.get("optim", {}).get("batch"),
        "best_step": config.get("best_step"),
        "valid": config["valid"]["best"]["accuracy"] if kept else config.get("valid_accuracy", 0.0),
        "teacher": (
            f"{distill['teacher'].split('/')[0]}, {distill['weight']:g} at T = "
            f"{distill['temperature']:g}" if taught else ""
        ),
        "fingerprint": config["data_fingerprint"],
    }  # fmt: skip


def main() -> None:
    """Measure, write README.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--segments", type=Path, nargs=2, metavar=("VALID", "TEST"))
    parser.add_argument("--every", type=int, default=1, help="frames that share a decision")
    parser.add_argument("--data", default="MUSAN", help="what the manifest holds, in words")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, dict[str, Any]] = {}
    clips: dict[str, dict[str, Any]] = {}
    frames: dict[str, dict[str, Any]] = {}
    tables: dict[str, Tables] = {}
    net: Any = None
    for name in paper.ROWS:
        for seconds in paper.SECONDS:
            run = run_of(name, seconds)
            if not (RUNS / run / "model").is_dir():
                continue
            net = hub.load(RUNS / run / "model")
            key = f"{name} {seconds:g}"
            tables[key] = confusions(net, options.manifest, seconds)
            clips[key] = summary(tables[key]) | {"run": run}
            if run not in runs:
                runs[run] = about_run(run, net)
                if (RUNS / run / "last").is_dir():
                    last = confusions(hub.load(RUNS / run / "last"), options.manifest, seconds)
                    runs[run]["last"] = 100 * metrics.accuracy(last.sum(axis=0))
            if options.segments and not (
                name in FRAMEWISE and any(k.startswith(name) for k in frames)
            ):
                valid, test = (
                    segments.hear(net, folder, seconds, options.every)
                    for folder in options.segments
                )
                price = segments.price_of(valid)
                frames[key] = {
                    "run": run,
                    "price": price,
                    **{
                        way: summary(segments.tables(test, way, value))
                        for way, value in (
                            ("none", 0.0), ("median", segments.MEDIAN), ("viterbi", price),
                        )
                    },
                }  # fmt: skip
    if not clips:
        raise SystemExit(f"no trained model in {RUNS}: expected what train.py makes")
    text = report.written(options.data, runs, clips, frames, tables) + f"\n{machine(net)}\n"
    results = {"data": options.data, "runs": runs, "clips": clips, "frames": frames}
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
