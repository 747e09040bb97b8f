"""Another manner of speaking: the pitch is another, the vocal tract the same."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mixed_voices
import numpy as np
import pytest
import soundfile
import trees
from scipy.signal import lfilter

from sepaudio import io
from sepaudio.data import mixing, restyle
from sepaudio.data.manifest import Recording, write
from sepaudio.data.mixing import MixingCfg
from sepaudio.data.shelf import Shelf, holds

RATE = 16000
FORMANTS = (600.0, 1400.0, 2600.0)  # [Hz]
ROW = Recording(path=Path("a.wav"), kind="speech", license="", source="x", split="train", manner=1)


def vowel(pitch, seconds=1.0, glides=0.0):
    """A voice that stays on one note, or glides up and down by a share of its pitch [T]."""
    t = np.arange(round(seconds * RATE)) / RATE
    turns = np.cumsum(pitch * (1 + glides * np.sin(2 * np.pi * 2 * t))) / RATE
    x = np.diff(np.floor(turns), prepend=-1)  # a pulse at every turn
    x += 0.01 * np.random.default_rng(0).standard_normal(len(x))
    for hz in FORMANTS:
        radius, angle = np.exp(-np.pi * 120 / RATE), 2 * np.pi * hz / RATE
        x = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], x)
    return (0.1 * x / np.abs(x).max()).astype(np.float32)


def pitch_of(x):
    """The lag of the strongest repetition [Hz]."""
    middle = x[len(x) // 2 - 2000 : len(x) // 2 + 2000].astype(np.float64)
    again = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    lags = np.arange(RATE // 400, RATE // 60)
    return RATE / lags[again[lags].argmax()]


def envelope_db(x):
    """Mean power between formants and at them [dB], without the common level."""
    spec = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / RATE)
    edges = np.array([200, 450, 800, 1200, 1600, 2200, 3000, 3600])
    bands = [spec[(hz >= low) & (hz < high)].mean() for low, high in pairwise(edges)]
    db = 10 * np.log10(bands)
    return db - db.mean()


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.2, 1.4])
def test_the_pitch_moves_and_the_formants_stay(ratio):
    x = vowel(130.0)
    y = restyle.at_pitch(x, RATE, ratio)
    assert abs(len(y) - len(x) / ratio) <= 1
    assert pitch_of(y) == pytest.approx(ratio * pitch_of(x), rel=0.03)
    x = vowel(130.0, glides=0.2)  # harmonics that move sound out the formants
    y = restyle.at_pitch(x, RATE, ratio)
    off = np.abs(envelope_db(y) - envelope_db(x)).mean()
    faster = io.resample(x, round(RATE * ratio), RATE)
    assert off < 0.5 * np.abs(envelope_db(faster) - envelope_db(x)).mean()


def test_the_same_pitch_is_the_same_sound():
    x = vowel(130.0)
    assert np.abs(restyle.at_pitch(x, RATE, 1.0) - x).max() < 1e-5


@pytest.mark.parametrize("n", [1, 2, 100, 1023, 4001])
@pytest.mark.parametrize("rate", [1000, 8000, 16000, 48000])
def test_any_length_and_rate_gives_finite_samples_of_the_same_loudness(n, rate):
    x = 0.1 * np.random.default_rng(n).standard_normal(n).astype(np.float32)
    for manner in (1, 2, 3):
        y = restyle.restyled(x, rate, replace(ROW, manner=manner))
        low, high = restyle.PITCH
        assert n / high - 1 <= len(y) <= n / low + 1 and y.dtype == np.float32
        assert np.isfinite(y).all()
        if n > 4000:
            change = 20 * np.log10(np.std(y) / np.std(x))
            assert abs(change) < restyle.RESPONSE + 3
    silence = restyle.restyled(np.zeros(n, np.float32), rate, ROW)
    assert np.abs(silence).max() < 1e-6


def test_a_row_is_heard_in_the_same_manner_every_time_and_another_in_another():
    x = vowel(130.0)
    assert restyle.restyled(x, RATE, replace(ROW, manner=0)) is x
    first = restyle.restyled(x, RATE, ROW)
    assert np.array_equal(first, restyle.restyled(x, RATE, ROW))
    others = (replace(ROW, manner=2), replace(ROW, path=Path("b.wav")), replace(ROW, start=1.0))
    for other in others:
        y = restyle.restyled(x, RATE, other)
        assert len(y) != len(first) or not np.allclose(y, first)


def test_a_shelf_of_other_manners_is_another_shelf(tmp_path):
    plain = replace(ROW, path=trees.sound(tmp_path / "a.wav", 1.5, 8000), manner=0)
    kept = Shelf([plain, replace(plain, manner=1)], 8000, tmp_path / "shelf")
    assert holds(tmp_path / "shelf", kept.rows, 8000)
    assert not holds(tmp_path / "shelf", [plain, plain], 8000)
    assert not holds(tmp_path / "shelf", [plain, replace(plain, manner=2)], 8000)
    assert kept.length(0) == round(1.5 * 8000) != kept.length(1)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return mixed_voices.rows(tmp_path_factory.mktemp("voices"))


def test_only_enrollments_are_heard_in_another_manner_and_those_of_the_same_stretches(rows):
    plain = mixed_voices.mixer(rows, speeds=(0.9, 1.1))
    always = mixed_voices.mixer(rows, speeds=(0.9, 1.1), manners=1.0)
    assert always.speakers.keys() == plain.speakers.keys()
    assert always.others.keys() == plain.others.keys()
    for index in range(60):
        # what follows the enrollment is drawn otherwise: one number more was drawn
        one, other = plain.draw(0, 0, index), always.draw(0, 0, index)
        assert one.parts[0] == other.parts[0]
        was, now = one.enrollment, other.enrollment
        assert all(not always.speech.rows[part.row].manner for part in other.parts)
        row = always.speech.rows[now.row]
        assert row.manner == 1 and replace(row, manner=0) == plain.speech.rows[was.row]
        ratio = always.speech.length(now.row) / plain.speech.length(was.row)
        assert now.start == pytest.approx(was.start * ratio, abs=1)
        assert now.n <= was.n and now.n >= min(was.n, was.n * ratio) - 2
        assert always.item(0, 0, index).drawn["enrollment"]["manner"] == 1


def test_a_share_of_enrollments_is_heard_in_another_manner(rows):
    made = mixed_voices.mixer(rows, manners=0.3)
    drawn = [made.draw(0, 0, index).enrollment.row for index in range(400)]
    share = np.mean([made.speech.rows[row].manner for row in drawn])
    assert 0.22 < share < 0.38


def test_a_bad_recording_is_told_once_and_has_no_other_manner(tmp_path, rows):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    bad = replace(ROW, path=tmp_path / "bad.wav", manner=0, speaker="a")
    write(tmp_path / "all.csv", [*rows, bad])
    cfg = MixingCfg(**mixed_voices.SMALL, manners=0.5)
    made = mixing.load(cfg, [tmp_path / "all.csv"], "train", tmp_path / "shelf", "skip")
    assert len(made.speech.left_out) == 1
    speech = [row for row in rows if row.kind == "speech"]
    assert len(made.speech) == 2 * len(speech)
    again = mixing.load(replace(cfg, manners=0.0), [tmp_path / "all.csv"], "train", None, "skip")
    assert len(again.speech) == len(speech)
    assert soundfile.info(speech[0].path).samplerate == mixed_voices.RATE
