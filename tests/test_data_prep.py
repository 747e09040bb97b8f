"""The scripts under data_prep, on material made here: no network and no big data."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))
import debian_audio
import synthetic

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    for name in ("dpkg-deb", "espeak-ng", "fluidsynth")
}
FREE = re.compile(r"CC0|CC-BY(-SA)?-\d|public-domain|MIT|BSD|L?GPL|GFDL")


def write(path: Path, seconds: float, seed: int, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate))
    soundfile.write(path, noise, rate)


@pytest.fixture
def trees(tmp_path):
    """Unpacked packages: long and short prompts, a long track, GPL voices, silence."""
    root = tmp_path / "trees"
    prompts = root / "asterisk-core-sounds-en-wav/usr/share/asterisk/sounds/en_US_f_Allison"
    for number in range(12):
        write(prompts / f"a{number}.wav", 1.0, number)
    write(prompts / "back.wav", 3.0, 99)
    soundfile.write(prompts / "empty.wav", np.zeros(24000), 8000)
    write(root / "zaz-data/usr/share/games/zaz/mus1.ogg", 30.0, 7)
    for voice in ("male1", "female1"):
        write(root / f"kajongg/usr/share/kajongg/voices/{voice}/c1.ogg", 2.5, 3)
    return root


def read(folder):
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def check(folder):
    rows = read(folder)
    assert tuple(rows[0]) == debian_audio.COLUMNS
    splits = {}
    for row in rows:
        audio, rate = soundfile.read(folder / row["path"])
        assert audio.ndim == 1 and rate == int(row["sample_rate"]) <= 44100
        assert len(audio) / rate == pytest.approx(float(row["duration_s"]), abs=1e-3)
        assert np.abs(audio).max() > 0.01 and FREE.match(row["license"])
        assert row["split"] in ("train", "valid", "test") and row["kind"] in row["path"]
        if row["speaker"]:
            assert splits.setdefault(row["speaker"], row["split"]) == row["split"]
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.flac")} == {
        row["path"] for row in rows
    }
    return rows


def test_unpacked_packages(trees, tmp_path):
    out = tmp_path / "out"
    debian_audio.main(["--packages", str(trees), "--unpacked", "--out", str(out)])
    rows = check(out)
    speech = [row for row in rows if row["speaker"] == "allison_smith"]
    assert {row["license"] for row in speech} == {"CC-BY-SA-3.0"}
    joined = [row for row in speech if " more" in row["source"]]
    assert joined and 10 <= float(joined[0]["duration_s"]) < 13
    assert not any("empty" in row["source"] for row in rows)  # silent
    assert [row["duration_s"] for row in rows if row["kind"] == "music"] == ["25.0"]
    copyleft = [row for row in rows if row["source"].startswith("debian:kajongg@unpacked:usr")]
    assert len(copyleft) == 2 and {row["split"] for row in copyleft} == {"test"}
    assert not list(tmp_path.glob("*.partial")) and not list(out.glob("*.tmp"))


@needs["dpkg-deb"]
def test_deb_files_give_the_same_clips(trees, tmp_path):
    debs = tmp_path / "debs"
    debs.mkdir()
    for name in ("kajongg", "zaz-data"):
        control = trees / name / "DEBIAN" / "control"
        control.parent.mkdir()
        control.write_text(
            f"Package: {name}\nVersion: 1.0-2\nArchitecture: all\n"
            "Maintainer: A <a@example.org>\nDescription: a test\n"
        )
        subprocess.run(
            ["dpkg-deb", "-b", str(trees / name), str(debs / f"{name}_1.0-2_all.deb")],
            check=True,
            capture_output=True,
        )
    debian_audio.main(["--packages", str(debs), "--out", str(tmp_path / "out")])
    rows = check(tmp_path / "out")
    assert {row["source"].split(":")[1] for row in rows} == {"kajongg@1.0-2", "zaz-data@1.0-2"}


def test_failure_leaves_no_finished_folder(trees, tmp_path, monkeypatch):
    monkeypatch.setattr(debian_audio, "write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        debian_audio.build(trees, tmp_path / "out", unpacked=True)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    debian_audio.build(trees, tmp_path / "out", unpacked=True)
    with pytest.raises(SystemExit, match="remove it or name another"):
        debian_audio.build(trees, tmp_path / "out", unpacked=True)
    (tmp_path / "none").mkdir()
    with pytest.raises(SystemExit, match="see --list"):
        debian_audio.build(tmp_path / "none", tmp_path / "other", unpacked=True)


def test_a_voice_in_two_splits_is_refused(tmp_path):
    rows = [
        debian_audio.Row(f"{split}.flac", "speech", "anna", 8000, 1.0, "MIT", "s", split)
        for split in ("train", "test")
    ]
    with pytest.raises(ValueError, match="voice 'anna' is in the splits train and test"):
        debian_audio.write_manifest(rows, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_table_is_sane(capsys):
    for rule in debian_audio.RULES:
        assert rule.kind in ("speech", "music", "noise") and 0 < rule.minutes <= 10
        assert FREE.match(rule.license) and not re.search("NC|ND", rule.license)
        groups = re.compile(rule.pattern).groups
        assert rule.key == "-" or rule.key.format(*"x" * groups)
    splits = [debian_audio.split_of(str(number)) for number in range(2000)]
    assert splits.count("train") / 2000 == pytest.approx(0.7, abs=0.04)
    assert splits.count("valid") / 2000 == pytest.approx(0.1, abs=0.03)
    debian_audio.main(["--list"])
    assert capsys.readouterr().out.startswith("apt-get download asterisk-core-sounds-en-g722 ")


def parse_midi(data):
    """The (tick, message) events of a format 0 file, and its tempo."""
    assert data[:14] == b"MThd\0\0\0\6\0\0\0\1\x01\xe0" and data[14:18] == b"MTrk"
    assert int.from_bytes(data[18:22], "big") == len(data) - 22
    position, tick, events, tempo = 22, 0, [], 0
    while position < len(data):
        delta = 0
        while True:
            byte = data[position]
            position += 1
            delta = delta << 7 | byte & 0x7F
            if byte < 0x80:
                break
        tick += delta
        status = data[position]
        if status == 0xFF:
            length = data[position + 2]
            if data[position + 1] == 0x51:
                tempo = int.from_bytes(data[position + 3 : position + 6], "big")
            position += 3 + length
            continue
        length = 2 if status & 0xF0 == 0xC0 else 3
        events.append((tick, tuple(data[position : position + length])))
        position += length
    assert data[-3:] == b"\xff\x2f\0"
    return events, tempo


@pytest.mark.parametrize("texture", list(synthetic.TEXTURES))
def test_composition_is_deterministic_and_valid_midi(texture):
    def make(seed):
        return synthetic.compose(np.random.default_rng(seed), 20.0, texture)

    piece, data = make(5), synthetic.to_midi(make(5))
    assert data == synthetic.to_midi(piece) != synthetic.to_midi(make(6))
    events, tempo = parse_midi(data)
    assert tempo == int(60e6 / piece.tempo)
    notes = sum(len(notes) for _, notes in piece.parts.values())
    on = [message for _, message in events if message[0] & 0xF0 == 0x90]
    off = [message for _, message in events if message[0] & 0xF0 == 0x80]
    assert len(on) == len(off) == notes >= 8
    assert all(0 <= value < 128 for message in on for value in message[1:])
    assert 10 < events[-1][0] / 480 * 60 / piece.tempo < 30
    assert ("drums" in piece.parts) == any(message[0] == 0x99 for message in on)


@needs["espeak-ng"]
def test_espeak_reads_and_world_sings():
    rng = np.random.default_rng(0)
    speech, rate = synthetic.speak(rng, "f2", "it", 2.0)
    assert rate == 22050 and len(speech) > 2 * rate and np.abs(speech).max() > 0.05
    try:
        synthetic.sing(rng, speech[:rate], [synthetic.Note(0, 1, 60, 90)], 90.0, rate)
    except ImportError:
        pytest.skip("pyworld is not installed")
    notes = [synthetic.Note(0, 4, 57, 90), synthetic.Note(4, 60, 64, 90)]
    sung = synthetic.sing(rng, speech, notes, 120.0, rate)
    assert len(sung) > 1.2 * len(speech) and np.isfinite(sung).all()


@needs["fluidsynth"]
@pytest.mark.skipif(not synthetic.SOUNDFONT.exists(), reason="fluid-soundfont-gm is not installed")
def test_fluidsynth_plays():
    piece = synthetic.compose(np.random.default_rng(1), 4.0, "solo")
    audio = synthetic.play(piece, 22050)
    assert len(audio) > 3 * 22050 and np.abs(audio).max() > 0.01


def test_missing_program_names_its_package(monkeypatch):
    monkeypatch.setattr(synthetic.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="apt-get install espeak-ng"):
        synthetic.run(["espeak-ng", "hello"])


def test_only_free_speech_is_taken(tmp_path):
    manifest = tmp_path / "manifest.csv"
    line = "a.flac,speech,anna,16000,5.0,{},source,train\n"
    head = ",".join(debian_audio.COLUMNS) + "\n"
    manifest.write_text(head + line.format("CC-BY-NC-4.0") + line.format("CC-BY-4.0"))
    assert [row["license"] for row in synthetic.real_speech(tmp_path)] == ["CC-BY-4.0"]
    manifest.write_text(head + line.format("CC-BY-NC-4.0"))
    with pytest.raises(SystemExit, match="expected rows of kind"):
        synthetic.real_speech(tmp_path)
