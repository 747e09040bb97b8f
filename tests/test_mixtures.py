"""Lists of mixtures: what is written is read, bad rows are named, rows become samples."""

from dataclasses import replace

import numpy as np
import pytest
import trees

from sepaudio import io
from sepaudio.data import mixtures
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.data.render import render


@pytest.fixture
def row(tmp_path):
    one = trees.sound(tmp_path / "a/one.wav", 1.0, 8000)
    two = trees.sound(tmp_path / "a/two.wav", 2.0, 8000)
    return Mixture(
        id="m1",
        sources=(
            Part(path=one, speaker="x", gender="f", gain=0.5),
            Part(path=two, speaker="y", start=0.25, duration=1.0, offset=0.5),
        ),
        noise=Part(path=trees.sound(tmp_path / "noise.wav", 3.0, 8000, channels=2), gain=0.1),
        enrollments=(Part(path=two, start=1.25), Part(path=one, gain=0.125)),
        sample_rate=8000,
        target=1,
        scale=0.5,
        split="test",
    )


def test_what_is_written_is_read(tmp_path, row):
    other = Mixture(id="m2", sources=row.sources[:1], sample_rate=16000, mode="min")
    mixtures.write(tmp_path / "list.csv", [row, other])
    assert mixtures.read(tmp_path / "list.csv") == [row, other]
    text = (tmp_path / "list.csv").read_text()
    assert str(tmp_path) not in text  # relative to the list
    head = text.splitlines()[0].split(",")
    assert head[:7] == ["mixture_id", "split", "rules", "sample_rate", "mode", "scale", "target"]
    assert "source_1_offset_s" not in head and "source_2_offset_s" in head
    assert "source_1_gender" in head and "source_2_gender" not in head
    text = text.replace(",x,f,", ",x,F,")
    (tmp_path / "list.csv").write_text(text)
    assert mixtures.read(tmp_path / "list.csv") == [row, other]  # genders in small letters


def test_where_each_source_is_heard(row):
    """One second from 0 on, and one from 0.5 s on, in 3 s of noise; cut to 1 s in mode min."""
    assert render(row).drawn["spans"] == [[0, 8000], [4000, 12000]]
    assert render(replace(row, mode="min")).drawn["spans"] == [[0, 8000], [4000, 8000]]


def test_a_row_becomes_samples(tmp_path, row):
    one, two, noise = (
        io.read(tmp_path / name, channel=0)[0] for name in ("a/one.wav", "a/two.wav", "noise.wav")
    )
    made = render(row)
    sources = np.zeros((2, 12000), np.float32)
    sources[0, :8000], sources[1, 4000:] = 0.5 * one, two[2000:10000]
    np.testing.assert_allclose(made.sources, 0.5 * sources, rtol=1e-6)
    bed = 0.1 * noise[:12000]
    np.testing.assert_allclose(made.mixture, 0.5 * (sources.sum(0) + bed), atol=1e-7)
    np.testing.assert_array_equal(made.enrollment, two[10000:])
    np.testing.assert_array_equal(render(row, enrollment=1).enrollment, 0.125 * one)
    assert (made.target, made.sample_rate) == (1, 8000)
    short = render(replace(row, mode="min"))
    np.testing.assert_array_equal(short.mixture, made.mixture[:8000])


def test_rooms_and_rates(tmp_path, row):
    response = np.zeros(400, np.float32)
    response[[0, 200]] = 1, 0.5
    io.write(tmp_path / "room.wav", response, 8000)
    wet = replace(row.sources[0], room=tmp_path / "room.wav", gain=1.0)
    plain = Mixture(id="r", sources=(replace(wet, room=None),), sample_rate=8000)
    dry, heard = (render(m).mixture for m in (plain, replace(plain, sources=(wet,))))
    expected = dry + 0.5 * np.pad(dry, (200, 0))[:-200]
    expected *= np.sqrt(np.mean(dry**2) / np.mean(expected**2))
    np.testing.assert_allclose(heard, expected, atol=1e-5)
    mixtures.write(tmp_path / "list.csv", [replace(plain, sources=(wet,))])
    assert mixtures.read(tmp_path / "list.csv")[0].sources[0].room == tmp_path / "room.wav"
    assert len(render(replace(plain, sample_rate=16000)).mixture) == 16000


HEAD = "mixture_id,split,rules,sample_rate,mode,target,source_1_path,source_1_gain"


@pytest.mark.parametrize(
    ("head", "line", "match"),
    [
        (
            "mixture_id,split",
            "m,train",
            "lacks the columns rules, sample_rate, mode, source_1_path",
        ),
        (HEAD, ",train,plain,8000,max,1,a.wav,1", "line 2: no mixture_id"),
        (HEAD, "m,dev,plain,8000,max,1,a.wav,1", "line 2: split='dev', expected train, valid"),
        (
            HEAD,
            "m,test,libri,8000,max,1,a.wav,1",
            "line 2: rules='libri', expected plain, librimix",
        ),
        (HEAD, "m,test,plain,8k,max,1,a.wav,1", "line 2: sample_rate='8k', expected a number of 1"),
        (HEAD, "m,test,plain,8000,mid,1,a.wav,1", "line 2: mode='mid', expected min, max"),
        (HEAD, "m,test,plain,8000,max,2,a.wav,1", "line 2: target=2, expected 1 to 1"),
        (
            HEAD,
            "m,test,plain,8000,max,,a.wav,nan",
            "line 2: source_1_gain='nan', expected a number",
        ),
        (HEAD, "m,test,plain,8000,max,,a.wav,1,2", "line 2: more values than columns"),
        (HEAD + ",source_1_gian", "m,test,plain,8000,max,,a.wav,1,2", "column 'source_1_gian'"),
        (
            HEAD + ",source_3_path",
            "m,test,plain,8000,max,,a.wav,1,c.wav",
            "line 2: source_3 but not",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path, head, line, match):
    (tmp_path / "list.csv").write_text(f"{head}\n{line}\n")
    with pytest.raises(ValueError, match=match):
        mixtures.read(tmp_path / "list.csv")


def test_double_ids_and_empty_lists_are_refused(tmp_path, row):
    mixtures.write(tmp_path / "list.csv", [row, row])
    with pytest.raises(ValueError, match="line 3: mixture_id='m1' is also in line 2"):
        mixtures.read(tmp_path / "list.csv")
    with pytest.raises(ValueError, match="no rows to write"):
        mixtures.write(tmp_path / "list.csv", [])


def test_a_part_outside_its_file_is_named(row):
    far = replace(row.sources[0], start=0.5, duration=0.6)
    with pytest.raises(
        ValueError, match=r"one.wav: from 0.5 s to 1.1 s, expected a part of its 1 s"
    ):
        render(replace(row, sources=(far,)))
