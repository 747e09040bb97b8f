"""Figures of signals: known values, silence, and the doubt left over."""

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepaudio import doors, metrics

DRAW = np.random.default_rng(0)
SOURCE, OTHER = DRAW.standard_normal((2, 4000))
ZERO = np.zeros(4000)
FIGURES = {"si_snr": metrics.si_snr, "si_sdr": metrics.si_sdr, "snr": metrics.snr}
NAMED = {
    "sdr": metrics.sdr,
    "pesq": lambda a, b: metrics.pesq(a, b, 8000),
    "stoi": lambda a, b: metrics.stoi(a, b, 8000),
}


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


@pytest.mark.parametrize("name", FIGURES)
def test_an_orthogonal_error_has_its_ratio(name):
    t = 2 * np.pi * np.arange(1000) / 1000
    source, error = np.sin(5 * t), np.cos(5 * t)
    for db in (-20, 0, 40, 110):
        estimate = source + 10 ** (-db / 20) * error
        assert FIGURES[name](estimate, source) == pytest.approx(db, abs=1e-3)


@pytest.mark.parametrize("name", FIGURES)
def test_the_documented_values_of_silence(name):
    figure = FIGURES[name]
    assert figure(ZERO, ZERO) == 0
    assert figure(ZERO, SOURCE) == 0
    energy = np.square(OTHER - OTHER.mean() * (name == "si_snr")).sum()
    assert figure(OTHER, ZERO) == pytest.approx(-10 * np.log10(1 + energy / 1e-8))
    assert figure(SOURCE, SOURCE) == 120


def test_constants_and_single_samples_are_silent_without_their_mean():
    constant = np.full(4001, 0.1)
    assert metrics.si_snr(constant, constant) == 0
    assert metrics.si_snr([3.0], [2.0]) == 0
    assert metrics.si_sdr([3.0], [2.0]) == 120
    assert metrics.si_snr(constant[:4000], SOURCE) == 0


def test_orthogonal_estimates_are_the_worst():
    t = 2 * np.pi * np.arange(1000) / 1000
    assert metrics.si_snr(np.cos(t), np.sin(t)) == -120


@settings(max_examples=50, deadline=None)
@given(power=st.floats(-7, 7), offset=st.floats(-100, 100))
def test_si_snr_knows_neither_gain_nor_offset(power, offset):
    moved = 10**power * (OTHER + SOURCE + offset)
    expected = metrics.si_snr(OTHER + SOURCE, SOURCE)
    assert metrics.si_snr(moved, SOURCE) == pytest.approx(expected, abs=1e-8)


def test_leading_axes_are_kept():
    a, b = DRAW.standard_normal((2, 3, 5, 70))
    for figure in FIGURES.values():
        found = figure(a, b)
        assert found.shape == (3, 5)
        assert found[2, 4] == pytest.approx(figure(a[2, 4], b[2, 4]))


def test_improvement_is_over_the_mixture():
    mixture, estimate = SOURCE + OTHER, SOURCE + 0.1 * OTHER
    found = metrics.improvement(metrics.snr, estimate, SOURCE, mixture)
    assert found == pytest.approx(20, abs=1e-9)
    assert metrics.improvement(metrics.si_snr, mixture, SOURCE, mixture) == 0


def test_the_wrong_speaker_is_noticed():
    others = np.stack([OTHER, DRAW.standard_normal(4000)])
    assert metrics.wrong_source(0.3 * SOURCE + 0.5 * OTHER, SOURCE, others)
    assert not metrics.wrong_source(0.5 * SOURCE + 0.3 * OTHER, SOURCE, others)
    assert not metrics.wrong_source(-SOURCE, SOURCE, others)


def test_level_beside_another_signal():
    assert metrics.level(0.01 * SOURCE, SOURCE) == pytest.approx(-40)
    assert metrics.level(ZERO, SOURCE) == -120
    with pytest.raises(ValueError, match="beside is silent: expected one with energy"):
        metrics.level(SOURCE, ZERO)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones(3), np.ones(4), r"shape \[3\], the source \[4\]: expected the same"),
        (np.ones((2, 0)), np.ones((2, 0)), r"expected the same \[..., T\], T > 0"),
        (np.float64(1), np.float64(1), "expected the same"),
        (np.array([1, np.nan]), np.ones(2), "the estimate holds nan: expected finite samples"),
        (np.ones(2), np.array([1, np.inf]), "the source holds inf: expected finite samples"),
    ],
)
def test_what_does_not_fit_is_refused(a, b, message):
    for figure in FIGURES.values():
        with pytest.raises(ValueError, match=message):
            figure(a, b)


