"""`sepaudio separate` on files: names, collisions, formats, and files that fail."""

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.verbs import estimates


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "mitas"
    return hub.save(registry.create("mitas_test").eval(), folder, card="# test\n")


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for name, rate in (("a.wav", 1000), ("b.flac", 8000)):
        io.write(tmp_path / name, 0.1 * random.standard_normal(rate).astype(np.float32), rate)
    (tmp_path / "bad.wav").write_bytes(b"RIFF????WAVEfmt ")
    return tmp_path


def call(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["separate", *map(str, arguments)])
    return stop.value.code


def test_every_source_gets_a_file_and_a_bad_file_stops_nobody(model, folder, capsys):
    out = folder / "out"
    code = call(folder / "a.wav", folder / "bad.wav", folder / "b.flac", "-m", model, "-o", out)
    told = capsys.readouterr()
    assert code == 1
    assert "bad.wav" in told.err
    assert "1 of 3 files failed" in told.err
    assert sorted(p.name for p in out.iterdir()) == ["a_1.wav", "a_2.wav", "b_1.wav", "b_2.wav"]
    assert told.out.split() == [str(out / n) for n in ("a_1.wav", "a_2.wav", "b_1.wav", "b_2.wav")]
    for path in out.iterdir():
        about = io.info(path)
        assert (about.sample_rate, about.subtype) == (1000, "FLOAT")
        assert np.isfinite(io.read(path)[0]).all()
        assert len(io.read(path)[0]) == 1000


def test_nothing_is_overwritten_unasked(model, folder, capsys):
    arguments = (folder / "a.wav", "-m", model, "-o", folder)
    assert call(*arguments) == 0
    before = (folder / "a_1.wav").read_bytes()
    assert call(*arguments) == 2
    assert "a_1.wav is there already; pass --overwrite" in capsys.readouterr().err
    assert call(*arguments, "--overwrite", "--subtype", "PCM_16") == 0
    assert (folder / "a_1.wav").read_bytes() != before
    assert call(*arguments, "--template", "a.wav", "--overwrite") == 2


@pytest.mark.parametrize(
    ("inputs", "template", "message"),
    [
        (["x/a.wav", "y/a.wav"], "{stem}_{source}.wav", "would both be written to out/a_1.wav"),
        (["a.wav"], "same.wav", "a.wav and a.wav would both be written to out/same.wav"),
        (["a.wav"], "{name}.wav", "template='{name}.wav': expected text with {stem} and {source}"),
    ],
)
def test_names_that_clash_are_refused(inputs, template, message, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        estimates.names([Path(p) for p in inputs], Path("out"), template, 2, False)


def test_a_recording_is_never_written_over(tmp_path):
    path = tmp_path / "a_1.wav"
    path.touch()
    with pytest.raises(ValueError, match="is one of the recordings: write elsewhere"):
        estimates.names([path, tmp_path / "a.wav"], tmp_path, "{stem}_{source}.wav", 1, True)


def test_a_classifier_does_not_separate(capsys):
    assert call("a.wav", "-m", "speech_music_noise") == 2
    assert "SwishNet does classification: expected separation; use" in capsys.readouterr().err
