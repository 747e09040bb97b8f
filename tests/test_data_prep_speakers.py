"""Preparation of speech, noise and rooms, on small folders in the layout of the real ones."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import soundfile
import trees

from sepaudio.data import manifest
from sepaudio.data.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))


def prepared(name, folder, *options):
    """The rows that a script writes; the validator must find nothing wrong with them."""
    out = folder / "out.csv"
    importlib.import_module(name).main([*map(str, options), "--out", str(out)])
    report = validate(out, read_all=True)
    assert report.fine, report.problems
    rows = manifest.read(out)
    for row in rows:
        about = soundfile.info(row.path)
        assert (row.sample_rate, row.duration) == (about.samplerate, about.duration)
        assert row.start is None
    return rows


def test_librispeech(tmp_path):
    root = tmp_path / "LibriSpeech"
    trees.librispeech(root, "train-clean-100", ("19", "26"))
    trees.librispeech(root, "dev-clean", ("84",))
    trees.librispeech(root, "test-other", ("367",))
    (root / "SPEAKERS.TXT").write_text("; ID\n19 | F | train-clean-100\n84 | M | dev-clean\n")
    rows = prepared("librispeech", tmp_path, "--root", root)
    assert len(rows) == 12 and {row.license for row in rows} == {"CC-BY-4.0"}
    found = {(row.speaker, row.split) for row in rows}
    assert found == {("19", "train"), ("26", "train"), ("84", "valid"), ("367", "test")}
    assert {row.origin for row in rows} == {"librispeech"}
    genders = {row.speaker: row.gender for row in rows}
    assert genders == {"19": "f", "26": "", "84": "m", "367": ""}
    some = prepared("librispeech", tmp_path, "--root", root, "--subsets", "dev-clean")
    assert {row.speaker for row in some} == {"84"}
    with pytest.raises(SystemExit, match="expected LibriSpeech's folders"):
        prepared("librispeech", tmp_path, "--root", tmp_path / "none")


def test_wham(tmp_path):
    root = tmp_path / "wham_noise"
    for folder in ("tr", "cv", "tt"):
        trees.sound(root / folder / f"{folder}_01.wav", 1.0, channels=2)
    trees.sound(root / "tr" / "tr_01sp08.wav", 1.25)
    rows = prepared("wham", tmp_path, "--root", root)
    assert [(row.path.name, row.split, row.kind) for row in rows] == [
        ("tr_01.wav", "train", "noise"),
        ("cv_01.wav", "valid", "noise"),
        ("tt_01.wav", "test", "noise"),
    ]
    with pytest.raises(SystemExit, match="expected wham_noise"):
        prepared("wham", tmp_path, "--root", tmp_path / "none")


def test_musan(tmp_path):
    root = tmp_path / "musan"
    for place in ("music/fma", "noise/free-sound", "speech/us-gov"):
        for i in range(20):
            name = f"{place.replace('/', '-')}-{i:04d}.wav"
            trees.sound(root / place / name, 0.2)
        (root / place / "LICENSE").write_text("free\n")
    rows = prepared("musan", tmp_path, "--root", root)
    assert {row.kind for row in rows} == {"music", "noise", "speech"}
    for kind in ("music", "noise", "speech"):
        splits = [row.split for row in rows if row.kind == kind]
        assert [splits.count(name) for name in manifest.SPLITS] == [13, 2, 5]
    assert not any(row.speaker for row in rows)
    again = prepared("musan", tmp_path, "--root", root)
    assert again == rows
    with pytest.raises(SystemExit, match="expected MUSAN's folders"):
        prepared("musan", tmp_path, "--root", tmp_path / "none")


@pytest.mark.parametrize("layout", ["vox1_{}_wav/wav", "{}/aac"])
def test_voxceleb(tmp_path, layout):
    root = tmp_path / "vox"
    for part, speakers in (("dev", range(10001, 10011)), ("test", range(10270, 10272))):
        for speaker in speakers:
            for video in ("1zcIwhmdeo4", "7gWzIy6yIIk"):
                folder = root / layout.format(part) / f"id{speaker}" / video
                trees.sound(folder / "00001.wav", 1.0)
    rows = prepared("voxceleb", tmp_path, "--root", root, "--valid", 0.2)
    assert len(rows) == 24
    speakers = {split: {r.speaker for r in rows if r.split == split} for split in manifest.SPLITS}
    assert {split: len(names) for split, names in speakers.items()} == {
        **{"train": 8, "valid": 2, "test": 2}
    }
    assert speakers["test"] == {"id10270", "id10271"}


def test_voxceleb_as_downloaded_names_the_remedy(tmp_path):
    path = tmp_path / "dev/aac/id1/video/1.m4a"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\0\0\0\x20ftypM4A ")
    with pytest.raises(SystemExit, match=r"convert .m4a files first: ffmpeg -i"):
        prepared("voxceleb", tmp_path, "--root", tmp_path)


def test_speaker_folders(tmp_path, capsys):
    root = tmp_path / "people"
    for i in range(10):
        trees.sound(root / f"p{i}" / "deep" / "a.wav", 3.0)
        trees.sound(root / f"p{i}" / "b.flac", 2.0, 8000)
    trees.sound(root / "brief" / "a.wav", 1.0)
    (root / "p0" / "notes.txt").write_text("none\n")
    rows = prepared("speaker_folders", tmp_path, "--root", root, "--license", "CC0-1.0")
    splits = {row.speaker: row.split for row in rows}
    assert [list(splits.values()).count(name) for name in manifest.SPLITS] == [4, 3, 3]
    told = capsys.readouterr()
    assert "left out: brief: 1.0 s of 4 s" in told.err
    assert "(4 train, 3 valid, 3 test)" in told.out
    assert {row.source for row in rows if row.speaker == "p1"} == {
        "people@p1:b.flac",
        "people@p1:deep/a.wav",
    }
    (root / "p1" / "none.wav").write_bytes(b"")
    assert prepared("speaker_folders", tmp_path, "--root", root, "--license", "CC0-1.0") == rows
    assert "left out: " in (told := capsys.readouterr().err) and "none.wav is empty" in told
    other = prepared("speaker_folders", tmp_path, "--root", root, "--seed", 1)
    assert {row.speaker: row.split for row in other} != splits


def test_what_kaldi_and_lhotse_keep(tmp_path):
    audio = trees.sound(tmp_path / "r1.wav", 3.0)
    about = soundfile.info(audio)
    kaldi, out = tmp_path / "train", tmp_path / "out.csv"
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text(f"r1 {audio}\n")
    (kaldi / "utt2spk").write_text("u1 ann\nu2 bob\n")
    (kaldi / "segments").write_text("u1 r1 0 1.5\nu2 r1 1.5 3\n")
    source = {"type": "file", "source": str(audio)}
    recording = {"id": "r1", "sources": [source], "sampling_rate": about.samplerate}
    (tmp_path / "r.jsonl").write_text(json.dumps({**recording, "duration": 3.0}))
    cut = {"recording_id": "r1", "duration": 1.5}
    parts = [
        {"id": "u1", "speaker": "ann", "start": 0.0, **cut},
        {"id": "u2", "speaker": "bob", "start": 1.5, **cut},
    ]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, parts)))
    main = importlib.import_module("kaldi_lhotse").main
    for given in (["--kaldi", kaldi], ["--lhotse", tmp_path / "r.jsonl", tmp_path / "s.jsonl"]):
        main([*map(str, given), "--split", "train", "--out", str(out)])
        assert not validate(out, read_all=True).problems
        rows = manifest.read(out)
        assert [(r.path, r.speaker, r.start, r.duration, r.split) for r in rows] == [
            (audio, "ann", 0.0, 1.5, "train"),
            (audio, "bob", 1.5, 1.5, "train"),
        ]


def test_rooms(tmp_path):
    for i in range(5):
        trees.sound(tmp_path / "rooms" / f"hall_{i}.wav", 0.3, channels=2)
    rows = prepared("rooms", tmp_path, "--root", tmp_path / "rooms", "--license", "CC0-1.0")
    assert {row.kind for row in rows} == {"rir"} and len(rows) == 5
    assert {row.split for row in rows} == set(manifest.SPLITS)


def test_simulated_rooms(tmp_path):
    pytest.importorskip("pyroomacoustics")
    root = tmp_path / "simulated"
    rows = prepared("rooms", tmp_path, "--simulate", 3, "--root", root, "--rate", 8000)
    assert len(rows) == 3 and {row.sample_rate for row in rows} == {8000}
    for row in rows:
        x, _ = soundfile.read(row.path)
        assert abs(x).max() == pytest.approx(1, abs=1e-6)
        assert (x[len(x) // 2 :] ** 2).sum() < 0.1 * (x**2).sum()  # it decays


def test_simulation_without_the_library_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(SystemExit, match="pip install pyroomacoustics"):
        prepared("rooms", tmp_path, "--simulate", 1, "--root", tmp_path / "r")
