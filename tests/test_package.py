"""What ships: sdist and wheel, with weights and types, and no file that has grown too long."""

import json
import subprocess
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch

from sepaudio import hub, registry
from sepaudio.files import sha256

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_wheel_carries_weights_cards_and_types(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "sepaudio/py.typed" in names
    assert "sepaudio/pretrained/index.json" in names
    for weights in hub.weights():
        for file in ("model.safetensors", "config.json", "README.md"):
            assert f"sepaudio/pretrained/{weights}/{file}" in names
    assert not [name for name in names if name.startswith(("tests/", "recipes/"))]
    assert [name for name in names if name.endswith("LICENSE")]


def test_sdist_builds_what_the_wheel_is(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    for end in ("pyproject.toml", "README.md", "LICENSE", "sepaudio/pretrained/index.json"):
        assert [name for name in names if name.endswith(end)], end


def test_every_set_of_weights_loads_and_says_what_it_is():
    index = hub.weights()
    classifiers = {"speech_music_noise", "speech_music_noise_slim"}
    assert set(index) == {*classifiers, "esc10", "one_speaker", "speech_over_music", "two_speakers"}
    for name, about in index.items():
        model, config = hub.load(name), hub.read_config(hub.SHIPPED / name)
        assert about["architecture"] in registry.names()
        assert list(getattr(model, "labels", ())) == about["labels"] == config["labels"]
        license = "CC-BY-3.0" if name == "esc10" else "CC-BY-SA-4.0"
        assert about["license"] == config["license"] == license
        assert not [n for n in config["trained_on"] if "Ravdess" in n]  # non-commercial
        card = (hub.SHIPPED / name / "README.md").read_text()
        figures = ("2 s", "heard as") if name in classifiers else ("two_speakers | all ", "dB")
        figures = ("last step", "true, in recordings", "fold 5") if name == "esc10" else figures
        if name == "speech_over_music":
            figures = ("each by itself", "one class at a time", "alone")
        for word in ("Licence of the weights", "Fingerprint", "seed", *figures):
            assert word in card, word


def test_weights_are_float32_and_finite():
    for name in hub.weights():
        for key, value in hub.load(name).state_dict().items():
            counts = key.endswith("num_batches_tracked")
            assert value.dtype == (torch.int64 if counts else torch.float32)
            assert torch.isfinite(value).all()


def test_model_folders_refuse_what_is_damaged(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="expected a model folder"):
        hub.load(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not readable as JSON"):
        hub.load(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text('{"cfg": {}, "format": 99}')
    with pytest.raises(ValueError, match="has format 99: this sepaudio reads format 1"):
        hub.load(tmp_path / "a")
    config = {"cfg": registry.to_dict(registry.config("swishnet_test")), "format": 1}
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not load"):
        hub.load(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(ValueError, match="does not load"):
        hub.load(tmp_path / "a")


def test_weights_in_which_a_byte_has_changed_are_named(tmp_path):
    model = registry.create("swishnet_test").eval()
    folder = hub.save(
        model, tmp_path / "a", card="# A\n", architecture="swishnet_test", license="x"
    )
    file, config = folder / "model.safetensors", folder / "config.json"
    assert hub.read_config(folder)["sha256"] == sha256(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for use in (hub.load, partial(hub.ship, root=tmp_path, name="b", card="", about="")):
        with pytest.raises(ValueError, match=r"model\.safetensors is damaged: .* copy the folder"):
            use(folder)
    hub.seal(folder)  # on purpose
    hub.load(folder)
    before = {k: v for k, v in hub.read_config(folder).items() if k != "sha256"}
    config.write_text(json.dumps(before))  # as folders were
    file.write_bytes(whole)
    assert torch.equal(hub.load(folder).stem[0].short.conv.weight, model.stem[0].short.conv.weight)
    hub.ship(folder, tmp_path, "b", card="", about="")
    assert hub.read_config(tmp_path / "b")["sha256"] == sha256(tmp_path / "b" / "model.safetensors")


def test_what_ships_is_sealed():
    for name in hub.weights():
        assert hub.read_config(hub.SHIPPED / name)["sha256"] == hub.about(name)["sha256"]


def test_no_source_file_is_over_400_lines():
    files = [*(ROOT / "sepaudio").rglob("*.py"), *(ROOT / "recipes").rglob("*.py")]
    assert len(files) > 40
    long = {f.name: n for f in files if (n := len(f.read_text().splitlines())) > 400}
    assert long == {}
