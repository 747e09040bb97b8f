"""The scripts that search and compress, on a set that they can finish."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sepaudio import hub, io

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes" / "esc10"
RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise and tones in three folds, and the files that are filled."""
    folder = tmp_path_factory.mktemp("esc")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split,fold"]
    t = np.arange(RATE) / RATE
    for fold in (1, 2, 3):
        for n in range(2):
            sounds = {
                "rain": 0.1 * random.standard_normal(len(t)),
                "tone": 0.3 * np.sin(2 * np.pi * (300 + 80 * n) * t),
            }
            for kind, x in sounds.items():
                name = f"{kind}_{fold}_{n}.wav"
                io.write(folder / name, x.astype(np.float32), RATE)
                rows.append(f"{name},{kind},CC0-1.0,set@{kind}{fold}{n}:{name},train,{fold}")
    (folder / "set.csv").write_text("\n".join(rows) + "\n")
    for name in ("search.md", "compress.md"):
        (folder / name).write_text((RECIPES / name).read_text())
    return folder


TINY = [
    'model.labels=["rain", "tone"]',
    "model.seconds=1.0",
    "optim.steps=2",
    "optim.batch=4",
    "optim.warmup=1",
    "optim.valid_every=0",
]


def script(folder, name, *arguments):
    done = subprocess.run(
        [sys.executable, str(RECIPES / name), "set.csv", "--into", ".", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_network_is_searched_for_trained_and_compressed(folder):
    asked = ["--latency", "1000ms", "--fold", "1", "--held", "2"]
    few = ["search.steps=4", "search.every=2", "search.drawn=2"]
    told = script(folder, "search.py", *asked, *few, *TINY)
    assert "| found for 1000 ms |" in told and told.strip() in (folder / "search.md").read_text()
    made = folder / "runs" / "esc10_search" / "found_1000ms"
    model = hub.load(made / "seed1" / "model")
    assert model.cfg.backbone.stages and model.cfg.multiplier == 1.0
    again = script(folder, "search.py", *asked, *few, *TINY)  # nothing is searched again
    assert again.splitlines()[-1] == told.splitlines()[-1]


@pytest.mark.slow
def test_a_tagger_is_compressed(folder):
    hand = folder / "runs" / "esc10_search" / "esresnet_small" / "seed1" / "model"
    told = script(folder, "compress.py", "--model", str(hand), "--fold", "1", "--bits", "4", *TINY)
    assert "| 4 bits |" in told and told.strip() in (folder / "compress.md").read_text()
    assert hub.read_config(folder / "runs" / "esc10_compress" / "bits_4" / "model")["format"] == 2
