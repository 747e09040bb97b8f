"""What a run says before it starts: bad recordings, disk and time."""

import re
import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hums import RATE, recipe_of

from sepaudio import hub, io
from sepaudio.cli import main
from sepaudio.data import manifest
from sepaudio.verbs.train import train


def damaged(speakers, tmp_path):
    """The speakers once more, and three takes of the first one that cannot be used."""
    x = np.full(2 * RATE, 0.1, np.float32)
    x[RATE] = np.nan
    soundfile.write(tmp_path / "nan.wav", x, RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio at all")
    rows = manifest.read(speakers / "manifest.csv")
    bad = [replace(rows[0], path=tmp_path / name) for name in ("nan.wav", "text.wav", "gone.wav")]
    manifest.write(tmp_path / "damaged.csv", [*rows[:2], *bad, *rows[2:]])
    return f"data.manifests=[{tmp_path / 'damaged.csv'}]"


def test_bad_recordings_stop_a_run_before_it_starts(speakers, tmp_path):
    more = [damaged(speakers, tmp_path)]
    path = recipe_of(speakers, tmp_path, "mitas_test")
    with pytest.raises(ValueError, match="2 rows cannot be used") as error:
        train(path, more, output=tmp_path / "run", quiet=True)
    for text in ("line 5 (text.wav)", "is text", "line 6 (gone.wav)", "data.on_bad=skip"):
        assert text in str(error.value)
    assert not (tmp_path / "run").exists()
    for name in ("text.wav", "gone.wav"):
        io.write(tmp_path / name, np.full(RATE, 0.1, np.float32), RATE)
    with pytest.raises(ValueError, match=r"nan.wav the sample at 1 s is nan: .* on_bad=skip"):
        train(path, more, output=tmp_path / "run", quiet=True)
    with pytest.raises(ValueError, match="on_bad='go': expected one of stop, skip"):
        train(path, ["data.on_bad=go"], quiet=True)


def test_bad_recordings_are_left_out_and_named(speakers, tmp_path, capfd):
    """Then the run is the one without them, also when it finds its shelf."""
    path = recipe_of(speakers, tmp_path, "mitas_test")
    clean = train(path, [f"data.shelf={tmp_path / 'clean'}"], output=tmp_path / "0", quiet=True)
    more = [damaged(speakers, tmp_path), "data.on_bad=skip"]
    for name in ("1", "2"):
        made = train(path, more, output=tmp_path / name)
        err = capfd.readouterr().err
        assert "data: 3 recordings are left out:" in err
        for text in ("nan.wav the sample at 1 s", "text.wav is text", "gone.wav does not exist"):
            assert text in err
        config = hub.read_config(made)
        assert config["left_out"] == 3
        assert config["data_fingerprint"] == hub.read_config(clean)["data_fingerprint"]
        pairs = zip(hub.load(clean).parameters(), hub.load(made).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="rows cannot be used"):  # the shelf is no longer whole
        train(path, more[:1], output=tmp_path / "3", quiet=True)


def test_a_dry_run_tells_data_disk_and_time_and_leaves_nothing(speakers, tmp_path, capfd):
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    before = sorted(tmp_path.rglob("*"))
    call = ["train", path, "--dry-run", "-o", tmp_path / "run", "optim.steps=5000"]
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in call])
    assert stop.value.code == 0
    out = capfd.readouterr().out
    assert f"data: {speakers / 'manifest.csv'}: 16 rows, 0.01 h of audio" in out
    assert f"disk: 0.000 GB for decoded recordings in {tmp_path / 'shelf'}" in out
    assert f"for checkpoints in {tmp_path / 'run'}" in out
    assert re.search(r"time: about \d+ s to prepare the data", out)
    assert re.search(r"time: about [\d.]+ (s|min|h) for 5000 steps \([\d.]+ s each", out)
    assert sorted(tmp_path.rglob("*")) == before


def test_warnings_are_shown_by_the_command_that_is_named(speakers, tmp_path, capfd):
    """With the rate and length that the run holds its rows to."""
    rows = manifest.read(speakers / "manifest.csv")
    io.write(tmp_path / "low band.wav", np.full(RATE, 0.1, np.float32), RATE // 2)
    rows[0] = replace(rows[0], path=tmp_path / "low band.wav")
    manifest.write(tmp_path / "with a blank.csv", rows)
    path = recipe_of(speakers, tmp_path, "mitas_test")
    more = [f"data.manifests=[{tmp_path / 'with a blank.csv'}]", "optim.steps=1"]
    more.append("data.mixing.refused_speakers=[s7, s 8]")
    train(path, more, output=tmp_path / "run")
    told = re.search(r"data: 1 warnings; sepaudio (.*) shows them", capfd.readouterr().err)
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(told[1]))
    assert stop.value.code == 0
    out = capfd.readouterr().out
    assert "(low band.wav) is 500 Hz, 1000 Hz expected" in out and "1 warnings" in out


def test_what_lies_ready_is_not_looked_at_again(speakers, tmp_path, capfd, monkeypatch):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    train(path, ["optim.steps=1"], output=tmp_path / "run", quiet=True)
    monkeypatch.setattr(io, "info", None)
    train(path, ["optim.steps=2"], output=tmp_path / "2")
    err = capfd.readouterr().err
    assert "data: ready" in err
    assert "time:" not in err  # two steps are too few to measure


def test_a_run_that_the_disk_cannot_hold_does_not_start(speakers, tmp_path, monkeypatch):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match=r"GB free, and this run needs about 0.000 GB there"):
        train(path, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_longer_run_tells_how_long(speakers, tmp_path, capfd):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    more = ["optim.steps=15", "optim.valid_every=0"]
    train(path, more, output=tmp_path / "run")
    err = capfd.readouterr().err
    assert re.search(r"time: about \d+ s for 3 steps \(", err)
    each, rate = (float(re.search(text, err)[1]) for text in (r"\(([\d.]+) s each", r"(\d+) hours"))
    assert rate == pytest.approx(4 * 0.5 / each, rel=0.2, abs=1)  # of mixtures an hour
