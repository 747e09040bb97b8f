"""`sepaudio separate` and `extract` on files: names, collisions, formats, and files that fail."""

from dataclasses import replace

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


def call(*arguments, verb="separate"):
    with pytest.raises(SystemExit) as stop:
        main([verb, *map(str, arguments)])
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


def test_what_is_too_loud_for_the_encoding_is_cut_off_when_asked(model, folder, capsys):
    x = 100 * np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    io.write(folder / "loud.wav", x, 1000)
    arguments = (folder / "loud.wav", "-m", model, "-o", folder / "out", "--subtype", "PCM_16")
    assert call(*arguments) == 1
    assert "expected -1 to 1 for PCM_16; write FLOAT in .wav" in (told := capsys.readouterr().err)
    assert "cut it off (clip=True, --clip)" in told
    assert call(*arguments, "--clip") == 0
    assert np.abs(io.read(folder / "out" / "loud_1.wav")[0]).max() > 0.99


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
        (["a.wav"], "same.wav", "all sources of a.wav would be written to out/same.wav"),
        (["a.wav"], "{name}.wav", "template='{name}.wav': expected text with {stem} and {source}"),
    ],
)
def test_names_that_clash_are_refused(inputs, template, message, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        estimates.names([Path(p) for p in inputs], Path("out"), template, 2, False)


def test_a_file_in_the_place_of_the_folder_is_named_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is no folder that may be written into"):
        estimates.names([tmp_path / "a.wav"], tmp_path / "file" / "x", "{stem}.flac", 1, False)


def test_a_recording_is_never_written_over(tmp_path):
    path = tmp_path / "a_1.wav"
    path.touch()
    with pytest.raises(ValueError, match="is one of the recordings: write elsewhere"):
        estimates.names([path, tmp_path / "a.wav"], tmp_path, "{stem}_{source}.wav", 1, True)


def test_a_classifier_does_not_separate(capsys):
    assert call("a.wav", "-m", "speech_music_noise") == 2
    assert "SwishNet does classification: expected separation; use" in capsys.readouterr().err


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tsenet"
    return hub.save(registry.create("tsenet_test").eval(), folder, card="# test\n")


@pytest.fixture
def voice(folder):
    """Two seconds that Kaldi's rule calls voiced half of the time."""
    t = np.arange(2000) / 1000
    x = 0.2 * np.sin(2 * np.pi * 110 * t) * (np.sin(2 * np.pi * t) > 0)
    io.write(folder / "anna.wav", (x + 1e-4 * np.cos(99 * t)).astype(np.float32), 1000)
    return folder / "anna.wav"


def test_extract_by_recording_and_by_embedding_file(extractor, folder, voice, capsys):
    model = ("-m", extractor)
    mine, out = folder / "anna.safetensors", folder / "anna_only.wav"
    code = call(folder / "a.wav", "--enroll", voice, *model, "-o", out, verb="extract")
    told = capsys.readouterr()
    assert code == 0
    assert told.out.split() == [str(out)]
    assert "s of voice in 2.0 s" in told.err
    assert call(voice, *model, "-o", mine, verb="enroll") == 0
    again = folder / "again"
    files = (folder / "a.wav", folder / "b.flac")
    assert call(*files, "--embedding", mine, *model, "-o", again, verb="extract") == 0
    assert sorted(p.name for p in again.iterdir()) == ["a_extracted.wav", "b_extracted.wav"]
    np.testing.assert_array_equal(io.read(out)[0], io.read(again / "a_extracted.wav")[0])


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """Extractors who judge presence, in windows of half a second: he is never and always there."""
    torch.manual_seed(0)
    folder, made = tmp_path_factory.mktemp("models"), registry.create("tsenet_fourier_test").eval()
    with torch.no_grad():
        made.evidence.weight.zero_()
        for name, bias, least in (
            ("never", -9.0, 0.3),
            ("always", 9.0, 0.3),
            ("silences_none", -9.0, 0.0),
        ):
            made.evidence.bias.fill_(bias)
            made.cfg = replace(made.cfg, least_presence=least)
            hub.save(made, folder / name, card="# test\n")
    return folder


def test_extract_tells_where_the_speaker_is(sure, extractor, folder, voice, capsys):
    files = (folder / "a.wav", folder / "bad.wav", folder / "b.flac")
    table = folder / "presence.csv"
    enrolled = ("--enroll", voice, "--presence", table)
    for model, text, low, high in (
        ("never", "not heard, the result is silence; --least 0 keeps", 0, 0.01),
        ("always", "heard in 1.0 of 1.0 s (presence up to 1.00)", 0.99, 1),
        ("silences_none", "all is kept, as the model's own --least is 0 (presence up to", 0, 0.01),
    ):
        where = ("-m", sure / model, "-o", folder / model)
        assert call(*files, *enrolled, *where, "--overwrite", verb="extract") == 1
        assert capsys.readouterr().err.count(text) == 2
        rows = [line.split(",") for line in table.read_text().splitlines()]
        assert rows.pop(0) == ["file", "start", "end", "presence"]
        assert [row[0] for row in rows] == [str(files[i]) for i in (0, 0, 0, 2, 2, 2)]
        assert [tuple(map(float, row[1:3])) for row in rows[:3]] == [
            (0, 0.5),
            (0.25, 0.75),
            (0.5, 1),
        ]
        assert all(low <= float(row[3]) <= high for row in rows)
        assert bool(io.read(folder / model / "a_extracted.wav")[0].any()) == (model != "never")
    more = ("-m", sure / "never", "-o", folder / "kept")
    assert call(*files, "--enroll", voice, "--least", 0, *more, verb="extract") == 1
    assert "heard" not in capsys.readouterr().err
    told = table.read_bytes()
    for other, text in (
        (table, "presence.csv is there already; pass --overwrite"),
        (folder / "no.wav", "no.wav: expected a file whose name ends in .csv"),
        ("-", "-: expected a file whose name ends in .csv"),
    ):
        more = ("--presence", other, "-m", sure / "always", "-o", folder / "no.wav")
        assert call(files[0], *enrolled, *more, verb="extract") == 2
        assert text in capsys.readouterr().err
    assert table.read_bytes() == told and not (folder / "no.wav").exists()
    for refused in (("-m", extractor), ("-m", sure / "never", "--least", "0")):
        assert call(files[0], *enrolled, *refused, "-o", folder / "no.wav", verb="extract") == 2
        assert "expected an extractor that judges presence" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--template", "{stem}_{source}"), "suffix ''"),
        (("--template", "{stem}_{source}.mkv"), "suffix '.mkv'"),
        (("--subtype", "PCM_99"), "subtype='PCM_99'"),
        (("-o", "one.wav"), "expected a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_heard(
    more, match, model, folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert call("a.wav", "-m", model, "-o", "new", *more) == 2
    assert match in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_doubtful_enrollment_is_told(extractor, folder, voice, capsys):
    out = ("-m", extractor, "-o", folder / "x.wav")
    assert call(voice, "--enroll", voice, *out, verb="extract") == 0
    told = capsys.readouterr().err
    assert "anna.wav is enrolled and extracted from" in told
    assert "1.0 s of voice in all, expected 3 or more" in told
    io.write(folder / "loud.wav", 1e5 * io.read(voice)[0], 1000)
    assert call(voice, "--enroll", folder / "loud.wav", *out, "--overwrite", verb="extract") == 2
    assert "loud.wav: samples reach 2" in capsys.readouterr().err
    assert call(voice, "--enroll", voice, *out, "--least", 2, verb="extract") == 2
    assert "--least 2.0: expected a probability" in capsys.readouterr().err


def test_extract_needs_to_know_whom(extractor, folder, voice, capsys):
    model = ("-m", extractor, "-o", folder / "x.wav")
    assert call(folder / "a.wav", *model, verb="extract") == 2
    assert "expected either --enroll RECORDING" in capsys.readouterr().err
    io.write(folder / "quiet.wav", np.zeros(2000, np.float32), 1000)
    assert call(folder / "a.wav", "--enroll", folder / "quiet.wav", *model, verb="extract") == 2
    assert "quiet.wav holds 0.00 s of voice" in capsys.readouterr().err
    np.save(folder / "vector.npy", np.ones(4, np.float32))
    more = ("--embedding", folder / "vector.npy", *model)
    assert call(folder / "a.wav", *more, verb="extract") == 1
    assert "made by something else: this extractor expects" in capsys.readouterr().err
    assert not (folder / "x.wav").exists()


def test_files_are_the_same_however_many_are_separated_at_once(model, folder, capsys):
    files = [folder / name for name in ("a.wav", "b.flac", "bad.wav")]
    found = []
    for workers in (1, 3):
        out = folder / f"by{workers}"
        assert call(*files, "-m", model, "-o", out, "--workers", workers, "--verbose") == 1
        assert "hours of audio per minute" in capsys.readouterr().err
        # of their bytes, the ones that tell the second of writing differ: libsndfile's PEAK chunk
        found.append({path.name: io.read(path)[0] for path in sorted(out.iterdir())})
    assert len(found[0]) == 4 and list(found[0]) == list(found[1])
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_standard_input_has_a_name():
    from pathlib import Path

    assert estimates.names([Path("-")], Path(), "{stem}.wav", 1, False) == [[Path("stdin.wav")]]


def test_files_may_be_read_by_all_who_may_read_their_neighbours(extractor, voice, folder):
    usual = (folder / "a.wav").stat().st_mode
    assert call(voice, "-m", extractor, "-o", folder / "v.safetensors", verb="enroll") == 0
    assert (folder / "v.safetensors").stat().st_mode == usual
    assert (extractor / "model.safetensors").stat().st_mode == usual
