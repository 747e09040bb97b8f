"""Scores of separators and extractors on lists of mixtures."""

import csv
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from sepaudio import evaluate_audio, evaluate_mixtures, hub, io, metrics, registry
from sepaudio.cli import main
from sepaudio.data import mixtures
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.verbs.scores import from_csv, summarise

RATE = 1000


class Says(torch.nn.Module):
    """Gives back what it was told, whatever it hears."""

    causal, sample_rate, hop, channels = False, RATE, 1, None

    def __init__(self, task, answer):
        super().__init__()
        self.task, self.answer = task, answer
        self.place = torch.nn.Parameter(torch.zeros(1))
        self.cfg = type("Cfg", (), {"n_src": 2, "presence": 0.0})

    def enroll(self, enrollment):
        return enrollment

    def forward(self, mixture, *given):
        return self.answer(mixture)


@pytest.fixture
def rows(tmp_path):
    """Two hums in every mixture, the second 6 dB weaker, and more of the first to enroll."""
    t = np.arange(2 * RATE) / RATE
    for name, hz in (("a", 100), ("b", 170)):
        io.write(
            tmp_path / f"{name}.wav", (0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32), RATE
        )
    a, b = tmp_path / "a.wav", tmp_path / "b.wav"
    return [
        Mixture(
            id=f"m{i}",
            sources=(
                Part(path=a, speaker="a", start=0.1 * i, duration=1.0),
                Part(path=b, speaker="b", start=0.2 * i, duration=1.0, gain=0.5),
            ),
            sample_rate=RATE,
            enrollments=(Part(path=a, speaker="a", start=1.5),),
            target=0,
            split="test",
        )
        for i in range(4)
    ]


def pure(mixture, hz, gain):
    """The mixture's tone of one frequency, and nothing else."""
    spec = torch.fft.rfft(mixture)
    keep = torch.zeros_like(spec)
    keep[..., hz] = gain * spec[..., hz]
    return torch.fft.irfft(keep, mixture.shape[-1])


def both(mixture):
    """Both tones, the second first."""
    return torch.stack([pure(mixture, 170, 1.0), pure(mixture, 100, 1.0)], dim=1)


def scored(task, answer, rows, **options):
    return list(evaluate_mixtures(Says(task, answer), rows, **options))


def means(found):
    return {name: of["mean"] for name, of in summarise(found)["figures"].items()}


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return stop.value.code, *capsys.readouterr()


def test_the_mixture_itself_improves_nothing(rows):
    for one in scored("extraction", lambda x: x, rows):
        assert one.figures["si_snr_i"] == pytest.approx(0, abs=1e-3)
        assert one.figures["si_snr_input"] == pytest.approx(6.02, abs=0.1)
        assert one.sir_db == pytest.approx(6.02, abs=0.1)
        assert (one.source, one.estimate, one.seconds) == ("", 1, 1.0)
        assert one.figures["wrong"] == 0


def test_the_right_and_the_wrong_speaker_are_told_apart(rows):
    right = means(scored("extraction", lambda x: pure(x, 100, 0.3), rows))
    wrong = means(scored("extraction", lambda x: pure(x, 170, 3.0), rows))
    assert right["si_snr_i"] > 30
    assert (right["wrong"], wrong["wrong"]) == (0.0, 1.0)
    assert wrong["si_snr"] < -20


def test_a_separators_order_does_not_matter(rows):
    found = scored("separation", both, rows)
    assert [(row.file, row.source, row.estimate) for row in found[:3]] == [
        *[("m0", "s1", 2), ("m0", "s2", 1), ("m1", "s1", 2)]
    ]
    assert means(found)["si_snr_i"] > 30
    assert "wrong" not in means(found)
    assert found[0].sir_db == pytest.approx(-found[1].sir_db) == pytest.approx(6.02, abs=0.1)


def test_further_figures_are_measured_when_asked(rows):
    (one, *_) = scored("extraction", lambda x: 0.5 * pure(x, 100, 1.0), rows, figures=["snr"])
    names = [f"{name}{end}" for name in ("si_snr", "snr") for end in ("_input", "", "_i")]
    assert list(one.figures) == [*names, "wrong", "leak"]
    assert one.figures["snr"] == pytest.approx(6.02, abs=0.01)  # half of the source is missing
    with pytest.raises(ValueError, match="figure 'mos': expected some of si_snr"):
        evaluate_mixtures(Says("extraction", lambda x: x), rows, figures=["mos"])


def test_only_the_target_and_not_its_padding_is_measured(rows):
    """Half a second of target from 0.5 s on in a second of mixture; elsewhere only noise."""
    target = replace(rows[0].sources[0], duration=0.5, offset=0.5)
    row = replace(rows[0], sources=(target, rows[0].sources[1]))
    loud = torch.randn(1, 500, generator=torch.Generator().manual_seed(0))

    def answer(x):
        return torch.cat([loud, x[:, 500:]], dim=1)

    (cut,) = scored("extraction", answer, [row])
    (whole,) = scored("extraction", answer, [row], truncate=False)
    assert (cut.seconds, whole.seconds) == (0.5, 1.0)
    assert cut.figures["si_snr_i"] == pytest.approx(0, abs=1e-6)
    assert cut.figures["si_snr_input"] == pytest.approx(6.02, abs=0.2)
    assert whole.figures["si_snr"] < -10
    (least,) = scored("extraction", answer, [replace(row, mode="min")])
    assert least.seconds == 1.0  # lists of mode min have no padding behind to leave out


