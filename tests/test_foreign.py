"""Kaldi data folders and lhotse manifests become rows of ours."""

import gzip
import json
from pathlib import Path

import pytest

from sepaudio.data import foreign


def kaldi(folder, segments=None):
    (folder / "wav.scp").write_text("r1 /audio/one file.wav\nr2 two.flac\n")
    if segments is None:
        (folder / "utt2spk").write_text("r1 ann\nr2 bob\n")
    else:
        (folder / "utt2spk").write_text("u1 ann\nu2 ann\nu3 bob\n")
        (folder / "segments").write_text(segments)
    return folder


def test_kaldi_without_segments(tmp_path):
    one, two = foreign.kaldi(kaldi(tmp_path), split="train", license="CC0-1.0")
    assert one.gender == two.gender == ""
    (tmp_path / "spk2gender").write_text("ann f\n")
    named = foreign.kaldi(tmp_path, split="train", license="CC0-1.0")
    assert [row.gender for row in named] == ["f", ""]
    assert (one.path, one.speaker, one.start) == (Path("/audio/one file.wav"), "ann", None)
    assert (two.path, two.source, two.kind) == (Path("two.flac"), "kaldi:r2", "speech")
    assert (two.split, two.license) == ("train", "CC0-1.0")


def test_kaldi_segments_are_cuts(tmp_path):
    rows = foreign.kaldi(
        kaldi(tmp_path, "u1 r1 0.0 1.5\nu2 r1 1.5 2.25\nu3 r2 0 3\n"), split="test"
    )
    assert [(r.path.name, r.speaker, r.start, r.duration) for r in rows] == [
        ("one file.wav", "ann", 0.0, 1.5),
        ("one file.wav", "ann", 1.5, 0.75),
        ("two.flac", "bob", 0.0, 3.0),
    ]


@pytest.mark.parametrize(
    ("segments", "match"),
    [
        ("u1 r1 2.0 1.5\n", "segments, line 1: .* expected a recording, a start and a later end"),
        ("u1 r1 x 1.5\n", "segments, line 1: .* expected a recording"),
        ("u1 r9 0 1\n", "segments, line 1: no recording 'r9' in .*wav.scp"),
        ("u9 r1 0 1\n", "utt2spk lacks 'u9' of .*segments, line 1"),
        ("u1\n", "segments, line 1: 'u1': expected a key and a value"),
    ],
)
def test_bad_segments_are_named(tmp_path, segments, match):
    with pytest.raises(ValueError, match=match):
        foreign.kaldi(kaldi(tmp_path, segments), split="train")


def test_commands_and_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"wav.scp does not exist: check the folder"):
        foreign.kaldi(tmp_path, split="train")
    kaldi(tmp_path)
    (tmp_path / "wav.scp").write_text("r1 sph2pipe -f wav a.wv1 |\n")
    with pytest.raises(ValueError, match=r"line 1: .* is a command: expected the path"):
        foreign.kaldi(tmp_path, split="train")


RECORDING = {
    **{"id": "r1", "sampling_rate": 16000, "num_samples": 48000, "duration": 3.0},
    "sources": [{"type": "file", "channels": [0], "source": "/audio/r1.flac"}],
}
SUPERVISION = {
    **{"id": "u1", "recording_id": "r1", "start": 0.0, "duration": 3.0, "channel": 0},
    "speaker": "ann",
}


def jsonl(path, *items):
    text = "".join(json.dumps(item) + "\n" for item in items)
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("end", ["jsonl", "jsonl.gz"])
def test_lhotse(tmp_path, end):
    recordings = jsonl(tmp_path / f"recordings.{end}", RECORDING)
    cut = {**SUPERVISION, "id": "u2", "start": 1.25, "duration": 0.5, "gender": "Female"}
    supervisions = jsonl(tmp_path / f"supervisions.{end}", SUPERVISION, cut)
    whole, part = foreign.lhotse(recordings, supervisions, split="valid")
    assert (whole.path, whole.speaker, whole.sample_rate) == (Path("/audio/r1.flac"), "ann", 16000)
    assert (whole.start, whole.duration, whole.source) == (None, 3.0, "lhotse:u1")
    assert (part.start, part.duration) == (1.25, 0.5)
    assert (whole.gender, part.gender) == ("", "f")


@pytest.mark.parametrize(
    ("recording", "supervision", "match"),
    [
        ({"sources": []}, {}, r"recordings.jsonl, line 1: sources=\[\], expected one of type"),
        ({}, {"recording_id": "r7"}, "supervisions.jsonl, line 1: no recording 'r7'"),
    ],
)
def test_bad_lhotse_lines_are_named(tmp_path, recording, supervision, match):
    recordings = jsonl(tmp_path / "recordings.jsonl", {**RECORDING, **recording})
    supervisions = jsonl(tmp_path / "supervisions.jsonl", {**SUPERVISION, **supervision})
    with pytest.raises(ValueError, match=match):
        foreign.lhotse(recordings, supervisions, split="train")


@pytest.mark.parametrize(
    ("text", "match"),
    [("{\n", "line 1: expected a JSON object"), ("[1]\n", "line 1: .* expected a JSON object")],
)
def test_what_is_no_lhotse_is_named(tmp_path, text, match):
    (tmp_path / "recordings.jsonl").write_text(text)
    with pytest.raises(ValueError, match=match):
        foreign.lhotse(tmp_path / "recordings.jsonl", tmp_path / "s.jsonl", split="train")


def test_a_key_that_is_not_there_is_named(tmp_path):
    bare = {key: value for key, value in RECORDING.items() if key != "sampling_rate"}
    with pytest.raises(ValueError, match="line 1: no 'sampling_rate': expected keys as lhotse"):
        foreign.lhotse(jsonl(tmp_path / "r.jsonl", bare), tmp_path / "s.jsonl", split="train")
