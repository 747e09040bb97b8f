"""Preparation of sets for classifiers, on small folders in the layout of the real ones."""

import importlib
import sys
from pathlib import Path

import pytest
import trees

from sepaudio.data import folds, manifest
from sepaudio.data.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "data_prep"))


def prepared(name, folder, *options):
    """The rows that a script writes; the validator must find nothing wrong with them."""
    out = folder / "out.csv"
    importlib.import_module(name).main([*map(str, options), "--out", str(out)])
    report = validate(out, read_all=True, least_seconds=0.1)
    assert report.fine, report.problems
    return manifest.read(out)


def esc(root, table, names=("1-100-A-0", "2-101-A-0", "3-102-A-12", "4-103-A-12", "5-104-A-2")):
    kinds = {"0": "dog", "12": "crackling_fire", "2": "pig"}
    lines = []
    for name in names:
        trees.sound(root / "audio" / f"{name}.wav", 0.3)
        fold, source, take, target = name.split("-")
        esc10 = str(target != "2")
        line = {"filename": f"{name}.wav", "fold": fold, "target": target}
        more = {"category": kinds[target], "esc10": esc10, "src_file": source, "take": take}
        lines.append({**line, **more})
    return trees.table(root / table, lines)


def test_esc50_and_its_ten_classes(tmp_path):
    root = tmp_path / "ESC-50"
    esc(root, "meta/esc50.csv")
    text = (
        "Clips:\n1-100-A by someone, CC0\n2-101-A by another, CC BY-NC\nnothing of a clip, CC BY\n"
    )
    (root / "LICENSE").write_text(text)
    rows = prepared("esc", tmp_path, "--root", root)
    assert [(row.fold, row.split) for row in rows] == [
        *((n, "train") for n in (1, 2, 3)),
        (4, "valid"),
        (5, "test"),
    ]
    assert [row.kind for row in rows] == ["dog", "dog", "crackling_fire", "crackling_fire", "pig"]
    licences = ["CC0-1.0", "CC-BY-NC-3.0", "CC-BY-3.0", "CC-BY-3.0", "CC-BY-NC-3.0"]
    assert [row.license for row in rows] == licences
    assert {row.origin for row in rows} == {"ESC-50"}
    few = prepared("esc", tmp_path, "--root", root, "--only-esc10")
    assert len(few) == 4 and {row.origin for row in few} == {"ESC-10"}
    with pytest.raises(SystemExit, match=r"no meta/esc50.csv and no meta.csv"):
        prepared("esc", tmp_path, "--root", tmp_path)


def test_esc10_with_its_attribution(tmp_path):
    root = tmp_path / "esc10"
    esc(root, "meta.csv", ("1-100-A-0", "2-101-A-12", "3-102-A-12"))
    licences = ("CC0", "CC-BY", "CC-Sampling+")
    names = ("1-100-A-0.wav", "2-101-A-12.wav", "3-102-A-12.wav")
    rows = [{"filename": n, "license": c} for n, c in zip(names, licences, strict=True)]
    trees.table(root / "attribution.csv", rows)
    rows = prepared("esc", tmp_path, "--root", root)
    assert [row.license for row in rows] == ["CC0-1.0", "CC-BY-3.0", "CC-Sampling+"]
    assert len(manifest.allowed(rows, ["Sampling"])) == 2


def test_urbansound8k(tmp_path):
    root = tmp_path / "UrbanSound8K"
    lines = []
    for fold in (1, 9, 10):
        name = f"{fold}00-3-0-0.wav"
        trees.sound(root / "audio" / f"fold{fold}" / name, 0.4, channels=2)
        line = {"slice_file_name": name, "fsID": f"{fold}00", "start": 0, "end": 0.4}
        lines.append({**line, "salience": 1, "fold": fold, "classID": 3, "class": "dog_bark"})
    trees.table(root / "metadata" / "UrbanSound8K.csv", lines)
    rows = prepared("urbansound8k", tmp_path, "--root", root)
    assert [(row.fold, row.split) for row in rows] == [(1, "train"), (9, "valid"), (10, "test")]
    assert {(row.kind, row.license) for row in rows} == {("dog_bark", "CC-BY-NC-3.0")}
    with pytest.raises(SystemExit, match="expected UrbanSound8K's table"):
        prepared("urbansound8k", tmp_path, "--root", tmp_path)


def test_gtzan_music_speech(tmp_path):
    root = tmp_path / "gtzan_music_speech"
    for kind in ("music", "speech"):
        for i in range(8):
            trees.sound(root / f"{kind}_wav" / f"{kind}{i}.wav", 0.2)
    rows = prepared("gtzan_music_speech", tmp_path, "--root", root)
    for kind in ("music", "speech"):
        splits = [row.split for row in rows if row.kind == kind]
        assert (splits.count("train"), splits.count("test"), len(splits)) == (2, 6, 8)
    assert prepared("gtzan_music_speech", tmp_path, "--root", root) == rows