def test_each_source_of_a_separator_has_its_own_length(rows):
    short = replace(rows[0].sources[1], duration=0.25)
    row = replace(rows[0], sources=(rows[0].sources[0], short))
    found = scored("separation", both, [row])
    assert [one.seconds for one in found] == [1.0, 0.25]


def test_genders_come_from_the_list_or_from_a_table(rows):
    one, two = rows[0].sources
    pairs = [("f", "f"), ("m", "f"), ("f", "")]
    listed = [
        replace(row, sources=(replace(one, gender=a), replace(two, gender=b)))
        for row, (a, b) in zip(rows, pairs, strict=False)
    ]
    found = scored("extraction", lambda x: x, listed)
    assert [(row.genders, row.pair) for row in found] == [
        *[("f+f", "same gender"), ("m+f", "different gender"), ("", "")]
    ]
    found = scored("extraction", lambda x: x, listed, genders={"b": "m"})
    assert [row.genders for row in found] == ["f+f", "m+f", "f+m"]
    alone = replace(listed[0], sources=listed[0].sources[:1])
    assert scored("extraction", lambda x: x, [alone])[0].genders == ""


def test_an_absent_speaker_has_a_leak(rows):
    (one,) = scored("extraction", lambda x: 0.1 * x, [replace(rows[0], target=None)])
    assert (one.silent, one.error) == ("reference", "")
    assert one.figures.pop("leak") == pytest.approx(-20, abs=1e-4)
    assert set(one.figures.values()) == {None}


def test_lists_that_do_not_fit_are_refused(rows):
    net = Says("extraction", lambda x: x)
    with pytest.raises(ValueError, match="mixture m0 is at 8000 Hz: expected the model's 1000"):
        evaluate_mixtures(net, [replace(rows[0], sample_rate=8000)])
    with pytest.raises(ValueError, match="mixture m0: expected an enrollment"):
        evaluate_mixtures(net, [replace(rows[0], enrollments=())])
    with pytest.raises(ValueError, match="mixture m0 has 1 sources: expected the model's 2"):
        evaluate_mixtures(
            Says("separation", lambda x: x), [replace(rows[0], sources=rows[0].sources[:1])]
        )
    with pytest.raises(ValueError, match="the list has no mixtures"):
        evaluate_mixtures(net, [])


def test_a_mixture_that_fails_is_a_row_and_the_rest_are_done(rows, tmp_path):
    gone = replace(rows[1].sources[0], path=tmp_path / "gone.wav")
    rows[1] = replace(rows[1], sources=(gone, rows[1].sources[1]))
    found = scored("extraction", lambda x: x, rows)
    assert ["gone.wav does not exist" in row.error for row in found] == [False, True, False, False]


