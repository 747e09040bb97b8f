"""Recipes on published lists: the commands of their READMEs, on corpora of a few seconds."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import trees

from sepaudio import cli, hub
from sepaudio.data import mixtures
from sepaudio.frontends import fingerprint
from sepaudio.verbs.results import fill

ROOT = Path(__file__).parent.parent
TINY = [
    *("data.workers=0", "data.valid_items=2", "data.lists.seconds=0.8", "optim.batch=2"),
    *("optim.steps=2", "optim.valid_every=2", "model.n_filters=8", "model.tcn.bottleneck=4"),
    *("model.tcn.hidden=6", "model.tcn.n_blocks=2", "model.tcn.n_repeats=2"),
]
FRONT_END = ["components=2", "steps=1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch, *words):
    """Run `python script ...`, `sepaudio ...` or `mkdir -p folder`."""
    if words[0] == "mkdir":
        Path(words[-1]).mkdir(parents=True)
    elif words[0] == "sepaudio":
        with pytest.raises(SystemExit) as done:
            cli.main([*words[1:]])
        assert done.value.code == 0, words
    else:
        monkeypatch.setattr(sys, "argv", [str(ROOT / words[1]), *words[2:]])
        runpy.run_path(str(ROOT / words[1]), run_name="__main__")


def follow(monkeypatch, name):
    """Do what the README of a recipe says, with tiny networks; returns its block of results."""
    readme = ROOT / "recipes" / name / "README.md"
    shutil.copy(readme, "README.md")
    commands = re.search(r"```bash\n(.*?)```", readme.read_text(), re.DOTALL)[1]
    more = {"train.py": TINY, "evaluate.py": ["--readme", "README.md"], "prepare": FRONT_END}
    for line in commands.splitlines():
        words = shlex.split(line.replace("--metrics sdr", "--metrics snr"))
        call(monkeypatch, *words, *more.get(Path(words[1]).name, []))
    text, old = Path("README.md").read_text(), readme.read_text()
    (head, rest), (kept, _) = text.split("<!-- results -->"), old.split("<!-- results -->")
    assert head == kept and rest.endswith("<!-- end results -->\n")
    return rest


def rows(text, name):
    """Mixtures of a list in each table of a block of results."""
    return [int(n) for n in re.findall(rf"\| {name} +\| all +\| +(\d+) \| si_snr ", text)]


@pytest.fixture
def libri(folder):
    speakers = {"train-clean-100": "train", "dev-clean": "dev", "test-clean": "test"}
    for subset in speakers:
        trees.librispeech(folder / "LibriSpeech", subset, ("84", "174", "251"))
        for n in (2, 3):
            path = folder / f"LibriMix/metadata/Libri{n}Mix/libri{n}mix_{subset}.csv"
            trees.librimix_metadata(path, n, subset=subset)
    (folder / "LibriSpeech/SPEAKERS.TXT").write_text("84 | F | x\n174 | M | x\n251 | F | x\n")
    trees.sound(folder / "wham_noise/tr/n1.wav", 2.0, channels=2)
    path = folder / "speakerbeam/egs/libri2mix/data/wav8k/min/test/map_mixture2enrollment"
    path.parent.mkdir(parents=True)
    first, second = "84-9-0000_174-9-0001", "84-9-0001_174-9-0002"
    path.write_text(f"{first} 84-9-0000 s1/{second}\n{first} 174-9-0001 s2/{second}\n")
    return folder


def test_librimix(libri, monkeypatch):
    text = follow(monkeypatch, "librimix")
    assert rows(text, "test") == [3, 3] and rows(text, "test_enrolled") == [2]
    assert re.findall(r"### (\w+) in librimix", text) == ["convtasnet", "mitas", "tsenet"]
    assert "| test | different gender |     3 |" in text
    found = json.loads(Path("runs/librimix/scores/results.json").read_text())
    assert set(found["mitas"]["test"]["figures"]) >= {"si_snr_i", "snr_i"}
    for name in found:
        config = hub.read_config(f"runs/librimix/{name}/model")
        assert config["trained_on"] == ["librimix"] and config["license"] == "CC-BY-4.0"
        assert str(libri) not in json.dumps(config)


def test_another_form_of_librimix(libri, monkeypatch):
    """Three speakers in noise at 16 kHz, mode max, as the README's table says."""
    Path("runs/other/lists").mkdir(parents=True)
    form = ["--kind", "both", "--wham-noise", "wham_noise", "--rate", "16000", "--mode", "max"]
    for subset, split in (
        ("train-clean-100", "train"),
        ("dev-clean", "valid"),
        ("test-clean", "test"),
    ):
        metadata = f"LibriMix/metadata/Libri3Mix/libri3mix_{subset}.csv"
        out = f"runs/other/lists/{split}.csv"
        words = ["--librispeech", "LibriSpeech", "--metadata", metadata, "--out", out]
        call(monkeypatch, "python", "data_prep/librimix.py", *words, *form)
        made = mixtures.read(out)
        assert {(len(r.sources), r.split, r.mode) for r in made} == {(3, split, "max")}
        assert all(r.noise for r in made)
    shutil.copy(ROOT / "recipes/librimix/README.md", "README.md")
    other = ["--runs", "runs/other", "--recipes", "mitas", "architecture=mitas_16k"]
    more = ["model.n_src=3", "license=CC-BY-NC-4.0"]
    call(monkeypatch, "python", "recipes/librimix/train.py", *TINY, *other, *more)
    words = ["--runs", "runs/other", "--readme", "README.md"]
    call(monkeypatch, "python", "recipes/librimix/evaluate.py", *words)
    assert rows(Path("README.md").read_text(), "test") == [3]
    assert hub.load("runs/other/mitas/model").cfg.tcn.sharing == "mitas"
    assert hub.read_config("runs/other/mitas/model")["license"] == "CC-BY-NC-4.0"


