"""Steady noise taken out of recordings."""

from importlib.util import find_spec

import numpy as np
import pytest

from sepaudio.data import denoise
from sepaudio.data.whole import CutCfg, prepared

RATE = 8000
pytestmark = pytest.mark.skipif(find_spec("scipy") is None, reason="needs scipy")


def sounds(seconds=2.0):
    """A tone in bursts after a pause, and noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 700 * t) * (np.sin(2 * np.pi * 2 * t) > 0) * (t > 0.25)
    return tone, 0.03 * np.random.default_rng(0).standard_normal(len(t))


def test_noise_goes_and_sound_stays():
    tone, noise = sounds()
    found = denoise.log_mmse((tone + noise).astype(np.float32), RATE)
    assert len(found) == len(tone)
    before, after = np.square(noise).mean(), np.square(found - tone).mean()
    assert 10 * np.log10(before / after) > 6
    pause = slice(0, round(0.2 * RATE))
    assert np.square(found[pause]).mean() < 0.1 * np.square(noise[pause]).mean()


def test_level_changes_nothing_and_any_length_will_do():
    x = sum(sounds()).astype(np.float32)
    louder = denoise.log_mmse(8 * x, RATE)
    assert np.abs(louder - 8 * denoise.log_mmse(x, RATE)).max() < 1e-4 * np.abs(louder).max()
    for n in (1, 79, 161, 1600, 1603):
        assert denoise.log_mmse(x[:n], RATE).shape == (n,)
    assert np.isfinite(denoise.log_mmse(np.concatenate([0 * x, x]), RATE)).all()


def test_a_gain_of_one_everywhere_gives_back_what_came(monkeypatch):
    monkeypatch.setattr(denoise, "gain_of", lambda prior, posterior, exp1: np.ones_like(prior))
    x = sum(sounds()).astype(np.float32)[:7777]
    assert np.abs(denoise.log_mmse(x, RATE) - x).max() < 1e-6


def test_the_gain_is_that_of_its_integral():
    """Eq. 20: the exponential integral from v on, done by quadrature."""
    from scipy.integrate import quad
    from scipy.special import exp1

    prior, posterior = np.array([0.1, 1.0, 10.0]), np.array([0.5, 2.0, 7.0])
    for xi, gamma, found in zip(
        prior, posterior, denoise.gain_of(prior, posterior, exp1), strict=True
    ):
        v = xi / (1 + xi) * gamma
        integral = quad(lambda t: np.exp(-t) / t, v, np.inf)[0]
        wanted = xi / (1 + xi) * np.exp(0.5 * integral)
        assert found == pytest.approx(wanted, rel=1e-5)


@pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")
def test_it_comes_before_silence_is_looked_for():
    """Pauses that noise fills are silence once it is gone."""
    tone, noise = sounds()
    x = (tone + noise).astype(np.float32)
    lengths = [
        len(prepared(x, RATE, CutCfg(seconds=1.0, silence_db=20.0, denoise=on)))
        for on in (False, True)
    ]
    assert lengths[1] < 0.95 * lengths[0]