def gtzan(root):
    for genre in ("blues", "jazz"):
        for number in (0, 1, 2, 33, 54):
            trees.sound(root / genre / f"{genre}.{number:05d}.wav", 0.2)


def test_gtzan_genres_with_artists(tmp_path):
    root = tmp_path / "genres"
    gtzan(root)
    index = tmp_path / "index.txt"
    index.write_text(
        "blues.00000.wav ::: One ::: a\nblues.00001.wav ::: one ::: b\njazz.00000.wav ::: ONE :::\n"
        "jazz.00001.wav ::: :::\nblues.00033.wav ::: Two ::: c\n"
    )
    rows = prepared("gtzan_genres", tmp_path, "--root", root, "--artists", index)
    names = [row.path.stem for row in rows]
    assert "jazz.00033" not in names and "blues.00033" in names  # a repetition, and none
    of_one = {row.split for row in rows if row.path.stem in {"blues.00000", "blues.00001"}}
    of_one |= {row.split for row in rows if row.path.stem == "jazz.00000"}
    assert len(of_one) == 1
    assert {row.kind for row in rows} == {"blues", "jazz"}
    every = prepared("gtzan_genres", tmp_path, "--root", root, "--artists", index, "--with-faulty")
    assert len(every) == 10 and len(rows) == 9
    with pytest.raises(SystemExit, match="songs of one artist lie on both sides"):
        prepared("gtzan_genres", tmp_path, "--root", root)


