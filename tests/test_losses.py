"""Losses: invariances, silence, padding, and the order of the sources."""

import functools
import itertools
import math
import sys

import laws
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepaudio import losses
from sepaudio.losses import (
    LOSSES,
    absent,
    contrast,
    level_error,
    multi_resolution_stft,
    neg_si_sdr,
    neg_si_snr,
    neg_snr,
    pit,
    reorder,
    thresholded,
)
from sepaudio.metrics import si_sdr, si_snr, snr


def signals(batch=2, samples=400, **kw):
    return laws.noise(batch, samples, **kw), laws.noise(batch, samples, seed=1, **kw)


def test_known_ratio():
    """An error that is orthogonal to the source, ten times weaker in amplitude: 20 dB."""
    t = torch.arange(1000, dtype=torch.float64) * 2 * torch.pi / 1000
    source, error = torch.sin(5 * t)[None], 0.1 * torch.cos(5 * t)[None]
    for loss in (neg_si_snr, neg_si_sdr, neg_snr):
        assert loss(source + error, source, None).item() == pytest.approx(-20, abs=1e-9)
        soft = thresholded(loss, 20)(source + error, source, None).item()
        assert soft == pytest.approx(-20 + 10 * math.log10(2), abs=1e-9)


GAINS = st.floats(-7, 7).map(lambda power: 10**power)


@settings(max_examples=50, deadline=None)
@given(gain=GAINS, other=GAINS, sign=st.sampled_from([-1, 1]), offset=st.floats(-10, 10))
def test_si_snr_knows_neither_gain_nor_offset(gain, other, sign, offset):
    source, estimate = signals()
    plain, moved = neg_si_snr(estimate, source), gain * sign * (estimate + offset)
    laws.close(neg_si_snr(moved, other * (source - offset)), plain, 1e-9)
    laws.close(neg_si_sdr(sign * gain * estimate, other * source), neg_si_sdr(estimate, source))
    laws.close(neg_snr(gain * estimate, gain * source), neg_snr(estimate, source))


@settings(max_examples=30, deadline=None)
@given(power=st.floats(0, 110), gain=GAINS)
def test_a_known_error_is_measured_at_any_level(power, gain):
    """No floor but that of 120 dB: what EPS beside the energies would hide is there."""
    t = torch.arange(1000, dtype=torch.float64) * 2 * torch.pi / 1000
    source, error = torch.sin(5 * t)[None], torch.cos(5 * t)[None]
    estimate = gain * (source + 10 ** (-power / 20) * error)
    for loss, target in ((neg_si_snr, source), (neg_si_sdr, source), (neg_snr, gain * source)):
        assert loss(estimate, target, None).item() == pytest.approx(-power, abs=1e-4)


def test_snr_knows_the_level():
    source, _ = signals()
    assert neg_snr(0.5 * source, source)[0].item() == pytest.approx(-6.02, abs=0.01)
    assert neg_si_snr(0.5 * source, source).tolist() == pytest.approx([-120, -120])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("samples", [1, 2, 400])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target", [0.0, 1e-20, 1.0])
@pytest.mark.parametrize("level", [0.0, 1e-20, 1.0])
@pytest.mark.parametrize("constant", [False, True])
def test_silence_is_finite_with_a_finite_gradient(name, samples, dtype, target, level, constant):
    source, estimate = signals(samples=samples, dtype=dtype)
    if constant:
        source, estimate = torch.ones_like(source), torch.ones_like(estimate)
    estimate = (level * estimate).requires_grad_()
    loss = LOSSES[name](estimate, target * source, None)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(estimate.grad).all()


def test_the_documented_values_of_silence():
    source, estimate = signals(batch=1)
    zero = torch.zeros_like(source)
    for loss in (neg_si_snr, neg_si_sdr, neg_snr):
        assert loss(zero, zero).item() == 0
        assert loss(zero, source).item() == 0
        quiet, loud = loss(0.01 * estimate, zero).item(), loss(estimate, zero).item()
        assert loud - quiet == pytest.approx(40, abs=0.1)


