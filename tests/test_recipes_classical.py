"""The recipe of the classical baselines, from recordings to its tables."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_classical import sound

from sepaudio import hub, io

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "classical"
RATE = 8000  # of test_classical's sounds


def script(folder, name, *arguments):
    done = subprocess.run(
        [sys.executable, str(RECIPE / name), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(find_spec("sklearn") is None, reason="needs scikit-learn")
def test_from_recordings_to_tables(tmp_path):
    meta, rows = ["filename,fold,category"], ["path,kind,license,source,split"]
    kinds = {"tone": "music", "hiss": "noise", "click": "speech"}
    (tmp_path / "audio").mkdir()
    for number in range(6):
        for k, (kind, name) in enumerate(kinds.items()):
            file = f"{kind}{number}.wav"
            io.write(tmp_path / "audio" / file, sound(kind, 7 * number + k, 2.0), RATE)
            meta.append(f"{file},{number % 3 + 1},{kind}")
            split = ("train", "valid", "test")[number % 3]
            rows.append(f"audio/{file},{name},CC0-1.0,x@1:{file},{split}")
    (tmp_path / "meta.csv").write_text("\n".join(meta) + "\n")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    folds = ["--folds", "meta.csv", "--audio", "audio", "manifest.csv"]
    out = script(tmp_path, "train.py", *folds, "--components", 4, "--frames", 200, "--costs", 1)
    assert out.count("% of what was held out") == 2 * (3 + 1)
    shutil.copy(RECIPE / "README.md", tmp_path / "README.md")
    script(tmp_path, "evaluate.py", *folds, "--into", tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["folds"]) == set(found["speech_music_noise"]) == {"votes", "fisher"}
    assert found["folds"]["fisher"]["files"] == 18
    assert len(found["folds"]["fisher"]["folds"]) == 3
    assert found["folds"]["fisher"]["figures"]["accuracy"]["value"] > 0.8
    assert "fisher - votes" in (tmp_path / "README.md").read_text()
    about = hub.read_config(tmp_path / "runs/classical/folds/fisher/2")
    assert (about["architecture"], about["labels"]) == ("fisher_svm", ["click", "hiss", "tone"])
