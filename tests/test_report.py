"""Pictures of scores."""

import importlib.util
import re
import sys

import pytest

from sepaudio import doors
from sepaudio.cli import main
from sepaudio.verbs.report import plot
from sepaudio.verbs.scores import Row, to_csv


def row(sir, gain, genders=""):
    figures = {"si_snr_input": sir, "si_snr": sir + gain, "si_snr_i": gain}
    return Row(file=f"{sir}", sir_db=sir, genders=genders, figures=figures)


ROWS = [row(-4.0, 8.0, "f+m"), row(0.0, 7.0, "m+f"), row(1.0, 3.0, "m+m"), row(4.0, 2.0)]
drawn = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


def texts(path):
    """What is written in an SVG."""
    return re.findall(r"<!-- (.*?) -->", path.read_text())


@drawn
def test_a_picture_tells_genders_apart(tmp_path):
    plot(tmp_path / "x.svg", {"two": ROWS})
    found = texts(tmp_path / "x.svg")
    for text in ("different gender: 2, mean 7.5 dB", "same gender: 1, mean 3.0 dB",
                 "unknown gender: 1, mean 2.0 dB", "SIR of the input [dB]"):  # fmt: skip
        assert text in found


@drawn
def test_a_picture_tells_lists_apart(tmp_path):
    failed = Row(file="x", error="gone")
    plot(tmp_path / "x.svg", {"two": ROWS, "noise": [row(2.0, 6.0), failed]})
    found = texts(tmp_path / "x.svg")
    assert "two: 4, mean 5.0 dB" in found
    assert "noise: 1, mean 6.0 dB" in found


@drawn
def test_the_command_line_draws_what_was_scored(tmp_path):
    (tmp_path / "two.csv").write_text(to_csv(ROWS))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--scores", str(tmp_path / "two.csv"), "--plot", f"{tmp_path}/x.png"])
    assert stop.value.code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@drawn
@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("x.png", [Row(file="x", figures={"si_snr": 1.0})], "no row has an improvement of SI-SNR"),
        ("x.gif", ROWS, r"x.gif ends with '.gif': expected .png, .pdf, .svg"),
        ("nowhere/x.png", ROWS, "nowhere is no folder: expected one to write into"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, name, rows, message):
    with pytest.raises(ValueError, match=message):
        plot(tmp_path / name, {"two": rows})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_matplotlib_names_the_extra_before_anything_is_read(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(doors, "matplotlib", doors.matplotlib.__wrapped__)
    (tmp_path / "two.csv").write_text(to_csv(ROWS))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--scores", str(tmp_path / "two.csv"), "--plot", f"{tmp_path}/x.png"])
    found = capsys.readouterr()
    assert (stop.value.code, found.out) == (2, "")
    assert "matplotlib is not installed: pip install 'sepaudio[plot]'" in found.err