def test_the_files_score_as_the_list_does(rows, tmp_path):
    """What a list is scored with, as files: evaluate_audio finds the same figures."""
    found = scored("separation", both, rows, examples=tmp_path / "made", n_examples=4)
    for row in rows:
        for s in (1, 2):
            for kind, folder in (("source", f"clean/s{s}"), ("estimate", f"est/s{s}")):
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
                made = tmp_path / "made" / row.id / f"{kind}_{s}.wav"
                made.rename(tmp_path / folder / f"{row.id}.wav")
    files = list(evaluate_audio(tmp_path / "clean", tmp_path / "est", figures=["si_snr"]))
    assert [(a.file, a.source) for a in files] == [(b.file, b.source) for b in found]
    for a, b in zip(files, found, strict=True):
        assert a.figures["si_snr"] == pytest.approx(b.figures["si_snr"], abs=0.1)


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_evaluate_on_the_command_line(rows, architecture, tmp_path, capsys):
    mixtures.write(tmp_path / "two.csv", rows)
    model = hub.save(registry.create(architecture), tmp_path / "model", card="# test\n")
    (tmp_path / "who.csv").write_text("speaker,gender\na,F\nb,M\n")
    out = tmp_path / "scores"
    code, text, _ = call(
        capsys, model, tmp_path / "two.csv", "-o", out, "--metrics", "snr", "--examples", 1,
        "--genders", tmp_path / "who.csv", "--sir", "-50,7",
    )  # fmt: skip
    assert code == 0
    with (out / "two.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert list(dict.fromkeys(line["file"] for line in lines)) == ["m0", "m1", "m2", "m3"]
    assert {line["genders"] for line in lines} == {"f+m"}
    told = json.loads((out / "summary.json").read_text())["two"]
    mean = np.mean([float(line["si_snr_i"]) for line in lines])
    assert told["figures"]["si_snr_i"]["mean"] == pytest.approx(mean, abs=1e-3)
    ranges = {"SIR [-50, 7] dB"}
    assert set(told["groups"]) == {"different gender"} | ranges
    for group in ("all", *told["groups"]):
        assert group in text
    example = out / "two" / "m0"
    assert np.isfinite(io.read(example / "estimate_1.wav")[0]).all()
    assert len(io.read(example / "mixture.wav")[0]) == RATE
    assert not (out / "two" / "m1").exists()


def test_two_models_are_compared_on_lists(rows, tmp_path, capsys):
    """By the folder of the other's scores; the figures are those of its CSV."""
    mixtures.write(tmp_path / "two.csv", rows)
    mixtures.write(tmp_path / "one.csv", rows[:2])
    lists = (tmp_path / "one.csv", tmp_path / "two.csv")
    for seed in (0, 1):
        torch.manual_seed(seed)
        hub.save(registry.create("tsenet_test"), tmp_path / f"net{seed}", card="# test\n")
        out = ("-o", tmp_path / f"scores{seed}")
        compare = ("--compare", tmp_path / "scores0") if seed else ()
        code, text, _ = call(capsys, tmp_path / f"net{seed}", *lists, *out, *compare)
        assert code == 0
    a, b = (
        {row.file: row.figures["si_snr"] for row in from_csv(tmp_path / f"scores{seed}/two.csv")}
        for seed in (0, 1)
    )
    found = json.loads((tmp_path / "scores1/summary.json").read_text())
    one = found["two"]["compared"]["figures"]["si_snr"]
    assert one["n"] == 4
    assert one["difference"] == pytest.approx(np.mean([b[k] - a[k] for k in a]), abs=1e-4)
    assert f"{one['difference']:.3f} (" in text
    csv_file = tmp_path / "scores0/two.csv"
    code, _, errors = call(capsys, tmp_path / "net1", *lists, "--compare", csv_file)
    assert code == 2
    assert "expected the folder that holds a CSV of each" in errors


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--metrics", "mos", "figure 'mos': expected some of"),
        ("--sir", "2,1", "expected two or more rising levels"),
        ("--sir", "low", "--sir 'low': expected levels in dB"),
        ("--compare", "no.csv", "no.csv does not exist: expected scores"),
        ("--genders", "no.csv", "no.csv does not exist: expected a manifest, or speakers"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_measured(
    rows, tmp_path, capsys, option, value, message
):
    mixtures.write(tmp_path / "two.csv", rows)
    model = hub.save(registry.create("tsenet_test"), tmp_path / "model", card="# test\n")
    code, out, errors = call(capsys, model, tmp_path / "two.csv", option, value)
    assert (code, out) == (2, "")
    assert message in errors


def test_options_of_mixtures_are_refused_for_classifiers(capsys):
    code, _, errors = call(capsys, "speech_music_noise", "x.csv", "--metrics", "sdr")
    assert code == 2
    assert "--metrics is for lists of mixtures, but speech_music_noise classifies" in errors


@pytest.mark.skipif(find_spec("museval") is None, reason="museval is not installed")
def test_museval_hears_the_median_second():
    """Errors 20, 40 and 0 dB below the source, a second each: the median is 20 dB."""
    source = np.random.default_rng(0).standard_normal(3 * 1000)
    estimate = source * np.repeat([0.9, 1.01, 2.0], 1000)
    assert metrics.museval_sdr(estimate, source, 1000) == pytest.approx(20, abs=1e-6)
    stereo = [np.stack([x, y]) for x, y in ((estimate, source), (source, source))]
    expected = 20 + 10 * np.log10(2)  # no error in the second channel
    assert metrics.museval_sdr(*stereo, 1000) == pytest.approx(expected, abs=1e-6)
    assert metrics.museval_sdr(source, source, 1000) == 120
    gap = estimate.copy()
    gap[2000:] = 0
    assert metrics.museval_sdr(gap, source, 1000) == pytest.approx(30, abs=1e-6)
    assert metrics.museval_sdr(estimate[:800], source[:800], 1000) == pytest.approx(20, abs=1e-6)
    for a, b, name in ((0 * source, source, "estimate"), (source, 0 * source, "source")):
        with pytest.raises(ValueError, match=f"the {name} is silent"):
            metrics.museval_sdr(a, b, 1000)
    with pytest.raises(ValueError, match="no second in which both signals are heard"):
        metrics.museval_sdr(gap[::-1] * (gap == 0), gap, 1000)


@pytest.mark.skipif(find_spec("museval") is None, reason="museval is not installed")
def test_museval_is_a_metric_of_lists(rows):
    (one, *_) = scored("extraction", lambda x: 0.9 * x, rows, figures=["museval_sdr"])
    assert one.figures["museval_sdr_input"] == pytest.approx(one.sir_db, abs=1e-3)
    expected = -10 * np.log10(0.1**2 + 0.9**2 * 10 ** (-one.sir_db / 10))
    assert one.figures["museval_sdr"] == pytest.approx(expected, abs=0.02)
