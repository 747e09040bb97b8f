"""SwishNet to the letter: MUSAN and GTZAN in their real layout, small, from folders to tables."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import trees
from test_recipes_listed import ROOT, call

from sepaudio import hub
from sepaudio.data import manifest

pytestmark = pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")
MUSAN = {"music": ("fma", "jamendo"), "noise": ("free-sound", "sound-bible"), "speech": ("us-gov",)}
TINY = ["optim.epochs=1", "optim.batch=8"]


@pytest.fixture
def musan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, folders in MUSAN.items():
        for folder in folders:
            for i in range(6 // len(folders)):
                trees.sound(Path("musan") / kind / folder / f"{kind}-{folder}-{i:04}.wav", 1.2)
            (Path("musan") / kind / folder / "LICENSE").write_text("")
    (Path("musan") / "README").write_text("")
    call(monkeypatch, "python", "data_prep/musan.py", "--root", "musan", "--out", "musan.csv")
    return Path("musan.csv")


def test_the_split_is_by_file_and_always_the_same(musan, monkeypatch):
    rows = manifest.read(musan)
    splits = [(row.kind, row.split) for row in rows]
    assert splits.count(("speech", "train")) == 4 and splits.count(("speech", "test")) == 1
    assert {split for _, split in splits} == {"train", "valid", "test"}
    call(monkeypatch, "python", "data_prep/musan.py", "--root", "musan", "--out", "again.csv")
    assert musan.read_text() == Path("again.csv").read_text()


def test_from_musan_to_the_table_and_on_to_gtzan(musan, monkeypatch):
    recipe, torch_threads = ROOT / "recipes" / "musan", torch.get_num_threads()
    monkeypatch.syspath_prepend(str(recipe))
    names = ["mobilenet", "swishnet_slim", "swishnet_wide_distilled", "snn", "gmm"]
    words = ["--seconds", "0.5", "--components", "4", "--networks", *names]
    train = ["python", "recipes/musan/train.py", str(musan), "data.bank=runs/f", *TINY, *words]
    call(monkeypatch, *train)
    made = sorted(p.parent.name for p in Path("runs/musan").glob("*/model"))
    assert made == sorted(["gmm", "snn", *(f"{name}_0.5s" for name in names[:3])])
    taught = hub.read_config("runs/musan/swishnet_wide_distilled_0.5s/model")["recipe"]
    assert taught["distill"]["temperature"] == 8.0 and taught["optim"]["batch"] == 8
    assert taught["distill"]["teacher"] == "mobilenet_0.5s/model"
    before = Path("runs/musan/gmm/model/config.json").stat().st_mtime_ns
    call(monkeypatch, *train)  # nothing is made twice
    assert Path("runs/musan/gmm/model/config.json").stat().st_mtime_ns == before
    sets = []
    for split in ("valid", "test"):
        more = ["--split", split, "--out", f"set/{split}", "--files", "1", "--loudness", "paper"]
        call(monkeypatch, "python", "recipes/segmentation/make_set.py", str(musan), *more)
        sets.append(f"set/{split}")
    shutil.copy(recipe / "README.md", "README.md")
    more = ["--segments", *sets, "--every", "20", "--into", "."]
    call(monkeypatch, "python", "recipes/musan/evaluate.py", str(musan), *more)
    found = json.loads(Path("results.json").read_text())
    assert len(found["runs"]) == 5 and len(found["clips"]) == 3 + 2 * 3
    assert found["runs"]["swishnet_slim_0.5s"]["parameters"] == 5483
    assert found["runs"]["snn"]["parameters"] == 179203
    text = Path("README.md").read_text()
    linked = set(re.findall(r"\]\(#(run-[\w-]+)\)", text))
    assert linked == set(re.findall(r'<a id="(run-[\w-]+)">', text)) and len(linked) == 5
    assert "98.05 / 99.45" in text  # the paper's cell stands beside ours
    gtzan(monkeypatch)
    torch.set_num_threads(torch_threads)


def gtzan(monkeypatch):
    """What was trained on one set is carried over to the other: a head of two classes."""
    for kind in ("music", "speech"):
        for i in range(8):
            trees.sound(Path("gtzan") / f"{kind}_wav" / f"{kind}{i}.wav", 1.0, rate=22050)
    words = ["--root", "gtzan", "--out", "gtzan.csv"]
    call(monkeypatch, "python", "data_prep/gtzan_music_speech.py", *words)
    recipe = ROOT / "recipes" / "gtzan_music_speech"
    words = ["gtzan.csv", "data.bank=runs/f2", *TINY, "--seconds", "0.5"]
    call(monkeypatch, "python", "recipes/gtzan_music_speech/train.py", *words)
    config = hub.read_config("runs/gtzan_music_speech/swishnet_wide_distilled/model")
    assert config["labels"] == ["music", "speech"]
    assert config["init"]["name"] == "swishnet_wide_distilled_0.5s/model"
    assert config["init"]["new"] == ["head"]
    Path("into").mkdir()
    shutil.copy(recipe / "README.md", "into/README.md")
    words = ["gtzan.csv", "--into", "into"]
    call(monkeypatch, "python", "recipes/gtzan_music_speech/evaluate.py", *words)
    found = json.loads(Path("into/results.json").read_text())
    assert set(found) == {"swishnet_slim", "swishnet_wide_distilled", "mobilenet"}
    assert found["mobilenet"]["recordings"] == 12  # three quarters


class Middle:
    """A network that names a clip by the frame in its middle."""

    def clip_logits(self, x):
        return x[..., x.shape[-1] // 2]


@pytest.mark.parametrize("every", [1, 5])
def test_every_frame_is_named_by_the_clip_around_it(monkeypatch, every):
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "musan"))
    from segments import chances_of

    x = torch.randn(3, 1234, generator=torch.Generator().manual_seed(0))
    found = torch.from_numpy(chances_of(Middle(), x, 50, every))
    middles = (torch.arange(1234) // every * every + every // 2).clamp(max=1233)
    assert torch.allclose(found, x[:, middles].softmax(dim=0).T)
