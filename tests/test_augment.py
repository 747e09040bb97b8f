"""Augmentation: deterministic, finite, of the same length, and doing what it says."""

import numpy as np
import pytest

from sepaudio.data import augment
from sepaudio.data.augment import AugmentCfg

RATE = 16000


def random(seed=0):
    return np.random.default_rng(seed)


def noise(seconds=1.0, seed=0):
    return random(seed).standard_normal(round(seconds * RATE)).astype(np.float32) * 0.1


def band_db(x, low, high):
    """Power in a band, dB."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / RATE)
    return 10 * np.log10(power[(hz >= low) & (hz < high)].mean() + 1e-20)


@pytest.mark.parametrize("seed", range(25))
def test_degraded_is_finite_as_long_and_the_same_again(seed):
    x, room = noise(seed=seed), augment.simulated_response(RATE, random(7))
    y = augment.degrade(x, RATE, AugmentCfg(code=1.0), [room], random(seed))
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.array_equal(y, augment.degrade(x, RATE, AugmentCfg(code=1.0), [room], random(seed)))
    level = 20 * np.log10(augment.rms(y))
    assert -50.1 <= level <= -9.9


def test_silence_stays_silence():
    y = augment.degrade(np.zeros(8000, np.float32), RATE, AugmentCfg(code=1.0), [], random())
    assert np.abs(y).max() < 1e-3


def test_low_pass_removes_what_lies_above_and_keeps_the_rest():
    x = noise()
    y = augment.low_pass(x, RATE, 2000.0)
    assert abs(band_db(y, 100, 1800) - band_db(x, 100, 1800)) < 0.5
    assert band_db(y, 4500, 7500) < band_db(x, 4500, 7500) - 60


def test_telephone_passes_its_band_only():
    x = noise()
    y = augment.telephone_band(x, RATE)
    assert abs(band_db(y, 400, 3300) - band_db(x, 400, 3300)) < 0.5
    assert band_db(y, 20, 60) < band_db(x, 20, 60) - 40
    assert band_db(y, 5000, 7500) < band_db(x, 5000, 7500) - 40


@pytest.mark.parametrize("seed", range(30))
def test_every_codec_gives_back_the_same_sound(seed):
    t = np.arange(RATE) / RATE
    x = (0.3 * np.sin(2 * np.pi * 700 * t)).astype(np.float32)
    y = augment.round_trip(x, RATE, AugmentCfg(), random(seed))
    assert y.shape == x.shape
    middle = slice(RATE // 4, RATE // 2)
    lags = np.correlate(np.pad(y[middle], 1200), x[middle], "valid")
    alike = np.abs(lags).max() / (np.linalg.norm(y[middle]) * np.linalg.norm(x[middle]) + 1e-9)
    assert alike > 0.85


def test_all_codecs_of_the_tables_work():
    from sepaudio import io

    x = noise(0.5)
    for kind, subtype, rates in augment.CODECS:
        for rate in rates:
            assert len(io.transcode(x, rate, kind, subtype, 0.5)) > 0.4 * RATE
    for kind, subtype in augment.TELEPHONE:
        assert len(io.transcode(x, 8000, kind, subtype, 0.5)) > 0.4 * RATE


def test_add_has_the_asked_ratio():
    x, other = noise(seed=1), noise(seed=2)
    y = augment.add(x, other, 12.0)
    assert 20 * np.log10(augment.rms(x) / augment.rms(y - x)) == pytest.approx(12, abs=0.01)


def test_reverberation_starts_at_the_direct_sound_and_keeps_the_level():
    x = np.zeros(4000, np.float32)
    x[1000] = 1.0
    room = np.r_[np.zeros(200), augment.simulated_response(RATE, random())].astype(np.float32)
    y = augment.reverberate(x, room)
    assert np.abs(y).argmax() == 1000
    assert not np.abs(y[:999]).max() > 1e-6
    assert augment.rms(y) == pytest.approx(augment.rms(x), rel=1e-3)


@pytest.mark.parametrize("seed", range(40))
def test_machine_noise_is_heard(seed):
    x = augment.machine_noise(8000, RATE, random(seed))
    assert x.shape == (8000,)
    assert np.isfinite(x).all()
    assert augment.rms(x) > 1e-3
