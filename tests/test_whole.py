"""Whole recordings: silence taken out, one loudness, cut into clips."""

from importlib.util import find_spec

import numpy as np
import pytest

from sepaudio.data import whole
from sepaudio.data.whole import CutCfg

RATE = 1000
split = pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")


def noise(seconds, level=1.0, seed=0):
    x = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (level * x).astype(np.float32)


@split
def test_silence_is_what_lies_40_db_below_the_peak_and_nothing_is_lost():
    x = np.concatenate([noise(1), noise(0.7, 1e-3), noise(0.5), noise(0.3, 0.05), noise(0.4, 1e-3)])
    sound, gaps = whole.parted(x, RATE)
    assert len(sound) + sum(map(len, gaps)) == len(x)
    assert len(sound) == pytest.approx(1800, abs=120)  # to a frame at each of three edges
    assert [len(gap) / RATE for gap in gaps] == pytest.approx([0.7, 0.4], abs=0.06)
    louder = whole.parted(100 * x, RATE)[0]
    assert np.array_equal(louder, 100 * sound)


@split
def test_digital_silence_is_no_recording():
    with pytest.raises(ValueError, match="nothing but digital silence"):
        whole.parted(np.zeros(1000, np.float32), RATE)


def slowly(x, window, step):
    """Windows divided by their deviations, laid over each other and averaged, one by one."""
    n = len(x) // step
    total, times = np.zeros(len(x)), np.zeros(len(x))
    for start in range(0, n * step - window + 1, step):
        part = x[start : start + window].astype(np.float64)
        total[start : start + window] += part / part.std()
        times[start : start + window] += 1
    return (total / np.maximum(times, 1))[: n * step]


@pytest.mark.parametrize("window", [0.25, 0.2])
def test_loudness_is_that_of_windows_laid_over_each_other(window):
    x = noise(2.0) * np.linspace(0.01, 1, 2000, dtype=np.float32)
    found = whole.equalised(x, RATE, window)
    wanted = slowly(x, round(window * RATE), 10)
    assert np.abs(found - wanted).max() < 1e-5
    assert len(whole.equalised(x[:1997], RATE, window)) == 1997


def test_loudness_is_equal_afterwards_and_before_it_matters_not():
    x = np.concatenate([noise(1, 0.01), noise(1, 0.5, 1)])
    found = whole.equalised(x, RATE)
    parts = [part.std() for part in (found[:800], found[1200:])]
    assert parts == pytest.approx([1, 1], abs=0.1)
    assert whole.equalised(7 * x, RATE) == pytest.approx(found, abs=1e-5)
    assert whole.equalised(x, RATE, 0) is x
    assert whole.equalised(noise(0.1, 0.3), RATE).std() == pytest.approx(1)  # less than a window
    assert np.isfinite(whole.equalised(np.concatenate([x, np.zeros(600, np.float32)]), RATE)).all()


def test_clips_overlap_by_half_and_the_last_one_ends_with_the_recording():
    assert whole.starts(1000, 200, 0.5) == list(range(0, 801, 100))
    assert whole.starts(1030, 200, 0.5)[-1] == 830
    assert whole.starts(1000, 200, 0.0) == [0, 200, 400, 600, 800]
    features = np.arange(12.0).reshape(6, 2)
    assert whole.clip(features, 2, 3).tolist() == [[4, 6, 8], [5, 7, 9]]
    front = whole.clip(features, 0, 8)  # what is missing in front comes round
    assert front[0].tolist() == [8, 10, 0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"seconds": -1.0}, "seconds=-1.0"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"silence_db": 0.0}, "silence_db=0.0"),
        ({"loudness": "papre"}, "loudness='papre': expected one of paper, author, none"),
    ],
)
def test_wrong_numbers_are_named(values, match):
    with pytest.raises(ValueError, match=match):
        CutCfg(**values)