@pytest.mark.parametrize("gain", [1, 0.3, 7e-5])
def test_float32_resolves_estimates_that_are_nearly_perfect(gain):
    """Against float64 on the same rounded samples, so that only the arithmetic is judged."""
    source, error = (x.float() for x in signals(samples=64000))
    estimate = gain * (source + 1e-5 * error)
    for loss in (neg_si_snr, neg_si_sdr):
        exact = loss(estimate.double(), source.double())
        assert exact.max() < -99
        assert (loss(estimate, source) - exact).abs().max() < 0.01


@pytest.mark.parametrize("value", [0.1, 3.3, 1000.1])
@pytest.mark.parametrize("lengths", [None, torch.tensor([16001, 9999])])
def test_a_constant_is_silent_in_float32_too(value, lengths):
    source = signals(samples=16001, dtype=torch.float32)[0]
    constant = torch.full_like(source, value)
    assert neg_si_snr(constant, source, lengths).tolist() == [0, 0]
    assert neg_si_snr(constant, constant, lengths).tolist() == [0, 0]


def test_an_offset_of_a_thousand_times_the_signal_is_removed_in_float32():
    source, estimate = (x.float() for x in signals(samples=16000))
    exact = neg_si_snr((estimate + 1000).double(), source.double())
    assert (neg_si_snr(estimate + 1000, source) - exact).abs().max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_float32(dtype):
    source, estimate = (x.to(dtype) for x in signals(samples=70000))
    for loss in LOSSES.values():
        found = loss(estimate, source, None)
        assert found.dtype == torch.float32
        laws.close(found, loss(estimate.float(), source.float(), None))


def test_gradients_are_those_of_finite_differences():
    source, estimate = signals(samples=40)
    lengths = torch.tensor([40, 23])
    for name, loss in LOSSES.items():
        if name == "multi_resolution_stft":
            loss = functools.partial(loss, sizes=(8, 16))
        assert torch.autograd.gradcheck(
            lambda e, loss=loss: loss(e, source, lengths), estimate.requires_grad_()
        ), name


def test_metrics_are_the_same_figures():
    source, estimate = signals(samples=1000)
    zero = torch.zeros_like(source)
    for a, b in itertools.product(
        (source, estimate, zero, 1e-3 * zero + 3, source[:, :1]), repeat=2
    ):
        if a.shape == b.shape:
            for loss, figure in ((neg_si_snr, si_snr), (neg_si_sdr, si_sdr), (neg_snr, snr)):
                expected = -figure(a.numpy(), b.numpy())
                assert loss(a, b).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("loss", [*LOSSES.values(), absent], ids=[*LOSSES, "absent"])
def test_padding_changes_nothing(loss):
    """Not even the gradient, and not even padding that holds no numbers."""
    source, estimate = signals(batch=4, samples=4000)
    lengths = torch.tensor([4000, 1234, 1024, 1])
    for row, n in enumerate(lengths):
        source[row, n:] = estimate[row, n:] = float("nan")
    together = loss(estimate.requires_grad_(), source, lengths)
    (gradient,) = torch.autograd.grad(together.sum(), estimate)
    for row, n in enumerate(lengths):
        one = estimate.detach()[row : row + 1, :n].requires_grad_()
        alone = loss(one, source[row : row + 1, :n], None)
        assert together[row].item() == pytest.approx(alone.item(), abs=1e-9)
        (expected,) = torch.autograd.grad(alone.sum(), one)
        assert gradient[row, :n].numpy() == pytest.approx(expected[0].numpy(), abs=1e-9)
        assert not gradient[row, n:].any()


