"""The validator names every fault that training would meet, and only those."""

import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import trees

from sepaudio.cli import main
from sepaudio.data import manifest, mixtures
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.data.validate import validate


def recording(path, speaker, split="train", **more):
    about = {"kind": "speech", "license": "CC0-1.0", "source": path.name, "split": split}
    return manifest.Recording(path=path, speaker=speaker, **about, **more)


@pytest.fixture
def rows(tmp_path):
    made = []
    for name, split in (("ann", "train"), ("bob", "train"), ("eve", "test")):
        path = trees.sound(tmp_path / f"{name}.wav", 3.0, 8000)
        made.append(recording(path, name, split, sample_rate=8000, duration=3.0))
    return made


def check(tmp_path, rows, **options):
    manifest.write(tmp_path / "m.csv", rows)
    return validate(tmp_path / "m.csv", **options)


def test_a_good_manifest_is_fine_and_measured(tmp_path, rows):
    report = check(tmp_path, rows, sample_rate=8000, read_all=True)
    assert report.fine and not report.warnings
    assert report.speakers == {"train": 2, "test": 1}
    assert report.hours == pytest.approx({"train speech": 6 / 3600, "test speech": 3 / 3600})
    assert report.gigabytes == pytest.approx(9 * 8000 * 2 / 1e9)
    assert report.summary().startswith("3 rows, 0.00 h of audio, 0.000 GB at 16 bits, 0 problems")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"speaker": "eve"},
            r"speaker 'eve' is in train \(line 2\), test \(line 4\): expected one",
        ),
        ({"sample_rate": 16000}, "line 2 .* sample_rate=16000, but the file has 8000 Hz"),
        ({"duration": 5.0}, "line 2 .* duration_s=5, but the file lasts 3.000 s"),
        ({"start": 2.5, "duration": 1.0}, "line 2 .* from 2.5 s for 1 s, but it lasts 3.000 s"),
    ],
)
def test_bad_rows_are_problems(tmp_path, rows, change, match):
    report = check(tmp_path, [replace(rows[0], **change), *rows[1:]])
    assert not report.fine and len(report.problems) == 1
    assert re.search(match, report.problems[0])


def test_missing_and_doubled_files(tmp_path, rows):
    report = check(tmp_path, [*rows, rows[0], replace(rows[1], path=tmp_path / "no.wav")])
    assert "line 5 (ann.wav) is also line 2: remove one" in report.problems
    assert any("line 6 (no.wav)" in text and "does not exist" in text for text in report.problems)


def test_lines_are_those_of_the_file(tmp_path, rows):
    """Empty lines and values with a line break count, as editors count."""
    check(tmp_path, rows)
    head, one, two, three = (tmp_path / "m.csv").read_text().splitlines()
    broken = one.replace("ann.wav,train", '"a\nb",train').replace("ann.wav", "no.wav")
    (tmp_path / "m.csv").write_text("\n".join([head, "", two, three, broken, ""]))
    (problem,) = validate(tmp_path / "m.csv").problems
    assert problem.startswith("line 6 (no.wav): ")


def test_every_row_that_makes_no_sense_is_named(tmp_path, rows):
    check(tmp_path, rows)
    head, one, two, three = (tmp_path / "m.csv").read_text().splitlines()
    lines = [head, one.replace(",train", ",tran"), two, three.replace("3.0", "three")]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    report = validate(tmp_path / "m.csv")
    assert report.rows == 1
    assert report.problems == [
        "line 2: split='tran', expected train, valid, test",
        "line 4: duration_s='three', expected a number of 0 or more",
    ]


def test_rows_that_are_not_used_are_not_looked_at(tmp_path, rows):
    manifest.write(tmp_path / "m.csv", [*rows, replace(rows[2], path=tmp_path / "no.wav")])
    assert validate(tmp_path / "m.csv", used=lambda row: row.split == "train").rows == 2
    report = validate(tmp_path / "m.csv", used=lambda row: row.split == "test")
    (problem,) = report.unreadable
    assert "line 5 (no.wav)" in problem and str(tmp_path / "no.wav") in problem


def test_nan_is_found_when_everything_is_read(tmp_path, rows):
    x = np.zeros(8000, np.float32)
    x[4000] = np.nan
    soundfile.write(tmp_path / "nan.wav", x, 8000, subtype="FLOAT")
    rows = [*rows, recording(tmp_path / "nan.wav", "ann")]
    assert check(tmp_path, rows).fine
    (problem,) = check(tmp_path, rows, read_all=True).problems
    assert "line 5 (nan.wav)" in problem and "0.5 s is nan" in problem


