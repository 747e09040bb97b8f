"""The comparison of image networks, from clips to table and plot."""

import json
import runpy
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sepaudio import hub, io

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "esc10" / "backbones"
RATE = 8000
TINY = ["optim.steps=2", "optim.batch=2", "model.seconds=2.5", "data.fold=1"]
LABELS = [
    *("dog", "rooster", "rain", "sea_waves", "crackling_fire"),
    *("crying_baby", "sneezing", "clock_tick", "helicopter", "chainsaw"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(RECIPE))  # as where a script is called
    yield tmp_path
    sys.modules.pop("train", None)


def call(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [str(RECIPE / name), *map(str, arguments)])
    runpy.run_path(str(RECIPE / name), run_name="__main__")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")
def test_from_clips_to_a_picture_for_choosing(folder, monkeypatch, capsys):
    """A network of each size of picture; what is trained is not trained again."""
    rows = ["path,kind,license,source,split,fold"]
    t = np.arange(RATE) / RATE
    for number, kind in enumerate(LABELS):
        for fold in (1, 2):
            name = f"{kind}{fold}.flac"
            x = 0.1 * np.sin(2 * np.pi * 200 * (number + 1) * t)
            io.write(folder / name, x.astype(np.float32), RATE)
            rows.append(f"{name},{kind},CC0-1.0,ESC-10@{number}{fold}:{name},train,{fold}")
    (folder / "m.csv").write_text("\n".join(rows) + "\n")
    train = ["train.py", "m.csv", "--parameters", 30000, "--names", "mobilenet_v1", "lenet5"]
    call(monkeypatch, *train, *TINY)
    out = capsys.readouterr().out
    assert "mobilenet_v1: " in out and "lenet5: " in out
    call(monkeypatch, *train, *TINY)
    assert capsys.readouterr().out == ""
    full, half = (
        hub.load(folder / "runs/esc10_backbones" / name / "model")
        for name in ("mobilenet_v1", "lenet5")
    )
    assert (full.frontend.rows, half.frontend.rows) == (80, 40)
    assert full.frontend.hop * 2 == half.frontend.hop

    shutil.copy(RECIPE / "README.md", folder / "README.md")
    call(monkeypatch, "evaluate.py", "--repeats", 2, "--into", folder)
    found = json.loads((folder / "results.json").read_text())
    assert set(found) == {"mobilenet_v1", "lenet5"}
    for name, model in (("mobilenet_v1", full), ("lenet5", half)):
        one = found[name]
        assert one["parameters"] == sum(p.numel() for p in model.parameters())
        assert abs(one["parameters"] - 30000) < 10000
        assert one["clips"] == 10 and 0 <= one["accuracy"] <= 1
        assert one["seconds"]["cpu"]["1"] > 0 and one["macs"] > 0
    text = (folder / "README.md").read_text()
    assert "| `lenet5`* | plain |" in text and "| `mobilenet_v1` | separable |" in text
    assert "Not trained here: `alexnet`, " in text
    assert (folder / "backbones.png").read_bytes().startswith(b"\x89PNG")
