"""Recipes for classes: the commands of their READMEs, on sets of a few seconds in their layout."""

import json
import re
import runpy
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import trees

from sepaudio import classify, hub, io
from sepaudio.training import recipe as recipes
from sepaudio.verbs.results import fill

ROOT = Path(__file__).parent.parent
NAMES = ("audioset", "class_folders", "esc50", "fma", "gtzan_genres", "urbansound8k")
TINY = [
    *("optim.steps=2", "optim.batch=4", "optim.valid_every=0", "model.multiplier=0.1"),
    *("model.seconds=0.3", "--quiet"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch, *words):
    """Run `python script ...`."""
    monkeypatch.setattr(sys, "argv", [str(ROOT / words[1]), *words[2:]])
    runpy.run_path(str(ROOT / words[1]), run_name="__main__")


def follow(monkeypatch, name, *more):
    """Do what the README of a recipe says, with tiny networks; returns its block of results."""
    readme = ROOT / "recipes" / name / "README.md"
    shutil.copy(readme, "README.md")
    commands = re.search(r"```bash\n(.*?)```", readme.read_text(), re.DOTALL)[1]
    options = {"train.py": [*TINY, *more], "evaluate.py": ["--readme", "README.md"]}
    for line in commands.splitlines():
        words = [w for w in shlex.split(line) if find_spec("matplotlib") or w != "--plot"]
        added = options.get(Path(words[1]).name, [])
        if "--init" in words:  # what it starts from says what the model is
            added = [word for word in added if not word.startswith(("model.", "optim.steps"))]
            words = [word.replace("steps=100", "steps=2") for word in words]
        call(monkeypatch, *words, *added)
    text = Path("README.md").read_text()
    return text.split("<!-- results -->")[1]


def summary(name, recipe="esresnet_separable"):
    return json.loads(Path(f"runs/{name}/scores/{recipe}/summary.json").read_text())


def test_every_recipe_for_classes_parses_and_is_followed_here():
    found = {path.parent.name for path in ROOT.glob("recipes/*/train.py")}
    assert set(NAMES) <= found
    for name in NAMES:
        for path in (ROOT / "recipes" / name).glob("*.yaml"):
            assert isinstance(recipes.read(path), recipes.ClipRecipeCfg)
        fill_me = (ROOT / "recipes" / name / "README.md").read_text()
        assert fill_me.count("<!-- results -->") == fill_me.count("<!-- end results -->") == 1


def esc_tree(folder, labels, folds):
    lines = []
    for fold in folds:
        for number, label in enumerate(labels):
            name = f"{fold}-{fold}{number}-A-{number}.wav"
            trees.sound(folder / "ESC-50" / "audio" / name, 0.3)
            line = {"filename": name, "fold": fold, "target": number, "category": label}
            lines.append({**line, "esc10": "False", "src_file": f"{fold}{number}", "take": "A"})
    trees.table(folder / "ESC-50" / "meta" / "esc50.csv", lines)


def test_esc50(folder, monkeypatch):
    esc_tree(folder, ("dog", "pig", "rain"), (1, 2))
    text = follow(monkeypatch, "esc50", "model.labels=[dog, pig, rain]")
    assert re.search(r"\| accuracy, % +\| fold1 \| fold2 \|", text)
    assert "6 clips of 6 recordings" in text and "times real time" in text
    assert "| macro f1 " in text and "| mean average precision " in text
    about = hub.read_config("runs/esc50/esresnet_separable/fold2/model")
    assert about["license"] == "CC-BY-NC-3.0"
    header, *lines = Path("runs/esc50/scores/esresnet_separable/confusion.csv").read_text().split()
    assert header == "true,dog,pig,rain" and len(lines) == 3


def test_urbansound8k_and_its_folds_shuffled(folder, monkeypatch, capsys):
    lines = []
    for fold in (1, 2):
        for number, label in enumerate(("siren", "drilling")):
            for take in range(2):
                name = f"{fold}{number}-{number}-0-{take}.wav"
                trees.sound(folder / "UrbanSound8K/audio" / f"fold{fold}" / name, 0.3)
                line = {"slice_file_name": name, "fsID": f"{fold}{number}", "fold": fold}
                lines.append({**line, "class": label})
    trees.table(folder / "UrbanSound8K/metadata/UrbanSound8K.csv", lines)
    few = "model.labels=[drilling, siren]"
    text = follow(monkeypatch, "urbansound8k", few)
    assert "8 clips of 4 recordings" in text and "shuffled" not in text
    shuffled = ["--name", "shuffled", "data.folds=shuffled", "--folds", "1", few, *TINY]
    script = "recipes/urbansound8k/train.py"
    call(monkeypatch, "python", script, "urbansound8k.csv", *shuffled)
    assert "folds are shuffled by chance" in capsys.readouterr().err
    call(monkeypatch, "python", "recipes/urbansound8k/evaluate.py", "--readme", "README.md")
    assert "**Folds are shuffled by chance" in Path("README.md").read_text()
    rows = Path("urbansound8k.csv").read_text().splitlines()
    split = rows[0].split(",").index("split")
    cut = [row.split(",") for row in rows]
    cut[1][split] = "test"  # as a split by chance would: it cuts through a fold
    Path("cut.csv").write_text("\n".join(",".join(row) for row in cut) + "\n")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "python", script, "cut.csv", "--folds", "0", few, *TINY)
    assert "say data.folds=shuffled if you mean it" in capsys.readouterr().err