def test_little_material_and_low_rates_are_warnings(tmp_path, rows):
    short = recording(trees.sound(tmp_path / "s.wav", 0.5, 8000), "kim")
    report = check(tmp_path, [*rows, short], sample_rate=16000)
    assert report.fine
    text = "\n".join(report.warnings)
    assert "line 5 (s.wav) lasts 0.5 s, 1 s or more expected" in text
    assert "speaker 'kim' has 0.5 s in train, 2 s or more expected" in text
    assert text.count("is 8000 Hz, 16000 Hz expected") == 4


def test_what_cannot_be_read_is_a_problem(tmp_path):
    assert "cannot be read" in validate(tmp_path / "no.csv").problems[0]
    (tmp_path / "bad.csv").write_text("path,kind\n")
    assert "lacks the columns license" in validate(tmp_path / "bad.csv").problems[0]


@pytest.fixture
def row(rows):
    one, two, three = (Part(path=row.path, speaker=row.speaker) for row in rows)
    enrollment = replace(one, start=2.0)
    target = replace(one, duration=2.0)
    return Mixture(
        id="m", sources=(target, two), enrollments=(enrollment,), target=0, sample_rate=8000
    ), three


def test_a_good_list_is_fine_and_measured(tmp_path, row):
    mixtures.write(tmp_path / "list.csv", [row[0], replace(row[0], id="n", mode="min")])
    report = validate(tmp_path / "list.csv", read_all=True)
    assert report.fine and report.rows == 2 and report.speakers == {"train": 2}
    assert report.hours == pytest.approx({"train": 5 / 3600})
    assert report.gigabytes == pytest.approx(5 * 8000 * 2 * 3 / 1e9)


def test_bad_mixtures_are_problems(tmp_path, row):
    good, third = row
    one, two = good.sources
    faults = {
        "share samples of ann.wav": replace(good, enrollments=(replace(one, start=1.0),)),
        "the enrollment is of 'eve'": replace(good, enrollments=(third,)),
        "expected different people": replace(good, sources=(one, replace(two, speaker="ann"))),
        "but it lasts 3.000 s": replace(good, sources=(one, replace(two, duration=4.0))),
        "does not exist": replace(good, noise=Part(path=tmp_path / "no.wav")),
    }
    for text, fault in faults.items():
        mixtures.write(tmp_path / "list.csv", [fault])
        (problem,) = validate(tmp_path / "list.csv").problems
        assert problem.startswith("line 2 (mixture 'm')") and text in problem
    mixtures.write(tmp_path / "list.csv", [good, replace(good, id="n", split="test")])
    assert len(validate(tmp_path / "list.csv").problems) == 2  # ann and bob in two splits


def test_the_command_line_names_bad_rows(tmp_path, rows, row, capfd):
    good, third = row
    manifest.write(tmp_path / "m.csv", [*rows, replace(rows[1], path=tmp_path / "no.wav")])
    mixtures.write(tmp_path / "list.csv", [good, replace(good, id="n", enrollments=(third,))])
    paths = [str(tmp_path / name) for name in ("m.csv", "list.csv")]
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "check", *paths, "sample_rate=16000"])
    out = capfd.readouterr().out
    assert stop.value.code == 1
    assert f"{paths[0]}: line 5 (no.wav): {tmp_path / 'no.wav'} does not exist" in out
    assert f"{paths[1]}: line 3 (mixture 'n'): target 'ann', but the enrollment is of 'eve'" in out
    assert f"{paths[0]}: warning: line 2 (ann.wav) is 8000 Hz, 16000 Hz expected" in out
    assert f"{paths[0]}: 4 rows, 0.00 h of audio, 0.000 GB at 16 bits, 1 problems" in out
    manifest.write(tmp_path / "m.csv", rows)
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "check", paths[0], "read_all=true", "-q"])
    assert stop.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [(["check", "m.csv", "rate=1"], "rate"), (["ivector", "m.csv"], "ivector needs -o")],
)
def test_the_command_line_refuses(arguments, match, capfd):
    with pytest.raises(SystemExit) as stop:
        main(["prepare", *arguments])
    assert stop.value.code == 2
    assert match in capfd.readouterr().err


def test_names_of_many_may_be_in_two_splits(tmp_path, rows):
    rows = [replace(rows[0], speaker="unknown_1"), replace(rows[2], speaker="unknown_1")]
    assert len(check(tmp_path, rows).problems) == 1
    assert check(tmp_path, rows, refused_speakers=["unknown"]).fine


def test_rows_are_named_one_by_one_and_no_row_is_a_fault(tmp_path):
    path = tmp_path / "m.csv"
    head = "path,kind,license,source,split\n"
    path.write_text(head + "a.wav,speech,,,test,more\n,speech,,,test\nb.wav,speech,,,no\n")
    problems = "\n".join(validate(path).problems)
    assert all(f"line {line}" in problems for line in (2, 3, 4))
    path.write_text(head)
    assert validate(path).problems == ["no rows: expected one for every recording or mixture"]
    path.write_text(head.replace(",", ";"))
    assert "put commas between values" in validate(path).problems[0]