def test_wsj0_2mix(folder, monkeypatch):
    trees.wsj0(folder / "WSJ", "../pywsj0-mix/metadata/mix_2_spk_{}.txt")
    (folder / "pywsj0-mix/metadata/activlev").mkdir()
    for name in ("si_tr_s", "si_dt_05", "si_et_05"):
        files = (folder / "WSJ").glob(f"wsj0/{name}/*/*.wav")
        text = "".join(f"{path.stem} 2e-3\n" for path in files)
        (folder / f"pywsj0-mix/metadata/activlev/activlev_{name}.txt").write_text(text)
    text = follow(monkeypatch, "wsj0_2mix")
    assert rows(text, "test") == [3, 3]
    assert hub.load("runs/wsj0_2mix/convtasnet/model").cfg.tcn.sharing == "none"
    assert hub.read_config("runs/wsj0_2mix/mitas/model")["trained_on"] == ["wsj0_mix"]


def test_wsj0_2mix_extr(folder, monkeypatch):
    lists = "../speaker_extraction/simulation/mix_2_spk_{}_extr.txt"
    trees.wsj0(folder / "WSJ", lists, enrolled=True)
    text = follow(monkeypatch, "wsj0_2mix_extr")
    assert rows(text, "valid") == rows(text, "test") == [3, 3]
    ours, shared = (
        hub.load(f"runs/wsj0_2mix_extr/{name}/model") for name in ("tsenet", "tsenet_mitas")
    )
    front_end = hub.load("runs/wsj0_2mix_extr/ivector")
    for net in (ours, shared):
        assert fingerprint(net.speaker) == fingerprint(front_end)
    assert len(list(ours.parameters())) > len(list(shared.parameters()))


def test_what_is_missing_is_told(folder, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="no trained model in runs/wsj0_2mix: expected"):
        call(monkeypatch, "python", "recipes/wsj0_2mix/evaluate.py")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "python", "recipes/wsj0_2mix/train.py")
    assert "lists/train.csv does not exist" in capsys.readouterr().err


def test_a_block_of_results_is_replaced_and_the_rest_kept(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->\n\nold\n\n<!-- end results -->\nafter\n")
    for text in ("new | table\n\n", "newer"):
        fill(path, text)
        block = f"<!-- results -->\n\n{text.strip()}\n\n<!-- end results -->"
        assert path.read_text() == f"before\n{block}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(ValueError, match=r"README.md: expected <!-- results -->"):
        fill(path, "text")
    assert path.read_text() == "no marks"
