"""Own classes from few clips: from shipped weights, all or only the head, against from nothing.

    python recipes/esc10/own_classes.py MANIFEST.csv [--folds 1 2 3] [--seeds 1 2 3 4]
        [--init esc10] [key=value ...]

The manifest has folds, such as `data_prep/class_folders.py --folds 3` gives; each is judged by runs
that never heard it. All runs have the same steps. Few clips are learned by luck: each way is
gone with several seeds; a clip counts by the share of them that name it right. Runs go to
runs/own_classes/NAME/seedS/foldN, and the table into README.md, between the marks of own classes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sepaudio import hub, metrics
from sepaudio.cli import key_values, script
from sepaudio.data import manifest
from sepaudio.training import clips, recipe
from sepaudio.verbs.results import fill
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/own_classes")
WAYS = {"from nothing": False, "all weights": True, "head alone": True}
FROZEN = ["backbone"]


def run(way: str, seed: int, fold: int, options: argparse.Namespace, changes: list[str]) -> Path:
    """Train one way with one fold left out; returns the folder of the run."""
    labels = sorted({row.kind for row in manifest.read(options.manifest)})
    model: dict[str, object] = {"labels": labels}
    if not WAYS[way]:  # the same network, without what it has learned
        own = yaml.safe_load((HERE / "esresnet_separable.yaml").read_text())["model"]
        model = {**own, **model}
    more = [
        f"data.manifests={json.dumps([str(options.manifest.resolve())])}",
        f"model={json.dumps(model)}",
        f"data.fold={fold}",
        f"seed={seed}",
        *changes,
    ]
    folder = RUNS / way.replace(" ", "_") / f"seed{seed}" / f"fold{fold}"
    init = options.init if WAYS[way] else ""
    freeze = FROZEN if way == "head alone" else []
    train(HERE / "own_classes.yaml", more, init=init, freeze=freeze, output=folder, quiet=True)
    return folder


def judged(folder: Path) -> list[np.ndarray]:
    """A confusion table [K, K] for every clip that the run did not hear."""
    made = recipe.read(folder / "recipe.yaml")
    model = hub.load(folder / "model")
    heard = clips.load(made, model)
    test = heard.parts["test"]
    said = clips.logits_of(model, heard, test, made.data.augment.fill).argmax(dim=1).numpy()
    pairs = zip(heard.labels[test], said, strict=True)
    n = len(made.model["labels"])
    return [metrics.confusion(np.array([a]), np.array([b]), n) for a, b in pairs]


def _more(hits: Any, plain: Any) -> str:
    """How much more right one way is than the first, clips paired: two cells of a table."""
    if hits is plain:
        return " | "
    found = metrics.compare(100 * hits, 100 * plain)
    low, high = found.interval
    return f"{found.difference:+.1f} ({low:+.1f} to {high:+.1f}) | {found.p:.2g}"


def main() -> None:
    """Train all ways, and compare."""
    changes, others = key_values()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--init", default="esc10")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args(others)
    rows = manifest.read(options.manifest)
    classes = len({row.kind for row in rows})
    lines = [
        f"{len(rows)} clips of {classes} classes, judged on folds that were left out "
        f"({', '.join(map(str, options.folds))}), by {len(options.seeds)} runs each; chance is "
        f"{100 / classes:.1f}.\n",
        "| weights at the start | learned | accuracy, % (95 %) | more than chance (95 %) | p |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    plain: Any = None
    for way, starts in WAYS.items():
        runs = [
            [t for fold in options.folds for t in judged(run(way, seed, fold, options, changes))]
            for seed in options.seeds
        ]
        every = np.array(runs, dtype=np.float64).mean(axis=0)  # of each clip
        low, high = metrics.bootstrap(every, metrics.accuracy)
        right = metrics.accuracy(every.sum(axis=0))
        start = f"`{options.init}`" if starts else "chance"
        learned = "head" if way == "head alone" else "all"
        named = f"{100 * right:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        hits = every.trace(axis1=1, axis2=2)
        plain = hits if plain is None else plain
        lines.append(f"| {start} | {learned} | {named} | {_more(hits, plain)} |")
    text = "\n".join(lines)
    fill(options.into / "README.md", text, "own classes")
    print(text)


if __name__ == "__main__":
    script(main)
