"""The recipe scripts, from recordings to published weights, on a set that they can finish."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sepaudio import hub, io
from sepaudio.data import manifest, mixtures, timeline
from sepaudio.data.render import render

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "speech_music_noise"
RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes, three sources each, a recording a split."""
    folder = tmp_path_factory.mktemp("smn")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split"]
    t = np.arange(3 * RATE) / RATE
    for source in range(3):
        for split in ("train", "valid", "test"):
            sounds = {
                "speech": np.sin(2 * np.pi * (150 + 30 * source) * t) * (np.sin(9 * t) > 0),
                "music": np.sign(np.sin(2 * np.pi * (400 + 50 * source) * t)),
                "noise": random.standard_normal(len(t)),
            }
            for kind, x in sounds.items():
                name = f"{kind}_{source}_{split}.flac"
                x = 0.1 * x + 0.001 * random.standard_normal(len(t))
                io.write(folder / name, x.astype(np.float32), RATE)
                rows.append(f"{name},{kind},CC0-1.0,{kind}{source}@1:{name},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


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


def test_from_recordings_to_published_weights(folder):
    tiny = ["data.items=48", "optim.steps=6", "optim.batch=8"]
    names = ("swishnet_slim", "swishnet_wide", "mobilenet", "swishnet_fine")
    names = (*names, "swishnet_fine_distilled")
    script(folder, "train.py", tiny[0], "manifest.csv", "--recipes", *names, *tiny[1:])
    recipe = RECIPE / "swishnet_wide.yaml"
    runs = "runs/speech_music_noise"
    sizes = ["--folds", 2, "--runs", f"{runs}/compared"]
    out = script(folder, "leave_out.py", recipe, "manifest.csv", *tiny, *sizes)
    assert out.count("fold ") == 2
    plain = folder / runs / "compared" / "leave_out_swishnet_wide"
    shutil.copytree(plain, folder / runs / plain.name)
    fine, teachers = RECIPE / "swishnet_fine.yaml", ("mobilenet", "swishnet_fine")
    more = ["--teachers", *(RECIPE / f"{name}.yaml" for name in teachers), "--teacher-steps", 2]
    out = script(folder, "leave_out.py", fine, "manifest.csv", *tiny, *sizes, *more)
    assert out.count("fold ") == 2 and out.count(" and of mobilenet, swishnet_fine") == 2
    taught = hub.read_config(folder / runs / "swishnet_fine_distilled" / "model")["recipe"]
    assert taught["distill"]["mixed"] and taught["distill"]["weight"] == 1
    assert taught["distill"]["teacher"] == "mobilenet/model, swishnet_fine/model"
    out = script(folder, "probe.py", recipe, "manifest.csv", *tiny)
    whens = [line.split(":")[0] for line in out.splitlines()]
    assert whens == ["before", "after augmentation", "as drawn in training"]
    shutil.copy(RECIPE / "README.md", folder / "README.md")
    (folder / "weights").mkdir()
    script(folder, "evaluate.py", "manifest.csv", "--publish", "weights", "--into", folder)
    found = json.loads((folder / "results.json").read_text())
    names = {"swishnet_slim", "swishnet_wide", "swishnet_fine_distilled"}
    assert names | {"gains", "compared", "probe", "machine"} == set(found)
    sides = ["swishnet_wide", "mobilenet", "swishnet_fine", "swishnet_fine_distilled"]
    assert list(found["compared"]) == sides
    left = found["swishnet_wide"]["left out"][-1]
    assert left["recordings"] == 27  # every recording was left out once
    readme = (folder / "README.md").read_text()
    assert "Leave-one-source-out" in readme.split("<!-- results -->")[1]
    plain, ours = (
        found[run]["test"][-1]["accuracy"] for run in ("swishnet_wide", "swishnet_fine_distilled")
    )
    tested, *_, last = found["gains"].values()
    assert tested["accuracy"][0] == pytest.approx(100 * (ours - plain))
    assert last["recordings"] == 27
    folds = {run: one["scores"][-1]["accuracy"] for run, one in found["compared"].items()}
    wanted = 100 * (folds["swishnet_fine_distilled"] - folds["swishnet_fine"])
    assert last["accuracy"][0] == pytest.approx(wanted)
    assert "taught by mobilenet and swishnet_fine, weight 1, temperature 1, mixed clips" in readme
    assert readme.count("Accuracy at 2 s, fold by fold: ") == 4
    index = json.loads((folder / "weights" / "index.json").read_text())
    for name in index:
        assert hub.load(folder / "weights" / name).labels == ("noise", "music", "speech")
        assert "| noise0 | CC0-1.0 |" in (folder / "weights" / name / "README.md").read_text()


@pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")
def test_from_recordings_to_a_table_of_segmentations(folder, tmp_path):
    recipe = ROOT / "recipes" / "segmentation"
    for split in ("valid", "test"):
        sizes = ["--split", split, "--out", f"set/{split}", "--files", 1, "--seed", 1]
        script(folder, "../segmentation/make_set.py", "manifest.csv", *sizes)
    sizes = ["--unseen", "speech_music_noise", "--out", "set/unseen", "--files", 1]
    script(folder, "../segmentation/make_set.py", "manifest.csv", *sizes)
    made = json.loads((folder / "set/unseen/set.json").read_text())
    assert made["unseen"] == "speech_music_noise"  # of every split: nobody trained on these
    (one,) = timeline.read(folder / "set/test/labels.csv")
    assert one.seconds == pytest.approx(io.info(folder / "set/test/000.flac").duration, abs=1e-4)
    assert {s.label for s in one.segments} <= {"speech", "music", "noise", "silence"}
    shutil.copy(recipe / "README.md", tmp_path / "README.md")
    sets = ["--valid", "set/valid", "--test", "set/test", "--unseen", "set/unseen"]
    sets += ["--into", tmp_path]
    script(folder, "../segmentation/evaluate.py", *sets)
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == {"speech_music_noise", "speech_music_noise_slim"}
    text = (tmp_path / "README.md").read_text()
    assert text.count("`segment` as it ships") == 2
    assert text.count("Collections never trained on: 1 files") == 2
    assert set(found["speech_music_noise"]["unseen"]) == {"0", "0.25", "0.5", "0.75", "1"}


@pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")
def test_from_recordings_to_classes_judged_by_themselves(folder, tmp_path):
    for split in manifest.SPLITS:
        script(
            folder,
            "../segmentation/overlap.py",
            "make",
            "manifest.csv",
            "--split",
            split,
            "--files",
            1,
        )
    script(folder, "../segmentation/overlap.py", "train", "--steps", 3)
    shutil.copy(ROOT / "recipes" / "segmentation" / "README.md", tmp_path / "README.md")
    (tmp_path / "weights").mkdir()
    more = ["--publish", tmp_path / "weights", "--into", tmp_path]
    script(folder, "../segmentation/overlap.py", "evaluate", *more)
    found = json.loads((tmp_path / "overlap.json").read_text())
    assert set(found) == {"lowered", "one class at a time", "each by itself"}
    assert set(found["each by itself"]["everything"]) == {"music", "speech"}
    text = (tmp_path / "README.md").read_text()
    assert "| everything |" in text and "`segment` as it ships" in text
    net = hub.load(tmp_path / "weights" / "speech_over_music")
    assert net.several and net.labels == ("music", "speech")


def test_from_speakers_to_scores(tmp_path):
    """Lists, training and evaluation of recipes/real_small on voices of sine waves."""
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split,speaker,gender"]
    rate = 8000
    t = np.arange(9 * rate) / rate
    for number in range(9):
        split = ("train", "valid", "test")[number % 3]
        x = np.sin(2 * np.pi * (90 + 40 * number) * t) * (np.sin(2 * np.pi * t + number) > -0.3)
        x = 0.1 * x + 0.001 * random.standard_normal(len(t))
        io.write(tmp_path / f"s{number}.flac", x.astype(np.float32), rate)
        rows.append(
            f"s{number}.flac,speech,CC0-1.0,hum@1:s{number},{split},s{number},{'fm'[number % 2]}"
        )
    for kind in ("noise", "music"):
        for split in ("train", "valid", "test"):
            x = 0.1 * random.standard_normal(3 * rate).astype(np.float32)
            io.write(tmp_path / f"{kind}_{split}.flac", x, rate)
            rows.append(f"{kind}_{split}.flac,{kind},CC0-1.0,{kind}@1:{split},{split},,")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    recipe = ROOT / "recipes" / "real_small"

    def call(name, *arguments):
        return script(tmp_path, f"../real_small/{name}", *arguments)

    assert call("make_lists.py", "manifest.csv", "--mixtures", 2).count(".csv") == 8
    lists = tmp_path / "runs" / "real_small" / "lists"
    two, phone = (mixtures.read(lists / f"{x}.csv")[0] for x in ("two_speakers", "by_telephone"))
    first, second = render(two), render(phone)
    assert np.array_equal(first.mixture, second.mixture)
    assert len(first.enrollment) == len(second.enrollment)
    assert not np.allclose(first.enrollment, second.enrollment, atol=0.01)
    tiny = ["optim.steps=2", "optim.batch=2", "optim.valid_every=2", "data.valid_items=2"]
    tiny += ["data.mixing.seconds=1.0", "data.mixing.enrollment_seconds=1.0"]
    small = "model.tcn={bottleneck: 8, hidden: 8, n_blocks: 2, n_repeats: 2}"
    tiny += [small, "data.mixing.absent=0.0"]
    tiny += ["optim.compile=false", "optim.precision=32-true"]

    def stand_in(name, *others):  # for stages between, which a test of their own reads
        for other in others:
            shutil.copytree(runs / name / "model", runs / other / "model")

    runs = tmp_path / "runs/real_small"
    call("train.py", "manifest.csv", *tiny, "--recipes", "voices_small", "tsenet_small")
    stand_in("tsenet_small", "tsenet_small_muon")
    call("train.py", "manifest.csv", *tiny, "--recipes", "tsenet_small_voices")
    stand_in("tsenet_small_voices", "tsenet_small_colours")
    stand_in("voices_small", "voices_small_taught")
    last = ("tsenet_small_pair",)
    call("train.py", "manifest.csv", *tiny, "--recipes", *last)
    extractors = ("voices_small", "tsenet_small", "tsenet_small_voices", *last)
    tiny += ["data.mixing.enrollment_seconds=0.0"]
    call("train.py", "manifest.csv", *tiny, "--recipes", "mitas_small", "mitas_small_unshared")
    stand_in("mitas_small", "mitas_small_further")
    call("train.py", "manifest.csv", *tiny, "--recipes", "mitas_small_beyond")
    shutil.copy(recipe / "README.md", tmp_path / "README.md")
    (tmp_path / "weights").mkdir()
    there = find_spec("matplotlib") is not None
    more = ["--metrics", "snr", "--genders", "manifest.csv", *(["--plot"] if there else [])]
    shutil.copy(recipe / "stages.md", tmp_path / "stages.md")
    pages = [tmp_path / "README.md", tmp_path / "stages.md"]
    more += ["--readme", pages[0], "--stages", pages[1], "--publish", "weights"]
    call("evaluate.py", *more)
    texts = [page.read_text() for page in pages]
    shown, others = (set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) for text in texts)
    assert {"tsenet_small_colours", "mitas_small_beyond"} <= shown.difference(others)
    assert {"mitas_small_further", "voices_small"} <= others.difference(shown)
    text = "".join(texts)
    for name, models in (("two_speakers", 9), ("two_in_noise", 9), ("music", 5)):
        assert len(re.findall(rf"\| {name} +\| all +\| +2 \| si_snr ", text)) == models
        assert len(re.findall(rf"\| {name} +\| all +\| +2 \| snr ", text)) == models
    assert re.search(r"\| two_speakers \| (same|different) gender ", text)
    at_a_glance = text.partition("| network | two speakers |")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (\w+) \|(.*)\|$", at_a_glance, re.MULTILINE)
    figures = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}
    assert {"mitas_small", "voices_small", *extractors} <= figures.keys()
    for name in extractors:
        whole = re.escape(figures[name][0])
        part = text.partition(f"### {name}\n")[2].partition("### ")[0]
        if name.startswith("tsenet"):
            assert re.search(rf"\| two_speakers +\| all .* {whole} \(", part)
    found = json.loads((tmp_path / "runs/real_small/scores/results.json").read_text())
    lists = {"two_speakers", "two_in_noise", "by_telephone", "noise", "music", "absent"}
    assert set(found["tsenet_small_voices"]) == {*lists, "presence", "voices"}
    assert 0 <= found["voices_small"]["voices"]["equal_error_rate"] <= 1
    assert " nats. Measured on cpu" in text and "equal error rate" in text
    assert "Shared weights against unshared ones" in text
    index = json.loads((tmp_path / "weights" / "index.json").read_text())
    assert set(index) == {"one_speaker", "two_speakers"}
    for name in index:
        assert hub.load(tmp_path / "weights" / name).sample_rate == rate
        assert "| two_speakers" in (tmp_path / "weights" / name / "README.md").read_text()
    scores = tmp_path / "runs/real_small/scores/mitas_small"
    assert (scores / "two_speakers.csv").exists()
    assert (scores / "improvement.png").exists() == there


