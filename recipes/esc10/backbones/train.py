"""Train a network of every family at about one million parameters on ESC-10, fold 1 left out.

    python data_prep/esc.py --root ESC-50 --only-esc10 --out esc10.csv
    python recipes/esc10/backbones/train.py esc10.csv [--names NAME ...] [key=value ...]

Widths are scaled until the whole model has about as many parameters as `--parameters` says; depths
stay as published, but for those of DEPTHS. Networks that were drawn for pictures of 32x32 begin at
full resolution: those of HALF get a picture of half as many bands and half as many frames.
Runs go to runs/esc10_backbones/NAME. A killed run goes on when called again, and one that is done
is left alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from sepaudio import registry
from sepaudio.cli import key_values, script
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.verbs.profile import profile
from sepaudio.verbs.train import train

HERE = Path(__file__).parent
RUNS = Path("runs/esc10_backbones")
TRIES = 6  # both costs grow about as the square of the width
SAFE = 0.97  # of the largest cost is aimed at, so as to stay below it
FAMILIES = {
    "plain": ("lenet5", "alexnet", "vgg16_bn", "nin", "squeezenet1_1", "squeezenext_23"),
    "inception": ("googlenet_bn", "inception_v3", "inception_v4", "xception", "polynet"),
    "residual": (
        *("resnet18", "resnet50", "seresnet50", "resnext50_32x4d", "cspresnet50", "wrn16_8"),
        *("ror3_56", "multiresnet26_2_10", "revnet54", "irevnet", "nfnet_f0", "convnext_tiny"),
        "hyper_wrn40_2",
    ),
    "dense or fractal": ("densenet121", "fractalnet", "fractal_of_fractalnet"),
    "separable": (
        *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v1_g3"),
        *("shufflenet_v2_x1_0", "pydmobilenet_29", "efficientnet_b0", "fbnet_c", "separable"),
    ),
}
HALF = frozenset(
    (
        *("lenet5", "nin", "wrn16_8", "ror3_56", "multiresnet26_2_10", "hyper_wrn40_2"),
        *("fractalnet", "fractal_of_fractalnet", "pydmobilenet_29"),
    )
)
DEPTHS = {"polynet": 0.2}  # of so many modules not even the narrowest have a million parameters
NAMES = tuple(name for names in FAMILIES.values() for name in names)


def form(name: str) -> list[str]:
    """Overrides by which a network of HALF gets half as many bands and frames; and its depth."""
    depth = [f"model.depth={DEPTHS[name]}"] if name in DEPTHS else []
    if name not in HALF:
        return depth
    features = recipes.read(HERE / "small.yaml").model["features"]
    changes = {"n_mels": 0.5, "hop": 2, "n_fft": 2, "window_length": 2}
    halved = [f"model.features.{key}={round(features[key] * by)}" for key, by in changes.items()]
    return [*depth, *halved]


def cost(overrides: list[str]) -> tuple[int, int]:
    """Parameters and multiply-adds of a recipe's model for one clip; nothing is computed."""
    recipe = recipes.read(HERE / "small.yaml", overrides)
    with torch.device("meta"):
        model = registry.create(recipe.architecture, **recipe.model)
    found = profile(model, model.seconds)
    return found.parameters, found.macs


def width_of(overrides: list[str], parameters: int, macs: int) -> float:
    """The factor of the widths that comes nearest to so many parameters, within a cost."""
    factor, tried = 1.0, []
    for _ in range(TRIES):
        size, spent = cost([*overrides, f"model.multiplier={factor}"])
        tried.append((spent > macs, abs(size - parameters), factor))
        factor = round(factor * min(parameters / size, SAFE * macs / spent) ** 0.5, 4)
    return min(tried)[2]


def planned(folder: Path, overrides: list[str], parameters: int, macs: int) -> float:
    """The same, looked for once and kept in the folder of the run."""
    path = folder / "width.json"
    asked = {"of": overrides, "parameters": parameters, "macs": macs}
    if path.exists():
        known = json.loads(path.read_text())
        if {key: known[key] for key in asked} == asked:
            return float(known["multiplier"])
    folder.mkdir(parents=True, exist_ok=True)
    factor = width_of(overrides, parameters, macs)
    atomic_json(path, {**asked, "multiplier": factor})
    return factor


def main() -> None:
    """Train what was asked for."""
    changes, others = key_values()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--names", nargs="+", default=NAMES, choices=NAMES, metavar="NAME")
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--macs", type=int, default=400_000_000, help="largest cost of a clip")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no run after these")
    parser.add_argument("--plan", action="store_true", help="find the widths, and train nothing")
    options = parser.parse_args(others)
    manifests = f"data.manifests={json.dumps([str(options.manifest.resolve())])}"
    ends = time.monotonic() + 60 * options.minutes
    for name in options.names:
        folder = RUNS / name
        if (folder / "model").exists():
            continue
        if time.monotonic() > ends:
            break
        more = [f"model.backbone={name}", *form(name), *changes]
        factor = planned(folder, more, options.parameters, options.macs)
        if options.plan:
            continue
        more += [manifests, f"model.multiplier={factor}"]
        begun = time.monotonic()
        train(HERE / "small.yaml", more, output=folder, quiet=True)
        spent = time.monotonic() - begun
        atomic_json(folder / "time.json", {"seconds": round(spent, 1)})
        print(f"{name}: {spent:.0f} s, {more[-1]}", flush=True)


if __name__ == "__main__":
    script(main)
