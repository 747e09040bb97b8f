"""`sepaudio evaluate MODEL MANIFEST` of classifiers: every figure, on the recordings that ship."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cli import call

from sepaudio import hub, io, registry
from sepaudio.verbs import evaluate, evaluate_several, judged

SAMPLES = Path(__file__).parent.parent / "samples"
SLIM = "speech_music_noise_slim"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """The samples, and what a listener hears in them."""
    path = tmp_path_factory.mktemp("samples") / "manifest.csv"
    with (SAMPLES / "expected.csv").open() as file:
        rows = [
            f"{SAMPLES / r['file']},{r['label']},CC0-1.0,s@1:x,test" for r in csv.DictReader(file)
        ]
    path.write_text("path,kind,license,source,split\n" + "\n".join(rows) + "\n")
    return path


def test_all_figures_files_and_another_model(manifest, capfd, tmp_path):
    plot = ("--plot", tmp_path / "p.png") if find_spec("matplotlib") else ()
    more = ("--compare", "speech_music_noise", "-o", tmp_path / "out", "--seconds", "[1,2]", *plot)
    code, out, err = call(capfd, "evaluate", SLIM, manifest, *more)
    assert code == 0, err
    for figure in ("accuracy", "balanced accuracy", "macro f1", "mean average precision"):
        assert f"| {figure} " in out
    assert "calibration error" in out and "| true, in recordings |" in out
    assert "| 1 s |" in out and "by windows of 2 s" in out
    assert "hours of audio per minute" in err
    assert f"{SLIM} - speech_music_noise" in out and "McNemar" in out
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(found["classes"]["speech"]) >= {"precision", "recall", "f1", "average_precision"}
    assert {"value", "interval"} == set(found["figures"]["accuracy"])
    assert [w["seconds"] for w in found["windows"]] == [1.0, 2.0]
    assert found["compared"]["figures"]["accuracy"]["difference"] <= 0
    table = (tmp_path / "out" / "confusion.csv").read_text().splitlines()
    assert table[0].split(",")[1:] == ["music", "noise", "speech"]
    assert len((tmp_path / "out" / "files.csv").read_text().splitlines()) == found["files"] + 1
    assert not plot or (tmp_path / "p.png").stat().st_size > 10_000


def test_a_class_without_recordings_is_named_and_left_out(capfd, tmp_path):
    """Of three classes two occur: those have recalls, and balanced accuracy is their mean."""
    torch.manual_seed(0)
    net = registry.create("swishnet_test", labels=("music", "noise", "speech")).eval()
    model = hub.save(net, tmp_path / "net", card="# test\n")
    lines = ["path,kind,license,source,split"]
    for i, kind in enumerate(("speech", "noise", "speech", "noise")):
        x = np.random.default_rng(i).standard_normal(1500).astype(np.float32)
        io.write(tmp_path / f"{i}.wav", 0.1 * x, 1000)
        lines.append(f"{i}.wav,{kind},CC0-1.0,s@1:x,test")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    code, out, err = call(capfd, "evaluate", model, tmp_path / "m.csv", "-o", tmp_path / "out")
    assert code == 0, err
    assert "No recording is of music: no recall there" in out
    assert "| speech or not |" in out
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["absent"] == ["music"]
    assert found["classes"]["music"]["recordings"] == 0
    assert found["classes"]["music"]["recall"] is None
    recalls = [found["classes"][k]["recall"] for k in ("noise", "speech")]
    assert found["figures"]["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    table = found["confusion"]
    assert table["rows"][table["labels"].index("music")] == [0, 0, 0]
    for windows in found["windows"]:
        assert set(windows["recall"]) == {"noise", "speech"}
        assert windows["balanced"] == pytest.approx(np.mean(list(windows["recall"].values())))
        assert windows["confusion"][0] == [0, 0, 0]
    lines = [line.replace("speech,", "wind,").replace("noise,", "rain,") for line in lines]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    code, _, err = call(capfd, "evaluate", model, tmp_path / "m.csv")
    assert code == 2 and "expected some of a label of the model; there are rain, wind" in err


def test_windows_have_no_column_of_speech_without_that_class():
    score = evaluate.Score(
        seconds=1, recordings=2, windows=4, accuracy=0.5, balanced=0.5, interval=(0, 1),
        speech=None, recall={"rain": 0.5}, f1={}, calibration_error=0.25, confusion=[],
    )  # fmt: skip
    head, rule, row = evaluate.as_markdown([score], ["rain", "wind"]).splitlines()
    assert "speech" not in head and len({line.count("|") for line in (head, rule, row)}) == 1
    assert row == "| 1 s | 50.0 | 50.0 (0.0 to 100.0) | 50.0 |  | 25.0 | 4 |"


def test_another_models_classes_must_be_the_same(manifest, capfd):
    code, _, err = call(capfd, "evaluate", SLIM, manifest, "--compare", "esc10")
    assert code == 2
    assert "esc10 knows dog, rooster" in err and "expected the classes of" in err


def test_a_model_of_several_classes_is_judged_by_each(capfd, tmp_path):
    torch.manual_seed(0)
    net = registry.create("swishnet_test", labels=("music", "speech"), several=True)
    model = hub.save(net.eval(), tmp_path / "net", card="# test\n")
    lines = ["path,kind,license,source,split"]
    for i, kind in enumerate(("music", "speech", "music|speech")):
        x = np.random.default_rng(i).standard_normal(1500).astype(np.float32)
        io.write(tmp_path / f"{i}.wav", 0.1 * x, 1000)
        lines.append(f"{i}.wav,{kind},CC0-1.0,s@1:x,test")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    code, out, err = call(capfd, "evaluate", model, tmp_path / "m.csv", "-o", tmp_path / "out")
    assert code == 0, err
    assert "| mean average precision " in out and "| micro f1 " in out and "window |" not in out
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["classes"]["music"]["recordings"] == 2


def test_figures_of_several_classes_by_hand():
    hits = [[1, 0], [1, 1], [0, 1], [0, 0]]
    chances = [[0.9, 0.1], [0.6, 0.8], [0.7, 0.4], [0.2, 0.3]]
    one = evaluate_several.judge("abcd", ("x", "y"), hits, chances)
    found = one.figures(np.ones(4))
    assert found["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    twice = evaluate_several.judge(
        "aabbccdd", ("x", "y"), *(np.repeat(p, 2, 0) for p in (hits, chances))
    )
    again = one.figures(np.array([2.0, 2, 2, 2]))
    assert again == pytest.approx(dict(twice.figures(np.ones(8))))
    with pytest.raises(ValueError, match=r"expected \[1, 2\] of both"):
        evaluate_several.judge("a", ("x", "y"), hits, chances)


def test_intervals_draw_groups_again():
    """Two files of each recording, alike: as wide as with one of each, not narrower."""
    random = np.random.default_rng(0)
    hits = random.random((30, 2)) < 0.5
    chances = np.clip(hits + random.normal(0, 0.6, hits.shape), 0, 1)
    names = [f"f{i}" for i in range(30)]
    two = [np.repeat(part, 2, axis=0) for part in (hits, chances)]
    files = [f"{name}{take}" for name in names for take in "ab"]
    widths = []
    for judge in (
        evaluate_several.judge(names, ("x", "y"), hits, chances),
        evaluate_several.judge(files, ("x", "y"), *two, np.repeat(names, 2).tolist()),
        evaluate_several.judge(files, ("x", "y"), *two),
    ):
        low, high = judged.summarise(judge)["figures"]["micro_f1"]["interval"]
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[2] < 0.85 * widths[1]