def test_from_clips_with_folds_to_published_weights(tmp_path):
    """Two of five folds, tiny, through training, tables and card."""
    rows = ["path,kind,license,source,split,fold"]
    random = np.random.default_rng(0)
    t = np.arange(RATE) / RATE
    labels = [
        "dog",
        "rooster",
        "rain",
        "sea_waves",
        "crackling_fire",
        "crying_baby",
        "sneezing",
        "clock_tick",
    ]
    for number, kind in enumerate([*labels, "helicopter", "chainsaw"]):
        for fold in (1, 2, 5):
            x = np.sin(2 * np.pi * 300 * (number + 1) * t) + 0.1 * random.standard_normal(RATE)
            name = f"{kind}{fold}.flac"
            io.write(tmp_path / name, (0.1 * x).astype(np.float32), RATE)
            license = {1: "CC-BY-3.0", 2: "CC0-1.0", 5: "CC0-1.0"}[fold]
            if (kind, fold) == ("dog", 2):
                license = "CC-Sampling+"
            rows.append(f"{name},{kind},{license},ESC-10@{number}{fold}:{name},train,{fold}")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    tiny = ["optim.steps=2", "optim.batch=4", "optim.valid_every=1", "model.multiplier=0.1"]
    tiny += ["model.seconds=1.0"]
    both = ["--recipes", "esresnet_separable", "esresnet_separable_attention"]
    more = ["--folds", 2, 5, "--quiet", *both, *tiny]
    assert script(tmp_path, "../esc10/train.py", "m.csv", *more).count("model\n") == 4
    shutil.copy(ROOT / "recipes" / "esc10" / "README.md", tmp_path / "README.md")
    (tmp_path / "weights").mkdir()
    more = ["--folds", 5, "--quiet", "--name", "half", *tiny]
    script(tmp_path, "../esc10/train.py", "m.csv", *more)
    script(tmp_path, "../esc10/evaluate.py", "--readme", tmp_path / "README.md", "--draws", 50)
    found = json.loads((tmp_path / "results.json").read_text())
    assert next(iter(found)) == "esresnet_separable" and len(found) == 3
    assert set(found["esresnet_separable"]["best"]["steps"]) == {"fold2", "fold5"}
    text = (tmp_path / "README.md").read_text()
    assert "| last step " in text and "| best step, chosen on the clips that judge it |" in text
    lines = [line.split("|")[1:-1] for line in text.splitlines() if " - esresnet_sep" in line]
    compared = {
        name.strip(): (float(gain.split()[0]), int(clips))
        for name, figure, gain, _, clips in lines
        if figure.strip() == "accuracy"
    }
    ours, theirs = (
        found[name]["last"]["figures"]["accuracy"]["value"]
        for name in ("esresnet_separable_attention", "esresnet_separable")
    )
    gain, clips = compared["esresnet_separable_attention - esresnet_separable"]
    assert clips == 20 and gain == pytest.approx(ours - theirs, abs=6e-4)
    assert compared["half - esresnet_separable"] == (0, 10)  # on the fold that both left out
    script(tmp_path, "../esc10/publish.py", "--into", "weights")
    model = hub.load(tmp_path / "weights" / "esc10")
    assert model.labels[5] == "crying_baby"
    about = hub.read_config(tmp_path / "weights" / "esc10")
    assert about["temperature"] != 1 and about["judged"]["on"] == "test"
    card = (tmp_path / "weights" / "esc10" / "README.md").read_text()
    assert "**fold 5 was not heard**" in card and "clips CC-BY-3.0" in card
    assert "Sampling" not in card and "true, in recordings" in card
    tiny = [word for word in tiny if "valid_every" not in word]
    more = ["--folds", 2, "--init", "weights/esc10", "--into", tmp_path]
    script(tmp_path, "../esc10/own_classes.py", "m.csv", *more, *tiny)
    text = (tmp_path / "README.md").read_text()
    assert text.count("| `weights/esc10` | ") == 2 and "| chance | all | " in text
    assert "| last step " in text  # what else stands there stays