def test_gtzan_genres(folder, monkeypatch):
    artists = []
    for genre in ("blues", "jazz"):
        for number in range(10):
            trees.sound(folder / "genres" / genre / f"{genre}.{number:05d}.wav", 0.4)
            artists.append(f"{genre}.{number:05d}.wav ::: {genre} artist {number // 2} ::: x")
    (folder / "index.txt").write_text("\n".join(artists) + "\n")
    text = follow(monkeypatch, "gtzan_genres", "model.labels=[blues, jazz]")
    assert re.search(r"\| accuracy, % +\| split \|", text)
    found = summary("gtzan_genres")["last"]
    assert f"{found['files']} clips of {found['files'] // 2} recordings" in text  # of artists
    about = hub.read_config("runs/gtzan_genres/esresnet_separable/split/model")
    assert about["judged"]["on"] == "valid"


def test_fma(folder, monkeypatch):
    head = ",set,set,track,track\n,split,subset,genre_top,license\ntrack_id,,,,\n"
    lines = []
    for number in range(8):
        split = ("training", "training", "validation", "test")[number // 2]
        genre = ("Rock", "Hip-Hop")[number % 2]
        lines.append(f"{number},{split},small,{genre},{'CC BY' if number else 'CC BY-NC'}")
        trees.sound(folder / "fma_small" / "000" / f"{number:06d}.mp3", 6.0, 16000)
    (folder / "fma_metadata").mkdir()
    (folder / "fma_metadata" / "tracks.csv").write_text(head + "\n".join(lines) + "\n")
    text = follow(monkeypatch, "fma", "model.labels=[hip_hop, rock]")
    assert "2 clips of 2 recordings" in text


def test_several_classes_a_clip(folder, monkeypatch):
    """A tone and bursts of noise, one, both or none: learned well enough to tell them apart."""
    random, t = np.random.default_rng(0), np.arange(16000) / 16000
    for table, n in (("balanced_train", 24), ("eval", 12)):
        lines = []
        for number in range(n):
            labels = ("/m/tone", "/m/noise", "/m/tone,/m/noise")[number % 3]
            x = 0.001 * random.standard_normal(len(t))
            if "tone" in labels:
                x += 0.1 * np.sin(2 * np.pi * random.uniform(300, 900) * t)
            if "noise" in labels:
                x += 0.1 * random.standard_normal(len(t))
            name = f"{table}{number}"
            path = folder / "audio" / f"{name}.wav"
            path.parent.mkdir(exist_ok=True)
            io.write(path, x.astype(np.float32), 16000)
            lines.append(f'{name}, 0.0, 1.0, "{labels},/m/other"')
        (folder / f"{table}_segments.csv").write_text("# id\n" + "\n".join(lines) + "\n")
    (folder / "classes.csv").write_text("label,kind\n/m/tone,tone\n/m/noise,noise\n")
    more = ("optim.steps=150", "optim.batch=8", "optim.valid_every=75", "optim.ema=0.9")
    more += ("optim.warmup=5", "model.seconds=0.5", "data.augment.mixed=0.2")
    text = follow(monkeypatch, "audioset", *more)
    assert "| mean average precision, % " in text and "| micro f1" in text
    found = summary("audioset")["last"]
    # by chance 0.67; what 150 steps make of it differs from machine to machine, 0.9 and more
    assert found["figures"]["mean_average_precision"]["value"] > 0.85
    assert found["confusion"]["labels"] == []  # no class is taken for another
    assert found["classes"]["tone"]["recordings"] == 8
    net = hub.load("runs/audioset/esresnet_separable/split/model")
    assert net.labels == ("noise", "tone") and net.several
    x, rate = io.read(folder / "audio/eval2.wav")  # both
    said = classify(x[:8000], rate, model=net).probabilities
    with torch.inference_mode():
        wanted = net.clip(torch.from_numpy(x[None, :8000])).sigmoid()[0].tolist()
    assert [said[label] for label in net.labels] == pytest.approx(wanted, rel=1e-5)


def test_class_folders_from_nothing_and_from_weights_that_ship(folder, monkeypatch):
    for kind in ("cello", "flute"):
        for number in range(6):
            trees.sound(folder / "music" / f"fsdkaggle_{kind}_{number:08x}.wav", 0.5)
    text = follow(monkeypatch, "class_folders")
    titles = re.findall(r"### (\w+)", text)
    assert titles == ["esresnet_separable", "from_esc10", "Compared"]
    assert "from_esc10 - esresnet_separable" in text and ", from `esc10`" in text
    assert ("confusion.png" in {p.name for p in Path("runs").rglob("*.png")}) == bool(
        find_spec("matplotlib")
    )


def test_what_cannot_be_judged_is_refused(folder, monkeypatch):
    with pytest.raises(SystemExit, match="no trained model in runs/fma"):
        call(monkeypatch, "python", "recipes/fma/evaluate.py")
    Path("README.md").write_text("none")
    with pytest.raises(ValueError, match="expected <!-- results -->"):
        fill("README.md", "text")