def test_gtzan_genres_with_published_lists(tmp_path, capsys):
    root = tmp_path / "genres"
    gtzan(root)
    (root / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF of nothing")
    for name, lines in (
        ("train", "blues/blues.00000.wav\njazz/jazz.00054.wav"),
        ("valid", "jazz/jazz.00000.wav"),
        ("test", "blues/blues.00001.wav"),
    ):
        (tmp_path / f"{name}.txt").write_text(lines + "\n")
    lists = [tmp_path / f"{name}.txt" for name in manifest.SPLITS]
    rows = prepared("gtzan_genres", tmp_path, "--root", root, "--lists", *lists)
    found = {(row.path.stem, row.split) for row in rows}
    assert found == {("blues.00000", "train"), ("jazz.00000", "valid"), ("blues.00001", "test")}
    assert "left out" in capsys.readouterr().out
    lists[1].write_text("blues/blues.00000.wav\n")
    with pytest.raises(SystemExit, match="stands in another list"):
        prepared("gtzan_genres", tmp_path, "--root", root, "--lists", *lists)


def test_the_list_of_faulty_files_is_the_published_one():
    gtzan_genres = importlib.import_module("gtzan_genres")
    assert sum(map(len, gtzan_genres.FAULTY.values())) == 1000 - 443 - 197 - 290
    assert 86 in gtzan_genres.FAULTY["reggae"]  # nearly all of it is digital noise


def test_fma(tmp_path, capsys):
    root = tmp_path / "fma_small"
    head = ",set,set,track,track\n,split,subset,genre_top,license\ntrack_id,,,,\n"
    lines = ["2,training,small,Hip-Hop,CC BY", "5,validation,small,Old-Time / Historic,"]
    lines += ["10,test,medium,Rock,CC BY-NC", "20,test,small,Rock,CC BY-NC", "21,test,small,,x"]
    lines += ["1234,test,small,Rock,CC BY", "30,test,small,Rock,CC BY"]
    (tmp_path / "fma_metadata").mkdir()
    (tmp_path / "fma_metadata" / "tracks.csv").write_text(head + "\n".join(lines) + "\n")
    for name in ("000/000002", "000/000005", "000/000010", "000/000020", "000/000021"):
        trees.sound(root / f"{name}.mp3", 6.0, 44100)
    trees.sound(root / "001" / "001234.mp3", 1.0, 44100)
    options = ["--root", root, "--metadata", tmp_path / "fma_metadata"]
    rows = prepared("fma", tmp_path, *options)
    assert [(row.path.stem, row.kind, row.split) for row in rows] == [
        ("000002", "hip_hop", "train"),
        ("000005", "old_time_historic", "valid"),
        ("000020", "rock", "test"),
    ]
    assert [row.license for row in rows] == ["CC BY", "unknown", "CC BY-NC"]
    told = capsys.readouterr().out
    assert "001234.mp3 lasts" in told and "000030.mp3 does not exist" in told
    assert len(prepared("fma", tmp_path, *options, "--subset", "medium")) == 4


def test_audioset(tmp_path, capsys):
    root = tmp_path / "audio"
    for name in ("-abc", "sub/Y_x1_30", "both_30000_40000", "none"):
        trees.sound(root / f"{name}.wav", 0.5)
    (tmp_path / "segments.csv").write_text(
        "# Segments csv created Sun Mar  5 10:54:31 2017\n# YTID, start_seconds, end_seconds, x\n"
        '-abc, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n_x1, 30.000, 40.000, "/m/04rlf"\n'
        'both, 30.000, 40.000, "/m/09x0r,/m/04rlf"\nnone, 0.000, 10.000, "/t/dd1"\n'
        'gone, 0.000, 10.000, "/m/04rlf"\n'
    )
    (tmp_path / "map.csv").write_text("label,kind\n/m/09x0r,speech\n/m/04rlf,music\n")
    options = ["--root", root, "--segments", tmp_path / "segments.csv", "--split", "train"]
    rows = prepared("audioset", tmp_path, *options, "--map", tmp_path / "map.csv")
    assert [(row.path.stem, row.kind) for row in rows] == [("-abc", "speech"), ("Y_x1_30", "music")]
    told = capsys.readouterr().out
    assert "1 of no class, 1 of several classes, 1 without audio" in told


def test_class_folders(tmp_path):
    root = tmp_path / "sounds"
    for kind in ("rain", "wind"):
        for source in range(10):
            for take in range(2):
                trees.sound(root / kind / "deep" / f"{kind}{source}_{take}.wav", 0.2)
    rows = prepared("class_folders", tmp_path, "--root", root, "--license", "CC0-1.0")
    assert len(rows) == 40 and {row.kind for row in rows} == {"rain", "wind"}
    assert {row.license for row in rows} == {"CC0-1.0"} and {row.origin for row in rows} == {
        "sounds"
    }
    assert [sum(row.split == name for row in rows) for name in manifest.SPLITS] == [28, 4, 8]
    group = ["--group", r"([a-z]+\d+)_\d\.wav$"]
    rows = prepared("class_folders", tmp_path, "--root", root, *group, "--folds", 5)
    where = {}
    for row in rows:
        where.setdefault(row.path.stem.split("_")[0], set()).add((row.fold, row.split))
    assert all(len(places) == 1 for places in where.values())
    assert {row.split for row in rows if row.fold == 5} == {"test"}
    folds.parts(rows, test=3)
    assert {sum(row.fold == n and row.kind == "wind" for row in rows) for n in range(1, 6)} == {4}
    assert prepared("class_folders", tmp_path, "--root", root, *group, "--folds", 5) == rows
    kind = ["--kind", r"(rain|wind)\d"]
    flat = prepared("class_folders", tmp_path, "--root", root / "rain" / "deep", *kind)
    assert len(flat) == 20 and {row.kind for row in flat} == {"rain"}
    with pytest.raises(ValueError, match="finds nothing"):
        prepared("class_folders", tmp_path, "--root", root, "--group", "(x)")
    with pytest.raises(ValueError, match="rain has 1 that stay together: expected 5 or more"):
        prepared("class_folders", tmp_path, "--root", root, "--group", "^([a-z]+)", "--folds", 5)


def rows_of(*pairs):
    return [
        manifest.Recording(
            path=Path(f"{i}.wav"), kind="a", license="", source="", split=split, fold=fold
        )
        for i, (fold, split) in enumerate(pairs)
    ]


def test_folds_are_kept_whole():
    rows = rows_of((1, "train"), (2, "train"), (3, "valid"), (3, "valid"), (4, "test"))
    assert folds.parts(rows) == {"train": [0, 1], "valid": [2, 3], "test": [4]}
    assert folds.parts(rows, 3, 1) == {"train": [1, 4], "valid": [0], "test": [2, 3]}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"test": 9}, r"fold 9 is not there: expected one of \[1, 2, 3\]"),
        ({"test": 1, "valid": 1}, "expected two folds"),
        ({"valid": 1}, "name the fold that tests"),
        ({"rule": "random"}, "expected one of official, shuffled"),
        ({}, r"fold 3 lies in the splits test, train: .* data.folds=shuffled if you mean it"),
    ],
)
def test_folds_that_make_no_sense_are_refused(options, match):
    rows = rows_of((1, "train"), (2, "train"), (3, "train"), (3, "test"))
    with pytest.raises(ValueError, match=match):
        folds.parts(rows, **options)
    with pytest.raises(ValueError, match="has no fold"):
        folds.parts(rows_of((1, "train"), (None, "train")), 1)


def test_shuffled_folds_are_even_and_the_same_everywhere():
    rows = rows_of(*((1 + i % 5, "train") for i in range(50)))
    found = folds.parts(rows, 2, rule="shuffled", seed=1)
    assert (len(found["train"]), len(found["test"])) == (40, 10)
    assert found != folds.parts(rows, 2, rule="shuffled", seed=2)
    own = folds.parts(list(reversed(rows)), 2, rule="shuffled", seed=1)["test"]
    assert {rows[i].path for i in found["test"]} == {rows[49 - i].path for i in own}
    assert found["test"] != folds.parts(rows, 2)["test"]
    mixed = rows_of((1, "train"), (1, "test"))
    assert folds.parts(mixed, rule="shuffled")["test"] == [1]