def test_a_threshold_is_never_passed():
    source, error = signals()
    for loss in (thresholded(neg_si_snr, 30), thresholded(neg_snr, 30)):
        assert loss(source, source, None).tolist() == pytest.approx([-30, -30], abs=1e-6)
        bad = loss(source + 10 * error, source, None)
        assert bad.min() > 15
    estimate = (source + 1e-4 * error).requires_grad_()
    (soft,) = torch.autograd.grad(thresholded(neg_snr, 30)(estimate, source, None).sum(), estimate)
    (hard,) = torch.autograd.grad(neg_snr(estimate, source).sum(), estimate)
    assert soft.norm() < 1e-4 * hard.norm()


def test_spectral_distance_of_a_gain_is_known():
    """Convergence |1 - g| and log-magnitude |log g| at every window, where nothing is faint."""
    source, _ = signals(batch=1, samples=4000)
    source = 100 * source
    found = multi_resolution_stft(0.5 * source, source).item()
    assert found == pytest.approx(0.5 + math.log(2), abs=1e-9)
    assert multi_resolution_stft(source, source).item() == 0


def test_spectral_distance_to_silence_is_that_of_the_logarithms():
    source, _ = signals(batch=1, samples=4000)
    zero = torch.zeros_like(source)
    assert multi_resolution_stft(zero, zero).item() == 0
    loud, quiet = (multi_resolution_stft(g * source, zero).item() for g in (10, 1))
    assert loud - quiet == pytest.approx(math.log(10), abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 12])
def test_pit_finds_the_order(n):
    sources = laws.noise(5, n, 300)
    orders = torch.stack([torch.randperm(n) for _ in range(5)])
    estimates = reorder(sources, orders) + 0.1 * laws.noise(5, n, 300, seed=3)
    loss, found = pit(estimates, sources)
    laws.close(reorder(reorder(sources, orders), found), sources)
    expected = neg_si_snr(reorder(estimates, found), sources).mean(1)
    laws.close(loss, expected)


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_pit_is_the_least_over_all_orders(name, n):
    sources, estimates = laws.noise(2, n, 50), laws.noise(2, n, 50, seed=1)
    loss = LOSSES[name]
    each = torch.stack(
        [
            loss(estimates[:, list(p)], sources, None).mean(1)
            for p in itertools.permutations(range(n))
        ]
    )
    laws.close(pit(estimates, sources, loss=loss)[0], each.amin(0))


def test_a_silent_source_gets_the_estimate_that_is_nearly_silent():
    voice, other = signals(batch=1)
    sources = torch.stack([torch.zeros_like(voice), voice], 1)
    estimates = torch.stack([voice + 0.1 * other, 0.001 * other], 1).requires_grad_()
    for loss in (neg_si_snr, neg_si_sdr, neg_snr):
        value, order = pit(estimates, sources, loss=loss)
        assert order.tolist() == [[1, 0]]
        (gradient,) = torch.autograd.grad(value.sum(), estimates)
        assert (gradient[0, 1] * estimates[0, 1]).sum() > 0  # towards silence


@pytest.mark.parametrize("n", [2, 5])
def test_pit_of_no_numbers_is_no_number(n):
    estimates = laws.noise(2, n, 30)
    estimates[0, 1] = float("nan")
    loss, order = pit(estimates, laws.noise(2, n, 30, seed=1))
    assert loss.isnan().tolist() == [True, False]
    assert order.sort().values.tolist() == [list(range(n))] * 2


def test_many_sources_without_scipy_name_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(
        ImportError, match=r"^5 sources need scipy .*: pip install 'sepaudio\[train"
    ):
        pit(laws.noise(1, 5, 9), laws.noise(1, 5, 9))


