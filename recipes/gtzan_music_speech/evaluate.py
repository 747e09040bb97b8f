"""Measure what train.py made on the other three quarters, beside the paper's; fill README.md.

python recipes/gtzan_music_speech/evaluate.py gtzan_ms.csv
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import hub, metrics
from sepaudio.cli import script
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.cut import logits_of
from sepaudio.training.prepared import cuts
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
RUNS = Path("runs/gtzan_music_speech")
FIGURES = ("accuracy", "recall of speech", "recall of music", "mean recall", "mean F1")
PAPER = {  # table of its section on transfer, in percent
    "swishnet_slim": (98.00, 98.17, 97.84, 98.01, 97.90),
    "swishnet_wide_distilled": (98.26, 98.33, 98.20, 98.27, 98.17),
    "mobilenet_imagenet": (98.83, 98.28, 99.45, 98.86, 98.77),
    "mobilenet": None,  # the paper's starts from ImageNet
}


def measured(name: str, manifest: Path) -> dict[str, Any]:
    """Figures of one run on the clips of the split test."""
    net: Any = hub.load(RUNS / name / "model")
    config = hub.read_config(RUNS / name / "model")
    given = [f"data.manifests={json.dumps([str(manifest.resolve())])}"]
    given.append(f"data.cut.seconds={config['recipe']['data']['cut']['seconds']}")
    recipe: Any = recipes.read(HERE / "finetune.yaml", given)
    found = cuts(recipe.data, net, "test")
    said = logits_of(net, found).argmax(dim=1).numpy()
    n = len(net.labels)
    tables = np.zeros((len(found.features.rows), n, n), np.int64)
    np.add.at(tables, (found.places[:, 0], found.labels, said), 1)
    total = tables.sum(axis=0)
    recall = dict(zip(net.labels, metrics.recalls(total).tolist(), strict=True))
    values = (
        metrics.accuracy(total), recall["speech"], recall["music"],
        metrics.balanced_accuracy(total), metrics.macro_f1(total),
    )  # fmt: skip
    return {
        **{key: 100 * value for key, value in zip(FIGURES, values, strict=True)},
        "interval": [100 * x for x in metrics.bootstrap(tables, metrics.accuracy)],
        "confusion": total.tolist(),
        "recordings": len(tables),
        "start": config["init"]["name"],
        "seed": config["seed"],
        "fingerprint": config["data_fingerprint"],
    }


def main() -> None:
    """Measure, write README.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in PAPER if (RUNS / name / "model").is_dir()]
    if not names:
        raise SystemExit(f"no trained model in {RUNS}: expected what train.py makes")
    results = {name: measured(name, options.manifest) for name in names}
    text = f"| | {' | '.join(FIGURES)} | start, seed, data |\n|{' --- |' * (len(FIGURES) + 2)}\n"
    for name, theirs in PAPER.items():
        if theirs is not None:
            text += f"| {name}, paper | {' | '.join(f'{x:.2f}' for x in theirs)} | |\n"
        if name in results:
            ours = results[name]
            low, high = ours["interval"]
            cells = [f"{ours[key]:.2f}" for key in FIGURES]
            cells[0] += f" ({low:.1f} to {high:.1f})"
            run = f"{ours['start']}, {ours['seed']}, `{ours['fingerprint'][:12]}`"
            text += f"| {name}, ours | {' | '.join(cells)} | {run} |\n"
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", f"{text}\n{machine(hub.load(RUNS / names[0] / 'model'))}")
    print(text)


if __name__ == "__main__":
    script(main)
