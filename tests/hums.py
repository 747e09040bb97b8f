"""A set of speakers who hum, and recipes that train on it."""

import numpy as np
import pytest

from sepaudio import io

RATE = 1000
RECIPE = """
architecture: {architecture}
license: CC0-1.0
seed: 3
data:
  manifests: [manifest.csv]
  shelf: {shelf}
  valid_items: 8
  mixing: {{sample_rate: 1000, seconds: 0.5, enrollment_seconds: 0.5, least_seconds: 0.3}}
optim: {{steps: 4, batch: 4, lr: 0.01, warmup: 2, valid_every: 2}}
"""


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """Speakers who hum, each at a pitch of his own."""
    folder = tmp_path_factory.mktemp("speakers")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split,speaker"]
    t = np.arange(2 * RATE) / RATE
    for number in range(8):
        split = "train" if number < 5 else "valid"
        for take in range(2):
            name = f"s{number}_{take}.wav"
            x = np.sin(2 * np.pi * (40 + 45 * number) * t + random.uniform(0, 6))
            x = 0.1 * x * (1 + 0.5 * np.sin(3 * t + take)) + 0.002 * random.standard_normal(len(t))
            io.write(folder / name, x.astype(np.float32), RATE)
            rows.append(f"{name},speech,CC0-1.0,hum@1:{name},{split},s{number}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def recipe_of(speakers, tmp_path, architecture):
    path = speakers / f"{architecture}.yaml"
    path.write_text(RECIPE.format(architecture=architecture, shelf=tmp_path / "shelf"))
    return path
