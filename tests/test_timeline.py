"""Timelines written and read again, and as other programs write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepaudio.data import timeline
from sepaudio.data.timeline import Segment, Timeline

# a letter last, as a label track tells a probability from a label by its digits
LABELS = st.from_regex(r"[\w%'\"] ?[\w\-;,%'\" ]{0,6}[a-zé東]", fullmatch=True)
CHANCES = st.none() | st.floats(0, 1)


@st.composite
def timelines(draw, file="talk.wav"):
    """Segments that follow each other, with gaps or without."""
    at, segments = 0.0, []
    for _ in range(draw(st.integers(1, 5))):
        at += draw(st.sampled_from([0.0, 0.25, 1.1]))
        end = at + draw(st.floats(1e-5, 1e4))
        segments.append(Segment(start=at, end=end, label=draw(LABELS), probability=draw(CHANCES)))
        at = segments[-1].end
    return Timeline(file=file, segments=tuple(segments))


@pytest.mark.parametrize("format", timeline.FORMATS)
@given(one=timelines())
def test_every_format_reads_back_equal(format, one, tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / f"talk{timeline.FORMATS[format].suffixes[0]}"
    path.write_bytes(timeline.text([one], format).encode())
    (back,) = timeline.read(path)
    assert back.segments == one.segments
    assert back.seconds == one.seconds
    assert back.file == ("talk.wav" if format in ("csv", "jsonl") else "talk")


@pytest.mark.parametrize("format", ["csv", "jsonl", "rttm"])
def test_many_recordings_stay_apart(format, tmp_path):
    part = (Segment(start=0, end=1, label="speech", probability=0.5),)
    many = [Timeline(file=f"{name}.wav", segments=part) for name in ("a b", "100%", "é,;")]
    path = tmp_path / f"x.{format}"
    path.write_bytes(timeline.text(many, format).encode())
    back = timeline.read(path)
    assert [one.segments for one in back] == [part] * 3
    stems = [one.file.removesuffix(".wav") for one in back]
    assert stems == ["a b", "100%", "é,;"]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_errors_are_rows(format, tmp_path):
    good = Timeline(file="a", segments=(Segment(start=0, end=1, label="x"),))
    both = [Timeline(file="bad", error='is text, "not" audio'), good]
    path = tmp_path / f"x.{format}"
    path.write_text(timeline.text(both, format))
    assert timeline.read(path) == both


def test_what_holds_one_recording_refuses_two():
    one = Timeline(segments=(Segment(start=0, end=1, label="x"),))
    with pytest.raises(ValueError, match="2 recordings: audacity holds one; use csv"):
        timeline.text([one, one], "audacity")


@st.composite
def overlapping(draw):
    """Stretches of each label one after the other, those of several labels over each other."""
    found = []
    for label in draw(st.lists(LABELS, min_size=2, max_size=3, unique=True)):
        at = 0.0
        for _ in range(draw(st.integers(1, 3))):
            at += draw(st.sampled_from([0.0, 0.25, 1.1]))
            end = at + draw(st.floats(1e-5, 1e4))
            found.append(Segment(start=at, end=end, label=label, probability=draw(CHANCES)))
            at = found[-1].end
    found.sort(key=lambda s: (s.start, s.end, s.label))
    return Timeline(file="talk.wav", segments=tuple(found))


@pytest.mark.parametrize("format", timeline.FORMATS)
@given(one=overlapping())
def test_every_format_reads_overlaps_back_equal(format, one, tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / f"talk{timeline.FORMATS[format].suffixes[0]}"
    path.write_bytes(timeline.text([one], format).encode())
    (back,) = timeline.read(path)
    assert back.segments == one.segments


def test_overlaps_have_a_tier_for_each_label_in_a_textgrid():
    both = (Segment(start=0, end=2, label="music"), Segment(start=1, end=3, label="speech"))
    text = timeline.text([Timeline(segments=both)], "textgrid")
    names = re.findall(r'name = "(.*)"', text)
    assert names == ["music", "probability of music", "speech", "probability of speech"]


def test_a_textgrid_has_no_overlap_of_one_label():
    both = (Segment(start=0, end=2, label="music"), Segment(start=1, end=3, label="music"))
    with pytest.raises(ValueError, match=r"overlap at 1.0 s"):
        timeline.text([Timeline(segments=both)], "textgrid")


SHORT = """File type = "ooTextFile short"
"TextGrid"

