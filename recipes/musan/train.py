"""Train SwishNet, its teacher and its baselines as the paper does, on MUSAN or any manifest.

    python recipes/musan/train.py MANIFEST.csv [--seconds 2 1 0.5] [--networks ...] [key=value ...]

Networks are trained once a clip length, teachers before the networks that learn from them. The GMM
and the SNN name single frames, so that one of each is enough. A run that is there stays as it is,
and one that was killed goes on. Every run is a folder runs/musan/NETWORK_SECONDSs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from sepaudio import hub, registry
from sepaudio.cli import key_values, script
from sepaudio.training import recipe as recipes
from sepaudio.training.classical import ClassicalRecipe, Example, fit_classical
from sepaudio.training.prepared import cuts
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/musan")
NETWORKS = {  # name of the run: recipe, and whether it learns from the teacher
    "mobilenet": ("mobilenet", False),
    "mobilenet_imagenet": ("mobilenet", False),  # with --init
    "swishnet_slim": ("swishnet_slim", False),
    "swishnet_wide": ("swishnet_wide", False),
    "swishnet_slim_distilled": ("swishnet_slim", True),
    "swishnet_wide_distilled": ("swishnet_wide", True),
    "snn": ("snn", False),
    "gmm": ("snn", False),  # the same clips of the same frames
}
FRAMEWISE = ("snn", "gmm")  # whatever the length of a clip
TEMPERATURES = {  # by clip length [s], chosen on the authors' validation set
    "swishnet_slim": {2.0: 4.0, 1.0: 2.0, 0.5: 1.0},
    "swishnet_wide": {2.0: 10.0, 1.0: 10.0, 0.5: 8.0},
}


def folder_of(name: str, seconds: float) -> Path:
    """Where a run lies."""
    return RUNS / (name if name in FRAMEWISE else f"{name}_{seconds:g}s")


def settings(name: str, seconds: float) -> list[str]:
    """What a run has that its recipe does not say."""
    recipe, distilled = NETWORKS[name]
    if name in FRAMEWISE:
        return []
    found = [f"data.cut.seconds={seconds}", f"optim.batch={round(128 * 2 / seconds)}"]
    if distilled:
        near = min(TEMPERATURES[recipe], key=lambda s: abs(s - seconds))
        teachers = [folder_of(n, seconds) / "model" for n in ("mobilenet_imagenet", "mobilenet")]
        teacher = next((folder for folder in teachers if folder.is_dir()), teachers[-1])
        found.append(f"distill.teacher={teacher}")
        found.append(f"distill.temperature={TEMPERATURES[recipe][near]}")
    return found


def gaussians(overrides: list[str], components: int, frames: int) -> Path:
    """Find a mixture of Gaussians a class, at last from the splits train and valid together."""
    folder = folder_of("gmm", 0) / "model"
    recipe: Any = recipes.read(HERE / "snn.yaml", overrides)
    cfg = registry.config("gmm", components=components)
    began, net = time.perf_counter(), registry.build(cfg)
    given, data, prints = [], recipe.data, []
    for split in ("train", "valid"):
        found = cuts(data, net, split)
        prints.append(found.fingerprint)
        given += [
            Example(
                features=found.take([i])[0], label=int(found.labels[i]), held_out=split != "train"
            )
            for i in range(len(found))
        ]
    print(f"gmm: {len(given)} clips", flush=True)
    fitted = fit_classical(cfg, given, ClassicalRecipe(frames=frames, seed=recipe.seed))
    about = {
        "architecture": "gmm",
        "license": recipe.license,
        "seed": recipe.seed,
        "data_fingerprint": prints[0],
        "clips": len(given),
        "frames": frames,
        "valid_accuracy": fitted.valid_accuracy,
        "seconds": round(time.perf_counter() - began, 1),
    }
    card = f"# gmm\n\nMade by recipes/musan/train.py from {len(given)} clips.\n"
    return hub.save(fitted.model, folder, card=card, **about)


def main() -> None:
    """Train what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--seconds", nargs="+", type=float, default=[2.0, 1.0, 0.5])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, help="all by default")
    parser.add_argument("--init", default="", help="ImageNet's weights, for a teacher from them")
    parser.add_argument("--components", type=int, default=256, help="Gaussians a class")
    parser.add_argument("--frames", type=int, default=100_000, help="most for a mixture of them")
    given, others = key_values()
    options = parser.parse_args(others)
    torch.set_num_threads(1)
    manifests = json.dumps([str(options.manifest.resolve())])
    wanted = options.networks or [n for n in NETWORKS if options.init or n != "mobilenet_imagenet"]
    if "mobilenet_imagenet" in wanted and not options.init:
        parser.error("mobilenet_imagenet needs --init FOLDER: see README.md")
    for seconds in options.seconds:
        for name in sorted(wanted, key=list(NETWORKS).index):
            folder = folder_of(name, seconds)
            if (folder / "model").exists():
                print(f"{folder} is there already")
                continue
            overrides = [f"data.manifests={manifests}", *settings(name, seconds)]
            overrides += given
            if name == "gmm":
                print(gaussians(overrides, options.components, options.frames))
                continue
            init = options.init if name == "mobilenet_imagenet" else ""
            recipe = HERE / f"{NETWORKS[name][0]}.yaml"
            print(train(recipe, overrides, init=init, output=folder, quiet=True), flush=True)


if __name__ == "__main__":
    script(main)
