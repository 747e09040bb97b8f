"""Active speech level: what it must do to tones, pauses and bands."""

import numpy as np
import pytest

from sepaudio.data.level import active_level, band_limited

RATE = 8000


def db(power):
    return 10 * np.log10(power)


def noise(seconds, seed=0, level=0.1):
    x = np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * level
    return band_limited(x, RATE)


def test_sound_without_pauses_has_its_mean_power():
    x = noise(20)
    assert db(active_level(x, RATE)) == pytest.approx(db(np.mean(x**2)), abs=0.2)


@pytest.mark.parametrize("pause", [1.0, 5.0, 20.0])
def test_pauses_do_not_lower_the_level(pause):
    x = noise(4)
    padded = np.concatenate([np.zeros(int(pause * RATE)), x, np.zeros(int(pause * RATE))])
    assert db(active_level(padded, RATE)) == pytest.approx(db(active_level(x, RATE)), abs=0.1)
    assert db(np.mean(padded**2)) < db(active_level(padded, RATE)) - 1  # the plain mean fell


def test_a_faint_background_in_the_pauses_is_not_active():
    loud, faint = noise(4), noise(8, seed=1, level=0.1 * 10 ** (-40 / 20))
    whole = np.concatenate([faint, loud, faint])
    assert db(active_level(whole, RATE)) == pytest.approx(db(active_level(loud, RATE)), abs=0.2)


@pytest.mark.parametrize("gain", [0.25, 8.0])
def test_powers_of_two_scale_exactly(gain):
    x = np.concatenate([noise(2), np.zeros(RATE), noise(1, 2, 0.02)])
    assert active_level(gain * x, RATE) == pytest.approx(gain**2 * active_level(x, RATE), rel=1e-9)


def test_any_gain_scales_within_half_a_db():
    x = np.concatenate([noise(2), np.zeros(RATE), noise(1, 2, 0.02)])
    for gain in np.linspace(0.5, 1, 11):
        got = db(active_level(gain * x, RATE)) - db(active_level(x, RATE))
        assert got == pytest.approx(20 * np.log10(gain), abs=0.5)


@pytest.mark.parametrize(
    ("rate", "hz", "heard"),
    [
        (8000, 100, False),
        (8000, 200, True),
        (8000, 3900, True),
        (16000, 5500, True),
        (16000, 7900, False),
        (16000, 70, False),
    ],
)
def test_band(rate, hz, heard):
    x = np.sin(2 * np.pi * hz * np.arange(4 * rate) / rate)
    loss = db(np.mean(band_limited(x, rate)[rate:] ** 2)) - db(0.5)
    if heard:
        assert loss == pytest.approx(-0.125, abs=0.13)  # the ripple ends at -0.25 dB
    else:
        assert loss < -20


def test_silence_and_bad_input():
    assert active_level(np.zeros(RATE), RATE) == 0
    with pytest.raises(ValueError, match=r"shape \[2, 8\]: expected \[T\]"):
        active_level(np.zeros((2, 8)), RATE)
    with pytest.raises(ValueError, match="sample_rate=700: expected more than 800 Hz"):
        active_level(np.ones(8), 700)
