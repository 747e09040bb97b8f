"""A set of clips in three folds, and a recipe that trains on it."""

import numpy as np
import pytest
import torch

from sepaudio import io, registry
from sepaudio.training import clips as module
from sepaudio.training import recipe as recipes

RATE = 1000
YAML = """
architecture: esresnet_test
model: {channels: 1, seconds: 1.0}
seed: 3
license: CC0-1.0
data:
  manifests: [manifest.csv]
  fold: 2
  augment: {stretch: 1.2, place: random, roll: 0.5, gain_db: 6.0, mixup: 1.0, mixed: 0.5, boxes: 1}
optim: {steps: 8, batch: 4, save_every: 0.0, warmup: 2, valid_every: 4, ema: 0.5}
"""


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Tones are speech; three folds of two clips a class."""
    folder = tmp_path_factory.mktemp("folds")
    random = np.random.default_rng(0)
    rows = ["path,kind,license,source,split,fold"]
    for fold in (1, 2, 3):
        for number in range(2):
            t = np.arange(1300) / RATE
            tone = 0.3 * np.sin(2 * np.pi * (60 + 20 * number) * t)
            for kind, x in (("speech", tone), ("noise", 0.1 * random.standard_normal(len(t)))):
                name = f"{kind}_{fold}_{number}.wav"
                io.write(folder / name, x.astype(np.float32), RATE)
                license = "CC-BY-NC-4.0" if (fold, number) == (3, 1) else "CC0-1.0"
                split = {3: "test"}.get(fold, "train")
                rows.append(f"{name},{kind},{license},{kind}s@{fold}:x,{split},{fold}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    return folder


def read(folds, tmp_path, *more):
    return recipes.read(folds / "recipe.yaml", [f"data.shelf={tmp_path / 'shelf'}", *more])


def loaded(recipe):
    torch.manual_seed(recipe.seed)
    model = registry.create(recipe.architecture, **recipe.model)
    return model, module.load(recipe, model)


def sounds(folds, root, **classes):
    """A folder of class folders, from the clips of `folds`."""
    for name, (kind, n) in classes.items():
        (root / name).mkdir(parents=True)
        for number, path in enumerate(sorted(folds.glob(f"{kind}_*.wav"))[:n]):
            (root / name / f"{number}.wav").write_bytes(path.read_bytes())
    return root