0
2.5
<exists>
2
"TextTier"
"clicks"
0
2.5
1
0.5
"a ""loud"" one"
"IntervalTier"
"class"
0
2.5
2
0
1
""
1
2.5
"speech"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_praats_short_form_and_encodings(encoding, tmp_path):
    (tmp_path / "x.TextGrid").write_bytes(SHORT.encode(encoding))
    (one,) = timeline.read(tmp_path / "x.TextGrid")
    assert one.segments == (Segment(start=1, end=2.5, label="speech"),)


def test_files_of_other_programs(tmp_path):
    rttm = tmp_path / "x.rttm"
    rttm.write_text(
        ";; made by hand\nSPKR-INFO show 1 <NA> <NA> <NA> unknown anna <NA>\n"
        "SPEAKER show 1 0.5 1.25 <NA> <NA> anna <NA> <NA>\n"
    )
    (one,) = timeline.read(rttm)
    assert one == Timeline(file="show", segments=(Segment(start=0.5, end=1.75, label="anna"),))
    labels = tmp_path / "x.txt"
    labels.write_bytes(b"0.0\t1.5\tbig dog 3\r\n\\\t100\t2000\r\n")
    (one,) = timeline.read(labels)
    assert one.segments == (Segment(start=0, end=1.5, label="big dog 3"),)
    (tmp_path / "x.csv").write_text("start_s,end_s,label\n0,1,a\n0.5,1,b\n")
    (one,) = timeline.read(tmp_path / "x.csv")
    assert [s.label for s in one.segments] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "said", "match"),
    [
        ("x.csv", "start_s,end_s,label\n1,0.5,a\n", "line 2: segment from 1.0 to 0.5 s"),
        ("x.csv", "start_s,end_s,label\n0,x,a\n", "line 2: end_s='x', expected a number"),
        ("x.csv", "start_s,end_s\n0,1\n", "lacks the columns label"),
        ("x.jsonl", "{}\n[1]\n", "line 1: no start_s"),
        ("x.jsonl", "[1]\n", "line 1: expected an object"),
        ("x.jsonl", "\nwhat\n", "line 2: no JSON"),
        ("x.rttm", "SPEAKER a 1 0 1\n", "line 1: 5 values, expected 9 or 10"),
        ("x.rttm", "SPEAKER a 1 0 x <NA> <NA> b <NA>\n", "line 1: time='x', expected a number"),
        ("x.txt", "0 1 speech\n", "line 1: 1 values, expected start, end"),
        ("x.TextGrid", SHORT[:150], "is cut short"),
        ("x.TextGrid", "hello", "is no TextGrid"),
        ("x.wav", "hello", "ends with '.wav': expected .csv, .jsonl"),
    ],
)
def test_faults_are_named_with_their_place(name, said, match, tmp_path):
    (tmp_path / name).write_text(said)
    with pytest.raises(ValueError, match=match):
        timeline.read(tmp_path / name)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.rttm", "x.TextGrid", "x.txt"])
def test_what_is_not_there_says_so(name, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        timeline.read(tmp_path / name)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"start": -1.0}, "expected 0 <= start < end"),
        ({"end": 0.0}, "expected 0 <= start < end"),
        ({"end": float("inf")}, "expected 0 <= start < end"),
        ({"label": "a\tb"}, "expected printable text"),
        ({"label": ""}, "expected printable text"),
        ({"probability": 1.5}, "probability=1.5: expected 0 to 1"),
    ],
)
def test_segments_that_cannot_be(values, match):
    with pytest.raises(ValueError, match=match):
        Segment(**{"start": 0.0, "end": 1.0, "label": "x", **values})
