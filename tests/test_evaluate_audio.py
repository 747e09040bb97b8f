"""Scores of separated audio: what belongs together, what is measured, what is refused."""

import csv
import json
from importlib.util import find_spec

import numpy as np
import pytest

from sepaudio import io, metrics
from sepaudio.cli import main
from sepaudio.verbs import report, scores
from sepaudio.verbs.evaluate_audio import evaluate_audio, match

RATE = 8000
NAMES = ("a", "deep/b", "c")


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape or (4000,)).astype(np.float32) * 0.1


def put(folder, name, x, rate=RATE, suffix=".wav"):
    path = folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(path, x, rate)
    return path


@pytest.fixture
def extracted(tmp_path):
    """Three files: an estimate 20 dB above its error, one that is its source, one of the other."""
    for i, name in enumerate(NAMES):
        source, other = noise(i), noise(i + 10)
        put(tmp_path / "clean", name, source)
        put(tmp_path / "mixed", name, source + other)
        made = (source + 0.1 * other, 0.5 * source, other + 0.1 * source)[i]
        put(tmp_path / "made", name, made, suffix=".flac" if i == 0 else ".wav")
    return tmp_path


@pytest.fixture
def separated(tmp_path):
    """Two sources; the estimates of `a` are swapped, and one of them has an error."""
    for i, name in enumerate(("a", "b")):
        sources = noise(i, 2, 4000)
        put(tmp_path / "mixed", name, sources.sum(0))
        made = sources[::-1] if name == "a" else sources
        for s in range(2):
            put(tmp_path / f"clean/s{s + 1}", name, sources[s])
            put(tmp_path / f"made/s{s + 1}", name, made[s])
            put(tmp_path / "beside", f"{name}_{s + 1}", made[s] + 0.1 * noise(9 + s))
    return tmp_path


def rows(folder, **options):
    found = evaluate_audio(folder / "clean", folder / "made", folder / "mixed", **options)
    return {(row.file, row.source): row for row in found}