@pytest.mark.parametrize("name", NAMED)
def test_named_figures_of_silence_are_errors_before_any_import(name, monkeypatch):
    for door in ("torchmetrics", "pesq", "pystoi"):
        monkeypatch.setattr(doors, door, lambda: pytest.fail("was imported"))
    for a, b, which in ((ZERO, SOURCE, "estimate"), (SOURCE, ZERO, "source")):
        with pytest.raises(ValueError, match=f"the {which} is silent"):
            NAMED[name](a, b)
    with pytest.raises(ValueError, match=r"shape \[1, 4000\]: expected \[T\]"):
        NAMED[name](SOURCE[None], OTHER[None])


@pytest.mark.parametrize("rate", [44100, 10000, 0])
def test_pesq_knows_two_rates(rate):
    with pytest.raises(ValueError, match=rf"sample_rate={rate}: PESQ knows 8000 .* 16000 Hz"):
        metrics.pesq(SOURCE, OTHER, rate)


@needs("torchmetrics")
def test_sdr_forgives_a_filter_and_a_long_one_not():
    noisy = SOURCE + 0.1 * OTHER
    delayed = np.concatenate([np.zeros(20), noisy[:-20]])
    assert metrics.si_snr(delayed, SOURCE) < 0
    assert metrics.sdr(delayed, SOURCE) > 18
    assert metrics.sdr(noisy, SOURCE, taps=1) == pytest.approx(metrics.si_sdr(noisy, SOURCE))


@needs("torchmetrics")
def test_sdr_that_cannot_be_solved_is_an_error():
    with pytest.raises(ValueError, match=r"512 samples: expected more than the 512 taps of the"):
        metrics.sdr(OTHER[:512], SOURCE[:512])
    assert metrics.sdr(SOURCE, SOURCE) == 120


@needs("pystoi")
def test_stoi_falls_with_noise_and_needs_sound():
    envelope = np.repeat(DRAW.random(40) > 0.3, 400)
    speech, noise = DRAW.standard_normal((2, 16000)) * 0.1
    speech = speech * envelope
    good, bad = (metrics.stoi(speech + g * noise, speech, 16000) for g in (0.1, 3.0))
    assert 0 < bad < good < 1
    with pytest.raises(ValueError, match=r"no STOI: less than 0\.384 s of the source"):
        metrics.stoi(OTHER, SOURCE, 16000)


@needs("pesq")
def test_pesq_without_speech_is_an_error():
    with pytest.raises(ValueError, match="no PESQ: "):
        metrics.pesq(OTHER[:500], SOURCE[:500], 8000)


def test_interval_of_a_mean_draws_groups():
    """Copies inside a group add nothing: the interval is that of the groups."""
    values = DRAW.standard_normal(50)
    alone = metrics.mean_interval(values)
    assert metrics.mean_interval([[v, v, v] for v in values]) == pytest.approx(alone)
    assert alone[0] < values.mean() < alone[1]
    half = 1.96 * values.std() / np.sqrt(50)
    assert alone == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    for nothing in ([], [[1.0], []]):
        with pytest.raises(ValueError, match="a group holds no value"):
            metrics.mean_interval(nothing)


def test_pairs_find_what_single_values_hide():
    """Two systems 0.3 dB apart on files that are 10 dB apart."""
    ours = 10 * DRAW.standard_normal(60)
    theirs = ours - 0.3 + 0.2 * DRAW.standard_normal(60)
    found = metrics.compare(ours, theirs)
    assert found.n == 60
    assert found.difference == pytest.approx((ours - theirs).mean())
    low, high = found.interval
    assert 0.2 < low < found.difference < high < 0.4
    assert found.p < 1e-6
    assert found.test == "Wilcoxon signed-rank, two-sided"
    back = metrics.compare(theirs, ours)
    assert back.difference == pytest.approx(-found.difference)
    assert back.p == pytest.approx(found.p)


def test_equal_systems_do_not_differ():
    found = metrics.compare(SOURCE[:20], SOURCE[:20])
    assert (found.difference, found.interval, found.p) == (0, (0, 0), 1)
    # No more than a share of 5 % of comparisons of nothing may seem to differ at 5 %.
    draws = [metrics.compare(*DRAW.standard_normal((2, 20)), n_draws=1).p for _ in range(400)]
    assert np.mean(np.array(draws) < 0.05) < 0.09


@pytest.mark.parametrize("pairs", [([1.0], [2.0]), ([1, 2], [1, 2, 3]), ([1, np.nan], [1, 2])])
def test_pairs_that_cannot_be_compared_are_refused(pairs):
    with pytest.raises(ValueError, match="expected two or more finite ones of each"):
        metrics.compare(*pairs)


def test_the_paired_test_without_scipy_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(ImportError, match=r"needs scipy: pip install 'sepaudio\[metrics\]'"):
        metrics.compare([1.0, 2.0], [0.0, 3.0])
