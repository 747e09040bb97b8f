"""Compress a tagger of ESC-10 in several ways, and set size beside accuracy.

    python recipes/esc10/compress.py esc10.csv [--model esc10] [--fold 5] [key=value ...]
    python recipes/esc10/compress.py esc10.csv --prune 0.5 --bits 4

Without --low-rank, --prune and --bits all of WAYS are gone; with them that one way. After each step
the model learns on by `esresnet_separable.yaml`, with fewer steps at a smaller rate (LEARN);
`key=value` changes it. The fold that judges must be one that the model never heard: 5 for `esc10`.
Packed models go to runs/esc10_compress/WAY/model, their figures beside it, from where they are
taken when the same is asked again; the table goes into compress.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from sepaudio import hub, metrics
from sepaudio.cli import key_values, script
from sepaudio.files import atomic_json
from sepaudio.training import clips, recipe
from sepaudio.training.compress import weights
from sepaudio.verbs.compress import compress
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
RECIPE = HERE / "esresnet_separable.yaml"
LEARN = ["optim.steps=200", "optim.lr=1e-3", "optim.valid_every=0"]
WAYS: tuple[dict[str, Any], ...] = (
    {"low_rank": 0.9},
    {"bits": 5},
    {"prune": 0.5, "bits": 4},
    {"prune": 0.7, "bits": 4},
    {"prune": 0.8, "bits": 3},
)


def size(folder: Path) -> int:
    """Bytes of the weights of a model folder."""
    return (folder / "model.safetensors").stat().st_size


def told(way: dict[str, Any]) -> str:
    """A way in words."""
    words = {
        "low_rank": "low rank, {:.0%} of the energy",
        "prune": "{:.0%} pruned",
        "bits": "{} bits",
    }
    return ", ".join(words[key].format(value) for key, value in way.items())


def judged(folder: str | Path, cfg: Any) -> str:
    """Accuracy on the fold that was left out, and its interval over clips, in percent."""
    model: Any = hub.load(folder)
    loaded = clips.load(cfg, model)
    test = loaded.parts["test"]
    said = clips.logits_of(model, loaded, test, cfg.data.augment.fill).argmax(dim=1).numpy()
    n = len(model.labels)
    tables: dict[str, Any] = {}
    for i, label, heard in zip(test, loaded.labels[test], said, strict=True):
        source = loaded.shelf.rows[i].source.split(":")[0]
        one = metrics.confusion(label[None], heard[None], n)
        tables[source] = tables.get(source, 0) + one
    low, high = metrics.bootstrap(np.stack(list(tables.values())), metrics.accuracy)
    right = metrics.accuracy(sum(tables.values()))
    return f"{100 * right:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Compress, judge, write compress.md."""
    changes, others = key_values()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="esc10")
    parser.add_argument("--fold", type=int, default=5, help="that judges")
    parser.add_argument("--low-rank", type=float, default=0.0)
    parser.add_argument("--prune", type=float, default=0.0)
    parser.add_argument("--bits", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/esc10_compress"))
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the compress.md to fill")
    options = parser.parse_args(others)
    asked = {key: getattr(options, key) for key in ("low_rank", "prune", "bits")}
    own = {key: value for key, value in asked.items() if value}
    manifests = f"data.manifests={json.dumps([str(options.manifest.resolve())])}"
    changes = [manifests, f"data.fold={options.fold}", *LEARN, *changes]
    cfg = recipe.read(RECIPE, changes)
    whole = options.model
    whole = str(hub.SHIPPED / whole) if whole in hub.weights() else whole
    lines = []
    for way in ({}, own) if own else ({}, *WAYS):
        name = "_".join(f"{key}_{value:g}" for key, value in way.items()) or "whole"
        folder = options.runs / name
        asked = {"model": options.model, **way, "changes": changes}
        known = folder / "figures.json"
        if known.exists() and json.loads(known.read_text())["asked"] == asked:
            figures = json.loads(known.read_text())
        else:
            made = whole
            if way:
                made = compress(RECIPE, options.model, changes, **way, output=folder, quiet=True)
            folder.mkdir(parents=True, exist_ok=True)
            figures = {"asked": asked, "bytes": size(Path(made)), "accuracy": judged(made, cfg)}
            atomic_json(known, figures)
        times = size(Path(whole)) / figures["bytes"]
        lines.append(
            f"| {told(way) or 'as it is'} | {figures['bytes'] / 1000:.1f} | {times:.1f} | "
            f"{figures['accuracy']} |"
        )
    model: Any = hub.load(options.model)
    own_size = sum(weight.numel() for _, weight in weights(model))
    text = "\n".join(
        [
            f"`{options.model}`, judged on fold {options.fold} (95 %, source recordings drawn "
            f"again). {own_size:,} of its {sum(p.numel() for p in model.parameters()):,} "
            f"parameters are in tensors that are compressed. {cfg.optim.steps} steps of training "
            f"after each step of compression. {machine(model)}\n",
            "| model | kB on disk | times smaller | accuracy, % |",
            "| --- | ---: | ---: | ---: |",
            *lines,
        ]
    )
    fill(options.into / "compress.md", text, "compress")
    print(text)


if __name__ == "__main__":
    script(main)
