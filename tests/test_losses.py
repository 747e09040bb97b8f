"""Losses: invariances, silence, padding, and the order of the sources."""

import laws
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepaudio.losses import (
    LOSSES,
    absent,
    neg_si_sdr,
    neg_si_snr,
    neg_snr,
    pit,
    reorder,
)


def signals(batch=2, samples=400, **kw):
    return laws.noise(batch, samples, **kw), laws.noise(batch, samples, seed=1, **kw)


def test_known_ratio():
    """An error that is orthogonal to the source, ten times weaker in amplitude: 20 dB."""
    t = torch.arange(1000, dtype=torch.float64) * 2 * torch.pi / 1000
    source, error = torch.sin(5 * t)[None], 0.1 * torch.cos(5 * t)[None]
    for loss in LOSSES.values():
        assert loss(source + error, source, None).item() == pytest.approx(-20, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.1, 10), offset=st.floats(-10, 10))
def test_si_snr_knows_neither_gain_nor_offset(gain, offset):
    source, estimate = signals()
    laws.close(neg_si_snr(gain * estimate + offset, source), neg_si_snr(estimate, source), 1e-4)
    laws.close(neg_si_sdr(gain * estimate, source), neg_si_sdr(estimate, source), 1e-4)


def test_snr_knows_the_level():
    source, _ = signals()
    assert neg_snr(0.5 * source, source)[0].item() == pytest.approx(-6.02, abs=0.01)
    assert neg_si_snr(0.5 * source, source)[0] < -90


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
    for loss in (neg_si_snr, neg_snr):
        assert loss(zero, zero).item() == 0
        assert loss(zero, source).item() == pytest.approx(0, abs=1e-6)
        quiet, loud = loss(0.01 * estimate, zero).item(), loss(estimate, zero).item()
        assert loud - quiet == pytest.approx(40, abs=0.1)


def test_float32_resolves_estimates_that_are_nearly_perfect():
    source, error = signals(samples=8000)
    estimate = source + 1e-5 * error
    exact = neg_si_snr(estimate, source)
    laws.close(neg_si_snr(estimate.float(), source.float()).double(), exact, 0.2)
    assert exact.max() < -99


@pytest.mark.parametrize("name", LOSSES)
def test_padding_changes_nothing(name):
    source, estimate = signals(batch=3)
    lengths = torch.tensor([400, 123, 1])
    together = LOSSES[name](estimate, source, lengths)
    for row, n in enumerate(lengths):
        alone = LOSSES[name](estimate[row : row + 1, :n], source[row : row + 1, :n], None)
        assert together[row].item() == pytest.approx(alone.item(), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_pit_finds_the_order(n):
    sources = laws.noise(5, n, 300)
    orders = torch.stack([torch.randperm(n) for _ in range(5)])
    estimates = reorder(sources, orders) + 0.1 * laws.noise(5, n, 300, seed=3)
    loss, found = pit(estimates, sources)
    laws.close(reorder(reorder(sources, orders), found), sources)
    expected = neg_si_snr(reorder(estimates, found), sources).mean(1)
    laws.close(loss, expected)


def test_pit_is_the_least_over_all_orders():
    sources, estimates = laws.noise(4, 3, 50), laws.noise(4, 3, 50, seed=1)
    from itertools import permutations

    each = torch.stack(
        [neg_si_snr(estimates[:, list(p)], sources).mean(1) for p in permutations(range(3))]
    )
    laws.close(pit(estimates, sources)[0], each.amin(0))


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
        ((2, 3, 50), (2, 2, 50), r"estimates have shape \[2, 3, 50\]: expected that of the sou"),
        ((1, 9, 5), (1, 9, 5), "9 sources: expected at most 8"),
    ],
)
def test_pit_refuses_what_does_not_fit(a, b, message):
    with pytest.raises(ValueError, match=message):
        pit(torch.zeros(a), torch.zeros(b))


def test_absence_is_measured_against_the_mixture():
    mixture, other = signals()
    assert absent(mixture, mixture)[0].item() == pytest.approx(0, abs=1e-4)
    assert absent(0.01 * mixture, mixture)[0].item() == pytest.approx(-40, abs=0.1)
    assert absent(0 * mixture, mixture)[0].item() == pytest.approx(-60, abs=0.1)
    assert absent(0 * mixture, 0 * mixture)[0].item() == 0
    estimate = (1e-3 * other).requires_grad_()
    absent(estimate, mixture, torch.tensor([400, 3])).sum().backward()
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[0].abs().sum() > 0