def call(capfd, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    out, err = capfd.readouterr()
    return stop.value.code, out, err


def test_files_are_matched_by_name_whatever_their_format(extracted):
    found = rows(extracted)
    assert [file for file, _ in found] == ["a", "c", "deep/b"]
    assert not [row.error for row in found.values() if row.error]
    a, source, mixture = found["a", ""], noise(0), noise(0) + noise(10)
    made = io.read(extracted / "made" / "a.flac")[0]
    assert (a.seconds, a.estimate, a.silent) == (0.5, 1, "")
    for name in ("si_snr", "si_sdr", "snr"):
        figure = getattr(metrics, name)
        assert a.figures[name] == pytest.approx(float(figure(made, source)))
        before = float(figure(mixture, source))
        assert a.figures[f"{name}_input"] == pytest.approx(before)
        better = float(metrics.improvement(figure, made, source, mixture))
        assert a.figures[f"{name}_i"] == pytest.approx(better)
    assert a.figures["si_snr"] == pytest.approx(20, abs=0.5)
    assert found["deep/b", ""].figures["si_snr"] == 120
    assert found["deep/b", ""].figures["snr"] == pytest.approx(6.02, abs=0.01)


def test_the_wrong_speaker_is_told(extracted):
    found = rows(extracted)
    assert {file: row.figures["wrong"] for (file, _), row in found.items()} == {
        **{"a": 0, "deep/b": 0, "c": 1}
    }


@pytest.mark.parametrize("made", ["made", "beside"])
def test_sources_are_matched_to_estimates(separated, made):
    found = list(evaluate_audio(separated / "clean", separated / made, separated / "mixed"))
    assert [(row.file, row.source, row.estimate) for row in found] == [
        *[("a", "s1", 2), ("a", "s2", 1), ("b", "s1", 1), ("b", "s2", 2)]
    ]
    least = 119 if made == "made" else 15
    assert all(row.figures["si_snr"] > least for row in found)
    assert all(row.figures["si_snr_i"] > 10 for row in found)
    assert not [row for row in found if "wrong" in row.figures or row.error]


def test_truncation_leaves_out_what_follows_the_reference(tmp_path):
    source, other = noise(0), noise(1)
    source[2500:] = 0
    put(tmp_path / "clean", "x", source)
    put(tmp_path / "mixed", "x", source + other)
    made = source + 0.1 * other
    made[2500:] = noise(2)[2500:]
    put(tmp_path / "made", "x", made)
    whole, cut = rows(tmp_path)["x", ""], rows(tmp_path, truncate=True)["x", ""]
    assert (whole.seconds, cut.seconds) == (0.5, 2500 / RATE)
    expected = metrics.si_snr(made[:2500], source[:2500])
    assert cut.figures["si_snr"] == pytest.approx(float(expected))
    assert whole.figures["si_snr"] < expected - 10
    before = metrics.si_snr((source + other)[:2500], source[:2500])
    assert cut.figures["si_snr_i"] == pytest.approx(float(expected - before))


def test_truncation_takes_estimates_of_other_lengths_that_reach_far_enough(tmp_path):
    source = noise(0)
    source[2500:] = 0
    put(tmp_path / "clean", "x", source)
    for n, error in ((2500, ""), (9000, ""), (2499, "has 2499 samples: expected at least 2500")):
        made = put(tmp_path / "made", "x", noise(1, n))
        (row,) = evaluate_audio(tmp_path / "clean", tmp_path / "made", truncate=True)
        assert bool(row.error) == bool(error)
        assert error in row.error
        (row,) = evaluate_audio(tmp_path / "clean", tmp_path / "made")
        assert row.error.startswith(f"{made} has {n} samples: expected 4000 as ")


def test_each_source_ends_where_it_ends(separated):
    for s, end in ((1, 1000), (2, 3000)):
        path = separated / f"clean/s{s}/a.wav"
        x = io.read(path)[0]
        x[end:] = 0
        io.write(path, x, RATE)
    found = rows(separated, truncate=True)
    assert found["a", "s1"].seconds == 1000 / RATE
    assert found["a", "s2"].seconds == 3000 / RATE
    assert found["a", "s1"].figures["si_snr"] == found["a", "s2"].figures["si_snr"] == 120


def test_silence_has_a_leak_and_no_decibels(tmp_path):
    zero, mixture = np.zeros(4000, np.float32), noise(1)
    for name, source, made in (
        ("both", zero, zero),
        ("leaks", zero, 0.1 * mixture),
        ("mute", noise(0), zero),
    ):
        put(tmp_path / "clean", name, source)
        put(tmp_path / "made", name, made)
        put(tmp_path / "mixed", name, mixture)
    found = {file: row for (file, _), row in rows(tmp_path).items()}
    assert [(r.file, r.silent, r.figures["si_snr"], r.figures["leak"]) for r in found.values()] == [
        ("both", "both", None, -120),
        ("leaks", "reference", None, pytest.approx(-20)),
        ("mute", "estimate", 0, None),
    ]
    assert not [row for row in found.values() if row.error]
    summary = scores.summarise(list(found.values()))
    assert (summary["silent_references"], summary["silent_estimates"]) == (2, 2)
    assert summary["figures"]["si_snr"]["n"] == 1
    json.dumps(summary, allow_nan=False)


def test_channels_are_averaged(tmp_path):
    source, made = noise(0, 2, 4000), noise(1, 2, 4000)
    put(tmp_path / "clean", "x", source)
    put(tmp_path / "made", "x", made)
    (row,) = evaluate_audio(tmp_path / "clean", tmp_path / "made")
    each = metrics.snr(made, source)
    assert row.figures["snr"] == pytest.approx(each.mean())
    assert abs(each[0] - each[1]) > 0.01


def test_a_bad_pair_is_a_row_and_the_rest_are_done(extracted, capfd):
    clean, made = extracted / "clean", extracted / "made"
    put(clean, "no_estimate", noise(0))
    put(extracted / "mixed", "no_estimate", noise(0))
    put(made, "no_reference", noise(0))
    for name, x, rate in (("slow", noise(0), 4000), ("wide", noise(0, 2, 4000), RATE)):
        put(made, name, x, rate)
        for folder in (clean, extracted / "mixed"):
            put(folder, name, noise(0))
    (made / "c.wav").write_bytes(b"no audio")
    out = extracted / "out"
    code, _, err = call(
        capfd, "--references", clean, "--estimates", made, "--mixtures", extracted / "mixed",
        "-o", out,
    )  # fmt: skip
    assert code == 1
    with (out / "scores.csv").open() as file:
        found = {row["file"]: row for row in csv.DictReader(file)}
    assert {name for name, row in found.items() if not row["error"]} == {"a", "deep/b"}
    for name, text in {
        "c": "c.wav is text: expected an audio file",
        "no_estimate": f"no estimate no_estimate in {made}: expected equal names",
        "no_reference": f"no_reference.wav has no reference in {clean}",
        "slow": "slow.wav has 4000 Hz: expected 8000 Hz as",
        "wide": "wide.wav has 2 channels: expected 1 as",
    }.items():
        assert text in found[name]["error"]
        assert text in err
        assert found[name]["si_snr"] == ""
    assert "5 of 7 rows failed" in err
    summary = json.loads((out / "summary.json").read_text())["scores"]
    assert (summary["files"], summary["failed"], summary["truncated"]) == (7, 5, False)
    assert summary["figures"]["si_snr"]["n"] == 2


def test_missing_sources_and_mixtures_are_named(separated):
    (separated / "clean/s2/a.wav").unlink()
    (separated / "made/s1/b.wav").unlink()
    (separated / "mixed/b.wav").unlink()
    a, b, *rest = rows(separated).values()
    assert a.error == f"a has no reference in s2 of {separated / 'clean'}: expected equal names"
    lacks = f"no estimate s1/b in {separated / 'made'}; no mixture in {separated / 'mixed'}"
    assert b.error == f"b has {lacks}: expected equal names"
    assert rest == []


@pytest.mark.parametrize("missing", ["clean", "made", "mixed"])
def test_folders_that_hold_no_audio_are_refused(extracted, missing):
    folders = {name: extracted / name for name in ("clean", "made", "mixed")}
    for path, message in (("nowhere", "nowhere is no folder"), ("empty", "holds no file that is")):
        (extracted / "empty").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=message):
            match(*{**folders, missing: extracted / path}.values())


