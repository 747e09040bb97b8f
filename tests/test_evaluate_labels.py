"""Labels and timelines judged: what belongs together, what is counted, what is refused."""

import csv
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import call

from sepaudio import evaluate_labels, metrics
from sepaudio.data import labelled, pairs, timeline
from sepaudio.data.timeline import Segment, Timeline
from sepaudio.verbs import evaluate_timelines, report_labels
from sepaudio.verbs.evaluate_timelines import TimelineCfg
from sepaudio.verbs.judged import compare, summarise

REFERENCE = "path,kind\nd/a.wav,dog\nd/b.wav,dog\ne/c.flac,cat\ne/d.flac,cow\n"
HEARD = (
    "file,label,probability,dog,cat,pig,silence,seconds,error\n"
    "a.wav,dog,0.7,0.7,0.2,0.1,0.0,1.0,\nd.wav,cat,0.5,0.3,0.5,0.2,0.0,1.0,\n"
    "c.wav,dog,0.6,0.6,0.3,0.1,0.0,1.0,\nb.wav,silence,,,,,1.0,1.0,\n"
)


def put(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def line(*segments, file="x"):
    spans = [Segment(start=a, end=b, label=label) for a, b, label in segments]
    return Timeline(file=file, segments=tuple(spans))


def judged(ours, theirs, **options):
    return summarise(evaluate_timelines.judge(ours, theirs, TimelineCfg(**options)), 0)


@pytest.fixture
def tables(tmp_path):
    return put(tmp_path, "ref.csv", REFERENCE), put(tmp_path, "hyp.csv", HEARD)


def test_clips_are_judged_by_name_as_classify_writes_them(tables):
    found = summarise(evaluate_labels(*tables), 200)
    values = {name: one["value"] for name, one in found["figures"].items()}
    assert values["accuracy"] == 0.25
    assert values["balanced_accuracy"] == pytest.approx(1 / 6)
    assert values["macro_f1"] == pytest.approx(0.5 / 4)  # dog 1/2, cat, cow, silence 0
    # dog: first of four by 0.7, and last, without probabilities; cat: second by 0.3
    assert values["mean_average_precision"] == pytest.approx(((1 + 2 / 4) / 2 + 1 / 2) / 2)
    assert found["without_probability"] == 1
    assert found["calibration_error"] == pytest.approx((0.3 + 0.6 + 0.5) / 3)
    assert found["confusion"]["labels"] == ["cat", "cow", "dog", "silence"]
    assert found["classes"]["dog"] == {
        **{"recordings": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        "average_precision": pytest.approx(0.75),
    }
    assert found["classes"]["cow"]["precision"] is None  # never predicted
    assert found["classes"]["cow"]["average_precision"] is None  # has no column
    for one in found["figures"].values():
        assert one["interval"][0] <= one["value"] <= one["interval"][1]


@pytest.mark.oracle
def test_figures_of_clips_equal_scikit_learn(tmp_path):
    from sklearn import metrics as sk

    random, names = np.random.default_rng(0), ["a", "b", "c"]
    truth, chances = random.integers(0, 3, 60), np.round(random.dirichlet([1, 1, 1], 60), 3)
    said = chances.argmax(axis=1)
    ref = "path,label\n" + "".join(f"{i},{names[t]}\n" for i, t in enumerate(truth))
    rows = [f"{i},{names[s]},{','.join(map(str, c))}\n" for i, (s, c) in
            enumerate(zip(said, chances, strict=True))]  # fmt: skip
    hyp = "path,label,a,b,c\n" + "".join(rows)
    found = evaluate_labels(put(tmp_path, "r.csv", ref), put(tmp_path, "h.csv", hyp))
    values = found.figures(np.ones(60))
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(truth, said))
    assert values["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, said))
    assert values["macro_f1"] == pytest.approx(sk.f1_score(truth, said, average="macro"))
    wanted = sk.average_precision_score(np.eye(3)[truth], chances)
    assert values["mean_average_precision"] == pytest.approx(wanted)
    assert found.about["calibration_error"] == pytest.approx(
        metrics.calibration_error(truth, chances)
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (REFERENCE, HEARD.replace("d.wav", "q.wav"), r"hyp.csv lacks e/d.flac; .*ref.csv lacks q"),
        (REFERENCE, HEARD + "e.wav,,,,,,,,no audio\n", "e.wav has an error: no audio"),
        (REFERENCE, HEARD.replace("0.5,0.3,0.5", "0.5,,0.5"), "line 3: no probability of dog"),
        (REFERENCE, HEARD.replace("0.7,0.7", "0.7,70"), "line 2: dog=70, expected a probability"),
        (REFERENCE, HEARD.replace("a.wav,dog", "a.wav,"), "line 2: no label"),
        (REFERENCE, "file,class\nx,y\n", "lacks a column label or kind or category; found file"),
        (REFERENCE, "file,label\n", "has no rows"),
        (REFERENCE, HEARD + "x/a.wav,dog,0.7,0.7,0.2,0.1,0.0,1.0,\n", "lacks"),
        (REFERENCE + "d/a.mp3,dog\n", HEARD, "d/a.wav and d/a.mp3 have one name"),
        (REFERENCE, "file,start_s,end_s,label\nx,0,1,y\n", "ref.csv holds clips but .* timelines"),
    ],
)
def test_rows_that_do_not_match_are_named(tmp_path, ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        evaluate_labels(put(tmp_path, "ref.csv", ours), put(tmp_path, "hyp.csv", theirs))


def test_what_is_missing_is_left_out_or_wrong_when_asked(tables, tmp_path):
    short = put(tmp_path, "short.csv", HEARD.replace("d.wav", "q.wav") + "r,,,,,,,,bad\n")
    skipped = summarise(evaluate_labels(tables[0], short, missing="skip"), 0)
    wrong = summarise(evaluate_labels(tables[0], short, missing="wrong"), 0)
    assert (skipped["files"], skipped["missing"], skipped["extra"]) == (3, 1, 1)
    assert skipped["figures"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert (wrong["files"], wrong["figures"]["accuracy"]["value"]) == (4, 0.25)
    assert wrong["confusion"]["labels"][-1] == "(nothing)"
    assert "1 without a prediction; 1 predictions without" in report_labels.as_markdown(wrong)
    with pytest.raises(ValueError, match="missing='no': expected one of error, skip, wrong"):
        evaluate_labels(*tables, missing="no")


def test_names_fit_with_as_few_folders_as_tell_them_apart():
    found = pairs.pair([("x/a.wav", 1), ("y/a.wav", 2)], [("/z/y/a.flac", 3), ("/z/x/a.flac", 4)])
    assert found.other == {"x/a.wav": 4, "y/a.wav": 3}
    found = pairs.pair([("v1.2.wav", 1)], [("v1.2", 2), ("v1.3", 3)])  # no suffix of audio
    assert (found.other, found.missing, found.extra) == ({"v1.2.wav": 2}, [], ["v1.3"])
    assert pairs.pair([("", 1)], [("x", 2)]).other == {"": 2}
    assert pairs.some([*"abcdefg"]) == "a, b, c, d, e and 2 more"


def test_other_tables_of_labels_are_read(tmp_path):
    text = "filename,fold,target,category,esc10,src_file,take\n1.wav,1,0,dog,True,1,A\n"
    (one,), columns = labelled.read(put(tmp_path, "meta.csv", text))
    assert (one.file, one.label, one.probability, columns) == ("1.wav", "dog", None, [])


def test_timelines_by_hand():
    there = line((0, 4, "speech"), (4, 5, "silence"), (6, 10, "music"))
    said = line((0, 3, "speech"), (3, 5, "music"), (6, 10, "music"))
    found = judged({"x": there}, {"x": said})
    values = {name: one["value"] for name, one in found["figures"].items()}
    assert values["accuracy"] == pytest.approx(0.8)  # a gap is silence
    assert values["accuracy_in_sound"] == pytest.approx(7 / 8)
    assert values["balanced_recall"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert values["segment_f1"] == pytest.approx(2 * 7 / (8 + 9))
    assert values["event_f1"] == pytest.approx(2 * 2 / (2 + 3))  # an end is right to half a length
    assert found["minutes"] == pytest.approx(1 / 6)
    rows = dict(zip(found["confusion"]["labels"], found["confusion"]["rows"], strict=True))
    assert rows["speech"] == pytest.approx([1, 3, 0])
    assert rows["silence"] == pytest.approx([1, 0, 1])
    late = {"x": line((1, 4, "speech"), (6, 10, "music"))}
    for collar, hits in ((0.2, 1), (1.0, 2)):
        found = judged({"x": there}, late, collar=collar)
        assert found["figures"]["event_f1"]["value"] == pytest.approx(2 * hits / (2 + 2))


def test_overlaps_count_by_class():
    there = line((0, 10, "music"), (2, 4, "speech"))
    found = judged({"x": there}, {"x": line((0, 10, "music"))})
    assert found["figures"]["accuracy"]["value"] == pytest.approx(0.8)
    assert found["classes"]["music"]["recall"] == 1
    assert found["classes"]["speech"]["recall"] == 0
    assert found["overlap"] == pytest.approx(0.2)
    assert judged({"x": there}, {"x": there})["figures"]["accuracy"]["value"] == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.011, 3), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_timeline_is_right_about_itself_and_the_last_frame_counts(lengths, seed):
    random, at, segments = np.random.default_rng(seed), 0.0, []
    for length in lengths:
        segments.append((at, at + length, str(random.choice(["a", "b", "silence"]))))
        at += length
    one = line(*segments)
    counts = evaluate_timelines.count(one, one, ("a", "b"), TimelineCfg())
    assert counts.frames[0] == counts.frames[1] == np.ceil(one.seconds / 0.01 - 1e-6)
    assert counts.confusion.sum() == np.trace(counts.confusion) == counts.frames[0]
    assert (counts.events[:, 0] == counts.events[:, 1]).all()


def test_timelines_of_all_formats_and_folders_are_judged_alike(tmp_path):
    many = [line((0, 2, "a"), (3, 5, "b"), file="x"), line((0, 2.5, "b"), file="y")]
    others = [line((0, 2.1, "a"), (3, 5, "b"), file="x"), line((0, 1, "b"), file="y")]
    found = []
    for format, of in timeline.FORMATS.items():
        suffix, paths = of.suffixes[0], []
        for name, lines in (("ref", many), ("hyp", others)):
            if of.single:
                folder = tmp_path / format / name
                folder.mkdir(parents=True)
                for one in lines:
                    put(folder, one.file + suffix, timeline.text([one], format))
                paths.append(folder)
            else:
                paths.append(put(tmp_path, name + suffix, timeline.text(lines, format)))
        found.append(summarise(evaluate_labels(*paths), 20)["figures"])
    assert all(one == found[0] for one in found[1:])
    assert 0.7 < found[0]["accuracy"]["value"] < 1
    mixed = evaluate_labels(tmp_path / "ref.rttm", tmp_path / "audacity" / "hyp")
    assert summarise(mixed, 20)["figures"] == found[0]


def test_rows_of_a_recording_may_stand_apart(tmp_path):
    text = "file,start_s,end_s,label\nx,2,3,a\ny,0,1,a\nx,0,2,b\n"
    path = put(tmp_path, "ref.csv", text)
    found = evaluate_labels(path, path)
    assert found.files == ["x", "y"]
    assert found.figures(np.ones(2))["event_f1"] == 1


def test_nothing_heard_is_a_timeline_where_it_has_a_file(tmp_path):
    (tmp_path / "hyp").mkdir()
    put(tmp_path / "hyp", "x.txt", "")
    found = evaluate_labels(put(tmp_path, "x.rttm", timeline.text([line((0, 1, "a"))], "rttm")),
                            tmp_path / "hyp")  # fmt: skip
    assert found.figures(np.ones(1))["accuracy"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,start_s,end_s,label,error\nx,0,1,a,\ny,,,,broken\n", "y has an error: broken"),
        ("file,start_s,end_s,label\nz,0,1,a\n", "lacks x, y; .*lacks z"),
        ("file,start_s,end_s,label\nx,1,0,a\n", "line 2: .*expected 0 <= start < end"),
    ],
)
def test_timelines_that_do_not_match_are_named(tmp_path, text, message):
    ref = put(tmp_path, "ref.csv", "file,start_s,end_s,label\nx,0,1,a\ny,0,1,a\n")
    with pytest.raises(ValueError, match=message):
        evaluate_labels(ref, put(tmp_path, "hyp.csv", text))


def test_bad_settings_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"frame=0, segment=1.0: expected 0.0001 s or more"):
        TimelineCfg(frame=0)
    with pytest.raises(ValueError, match=r"collar=-1, share=0.5: expected 0 or more"):
        TimelineCfg(collar=-1)
    with pytest.raises(ValueError, match="holds no timeline: expected files that end with"):
        evaluate_labels(tmp_path, tmp_path)
    with pytest.raises(ValueError, match=r"no.csv does not exist: expected labels or timelines"):
        evaluate_labels(tmp_path / "no.csv", tmp_path)


def test_two_systems_are_compared_on_the_same_files(tables, tmp_path):
    names = [f"{i}.wav" for i in range(40)]
    right = ["a", "b"] * 20
    said = {"one": right[:30] + ["a"] * 10, "other": ["a"] * 40}
    reference, *systems = (
        put(tmp_path, f"{name}.csv", "path,label\n" + "".join(
            f"{n},{x}\n" for n, x in zip(names, labels, strict=True)))
        for name, labels in (("truth", right), *said.items())
    )  # fmt: skip
    ours, theirs = (evaluate_labels(reference, path) for path in systems)
    found = compare(ours, theirs, 200)
    assert found["accuracy"].difference == pytest.approx(15 / 40)
    assert found["accuracy"].p == pytest.approx(2 * 0.5**15)
    assert "McNemar" in found["accuracy"].test
    assert found["macro_f1"].interval[0] > 0
    same = compare(ours, ours, 50)
    assert {one.p for one in same.values()} == {1.0}
    with pytest.raises(ValueError, match="40 and 4 files: expected the same two or more"):
        compare(ours, evaluate_labels(*tables))
    with pytest.raises(ValueError, match="draws=0: expected 1 or more"):
        compare(ours, theirs, 0)


def test_the_command_line_writes_everything(tables, tmp_path, capfd):
    reference, heard = tables
    other = put(tmp_path, "other.csv", HEARD.replace("c.wav,dog", "c.wav,cat"))
    there = find_spec("matplotlib") is not None
    more = ["--plot", tmp_path / "c.svg"] if there else []
    paths = ["--labels", reference, "--predictions", heard]
    code, out, err = call(
        capfd, "evaluate", *paths, "--compare", other, "-o", tmp_path / "out", *more
    )
    assert (code, err) == (0, "")
    assert re.search(r"\| accuracy +\| +25.0 \(", out)
    assert re.search(r"\| hyp - other +\| accuracy +\| +-0.250 ", out)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["compared"]["figures"]["accuracy"]["p"] == 1
    with (tmp_path / "out" / "files.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["right"] for row in rows] == ["1", "0", "0", "0"]
    assert [row["file"] for row in rows] == ["d/a.wav", "d/b.wav", "e/c.flac", "e/d.flac"]
    with (tmp_path / "out" / "confusion.csv").open() as file:
        assert next(csv.reader(file)) == ["true", "cat", "cow", "dog", "silence"]
    if there:
        text = (tmp_path / "c.svg").read_text()
        assert "taken for" in text
        assert "share that is right" in text


def test_the_command_line_judges_timelines(tmp_path, capfd):
    lines = [line((0, 4, "a"), (4, 5.005, "b"), file="x.wav")]
    path = put(tmp_path, "ref.csv", timeline.text(lines, "csv"))
    more = ["--frame", "0.1", "--draws", "0", "-o", tmp_path / "out"]
    code, out, _ = call(capfd, "evaluate", "--labels", path, "--predictions", path, *more)
    assert code == 0
    assert re.search(r"\| event f1 +\| +100.0 \|", out)
    assert "x.wav,5.1" in (tmp_path / "out" / "files.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "x.csv"], "--labels and --predictions: expected both"),
        (["--labels", "x.csv", "--predictions", "y.csv"], "x.csv does not exist: expected labels"),
        (["--predictions=y.csv", "--labels=x.csv", "--plot=x.gif"], "x.gif ends with '.gif'"),
    ],
)
def test_wrong_commands_are_refused(capfd, arguments, message):
    code, out, err = call(capfd, "evaluate", *arguments)
    assert (code, out) == (2, "")
    assert message in err