def test_pit_takes_channels_and_lengths():
    sources, estimates = laws.noise(2, 2, 3, 80), laws.noise(2, 2, 3, 80, seed=1)
    loss, order = pit(estimates, sources, torch.tensor([80, 50]))
    assert loss.shape == (2,)
    assert order.shape == (2, 2)
    alone, _ = pit(estimates[1:, ..., :50], sources[1:, ..., :50])
    laws.close(loss[1:], alone, 1e-9)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((2, 3, 50), (2, 2, 50), r"\[2, 3, 50\], sources \[2, 2, 50\]: expected the same \[B"),
        ((2, 50), (2, 50), r"\[2, 50\], sources \[2, 50\]: expected the same \[B, S, ..., T\]"),
    ],
)
def test_pit_refuses_what_does_not_fit(a, b, message):
    with pytest.raises(ValueError, match=message):
        pit(torch.zeros(a), torch.zeros(b))


@pytest.mark.parametrize("lengths", [[51, 1], [-1, 2], [3]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(ValueError, match=r"^lengths=\[.*: expected 2 numbers from 0 to 50$"):
        neg_snr(torch.zeros(2, 50), torch.zeros(2, 50), torch.tensor(lengths))


def test_shapes_that_would_be_stretched_are_refused():
    with pytest.raises(
        ValueError, match=r"shape \[1, 50\]: expected that of the source, \[2, 50\]"
    ):
        neg_si_snr(torch.zeros(1, 50), torch.zeros(2, 50))


def test_orders_found_while_validating_serve_training(monkeypatch):
    monkeypatch.setattr(losses, "_KNOWN", {})
    estimates, sources = torch.randn(2, 2, 3, 50).unbind()
    with torch.inference_mode():
        found = pit(estimates, sources)[0]
    estimates.requires_grad_()
    loss, _ = pit(estimates, sources)
    assert torch.equal(loss.detach(), found)
    loss.sum().backward()
    assert estimates.grad.abs().sum() > 0


def test_absence_is_measured_against_the_mixture():
    mixture, other = signals()
    for gain, expected in ((1, -0.05), (0.1, -20.5), (10 ** (-45 / 20), -60), (0, -45)):
        assert absent(gain * mixture, mixture)[0].item() == pytest.approx(expected, abs=0.15)
    rest = absent(10 ** (-45 / 20) * other, mixture)[0].item()  # as faint, but of something else
    assert -45 < rest < -40
    assert absent(0 * mixture, 0 * mixture)[0].item() == 0
    estimate = (1e-3 * other).requires_grad_()
    absent(estimate, mixture, torch.tensor([400, 3])).sum().backward()
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[0].abs().sum() > 0


def test_the_level_counts_in_both_directions_and_silence_is_far_away():
    source, other = signals()
    for gain, expected in ((1, 0), (0.1, 20), (10, 20), (-1, 0), (0, 60)):
        assert level_error(gain * source, source)[0].item() == pytest.approx(expected, abs=0.1)
    assert level_error(0 * source, 0 * source)[0].item() == 0
    estimate = (1e-3 * other).requires_grad_()
    level_error(estimate, source, torch.tensor([400, 3])).sum().backward()
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[0].abs().sum() > 0


def test_contrast_is_least_where_every_anchor_is_nearest_to_its_voice():
    voices = torch.eye(3, dtype=torch.float64)
    right, wrong = torch.tensor([0, 2]), torch.tensor([1, 1])
    anchors = 5 * voices[right]  # lengths do not count
    expected = math.log(math.exp(10) + 2) - 10  # cosines 1, 0 and 0 over a temperature of 0.1
    found = contrast(anchors, voices, right)
    assert found.tolist() == pytest.approx([expected] * 2)
    assert contrast(anchors, voices, wrong).tolist() == pytest.approx([expected + 10] * 2)
    assert contrast(anchors, voices, torch.tensor([-1, 2]))[0] == 0


def test_contrast_leaves_out_voices_that_do_not_count():
    voices, match = torch.randn(5, 3).double(), torch.tensor([0, 2, -1])
    heard = torch.tensor([True, False, True, True, False])
    found = contrast(torch.ones(3, 3).double(), voices, match, heard=heard)
    alone = contrast(torch.ones(3, 3).double(), voices[heard], torch.tensor([0, 1, -1]))
    torch.testing.assert_close(found, alone)