def test_two_files_of_one_name_are_refused(extracted):
    put(extracted / "made", "a", noise(0))
    with pytest.raises(ValueError, match="have one name: expected one file a name"):
        match(extracted / "clean", extracted / "made")


def test_unknown_figures_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="figure 'mos': expected some of si_snr, si_sdr, snr, sdr"):
        evaluate_audio(tmp_path, tmp_path, figures=["mos"])


@pytest.mark.skipif(find_spec("torchmetrics") is None, reason="torchmetrics is not installed")
def test_a_figure_that_fails_leaves_the_others(extracted):
    put(extracted / "made", "c", 0 * noise(0))
    found = rows(extracted, figures=["sdr", "si_snr"])
    assert found["a", ""].figures["sdr"] > found["a", ""].figures["si_snr"]
    assert found["c", ""].error == "sdr: the estimate is silent: expected a signal with energy"
    assert found["c", ""].figures["sdr"] is None
    assert found["c", ""].figures["si_snr"] == 0


def test_the_sir_of_the_input_is_measured(extracted):
    for one in rows(extracted).values():
        assert one.sir_db == pytest.approx(one.figures["snr_input"])
        assert abs(one.sir_db) < 1  # two noises of one level
    (first, *_) = evaluate_audio(extracted / "clean", extracted / "made")
    assert first.sir_db is None
    put(extracted / "mixed", "a", io.read(extracted / "clean/a.wav")[0])
    assert rows(extracted)["a", ""].sir_db is None  # nothing else is there


def test_the_command_line_compares_two_systems(extracted, capfd):
    folders = ("--references", extracted / "clean", "--estimates")
    code, out, err = call(
        capfd, *folders, extracted / "made", "--mixtures", extracted / "mixed", "-o",
        extracted / "one",
    )  # fmt: skip
    assert (code, err) == (0, "")
    found = json.loads((extracted / "one/summary.json").read_text())
    assert out == report.as_markdown(found)
    assert " 33.3 % |" in out  # one wrong speaker of three
    code, out, err = call(
        capfd, *folders, extracted / "mixed", "--compare", extracted / "one/scores.csv", "-o",
        extracted / "two",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "p: Wilcoxon signed-rank, two-sided, files paired" in out
    told = json.loads((extracted / "two/summary.json").read_text())["scores"]
    compared = told["compared"]["figures"]
    assert not [name for name in compared if name.endswith("_input")]
    one = {r.file: r.figures["snr"] for r in scores.from_csv(extracted / "one/scores.csv")}
    two = {r.file: r.figures["snr"] for r in scores.from_csv(extracted / "two/scores.csv")}
    expected = np.mean([two[name] - one[name] for name in one])
    assert compared["snr"]["difference"] == pytest.approx(expected, abs=1e-5)
    again = ("--scores", extracted / "two/scores.csv", "--compare", extracted / "one")
    code, same, _ = call(capfd, *again)
    assert (code, same) == (0, out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--references", "x"], "--references and --estimates: expected both"),
        (["--references", "x", "--estimates", "y"], "x is no folder: expected one"),
        (["--scores", "x.csv", "--estimates", "y"], "--scores replaces --references"),
        (["--scores", "x.csv"], "x.csv does not exist: expected scores"),
        (["--scores", "x.csv", "--metrics", "sdr"], "--scores replaces --references"),
        (["--references", "x", "--estimates", "y", "--metrics", "mos"], "figure 'mos'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message, capfd):
    code, out, err = call(capfd, *arguments)
    assert code == 2
    assert message in out + err


def test_both_forms_have_help(capfd):
    assert "manifests" in call(capfd, "--help")[1]
    assert "--truncate" in call(capfd, "--references", "--help")[1]
