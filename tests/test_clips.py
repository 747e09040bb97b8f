"""What is made of a whole clip before it is learned from: changes, cuts, mixtures."""

import numpy as np
import pytest

from sepaudio.data import clips as data
from sepaudio.data.clips import ClipAugmentCfg, mixture, placed, stretched, varied, windows


def test_without_augmentation_a_clip_is_itself():
    x = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    cfg, random = ClipAugmentCfg(), np.random.default_rng(1)
    assert np.array_equal(varied(x, 100, cfg, random), x)
    assert np.array_equal(varied(x, 100, ClipAugmentCfg(reverse=1.0), random), x[::-1])
    rolled = varied(x, 100, ClipAugmentCfg(roll=1.0), random)
    assert np.array_equal(np.sort(rolled), np.sort(x)) and not np.array_equal(rolled, x)
    louder = varied(x, 100, ClipAugmentCfg(gain_db=6.0), random)
    gain = louder / x
    assert np.allclose(gain, gain[0]) and abs(20 * np.log10(gain[0])) <= 6


def test_stretching_changes_the_pitch():
    t = np.arange(1000) / 1000
    tone = np.sin(2 * np.pi * 50 * t).astype(np.float32)
    spec = np.abs(np.fft.rfft(stretched(tone, 1250)[:1000]))
    assert spec.argmax() == 40
    peaks = set()
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = varied(tone, 500, ClipAugmentCfg(stretch=1.25, place="random"), random)
        peaks.add(int(np.abs(np.fft.rfft(y, 2000)).argmax()) // 2)
    assert min(peaks) >= 39 and max(peaks) <= 63 and max(peaks) - min(peaks) > 10


def test_placing_cuts_and_fills():
    x = np.arange(1, 5, dtype=np.float32)
    assert placed(x, 2).tolist() == [2, 3]
    assert placed(x, 7).tolist() == [0, 1, 2, 3, 4, 0, 0]
    assert placed(x, 7, "hold").tolist() == [1, 1, 2, 3, 4, 4, 4]
    places = {tuple(placed(x, 6, random=np.random.default_rng(s)).tolist()) for s in range(20)}
    assert len(places) == 3


def test_a_quiet_stretch_gives_way_to_a_loud_one():
    x = np.zeros(1000, np.float32)
    x[:100] = np.random.default_rng(0).standard_normal(100)
    for seed in range(20):
        assert placed(x, 200, random=np.random.default_rng(seed)).std() > 0.2
        assert placed(x[::-1], 200, random=np.random.default_rng(seed)).std() > 0.2


def test_a_mixture_has_the_shares_it_is_labelled_with():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 20000)).astype(np.float32)
    for share in (0.25, 0.5, 0.9):
        z = mixture(10 * x, 0.1 * y, share)  # their own levels do not count
        ours, theirs = np.dot(z, x) / np.dot(x, x), np.dot(z, y) / np.dot(y, y)
        assert ours / (ours + theirs) == pytest.approx(share, abs=0.02)
    assert np.array_equal(mixture(x, y, 1.0), x) and np.array_equal(mixture(x, y, 0.0), y)
    silent = np.zeros_like(x)
    assert np.isfinite(mixture(silent, silent, 0.5)).all()


def test_windows_of_a_clip():
    random = np.random.default_rng(0)
    x = random.standard_normal(1000).astype(np.float32)
    assert [len(w) for w in windows(x[:900], 1000)] == [1000]
    assert [len(w) for w in windows(x, 900)] == [900]
    cut = windows(x, 400)
    assert len(cut) == 4 and np.array_equal(cut[0], x[:400]) and np.array_equal(cut[-1], x[600:])
    x[:500] *= 1e-3
    assert len(windows(x, 400)) < 4
    assert windows(np.zeros(1000, np.float32), 400)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("place", "left", "expected one of centre, random"),
        ("fill", "noise", "expected one of silence, hold"),
        ("stretch", 0.5, "stretch=0.5"),
        ("roll", 1.5, "expected a share from 0 to 1"),
    ],
)
def test_wrong_augmentation_is_refused(name, value, match):
    with pytest.raises(ValueError, match=match):
        ClipAugmentCfg(**{name: value})


def test_pause_is_what_classify_calls_one():
    from sepaudio.verbs.classify import PAUSE_DB

    assert data.PAUSE_DB == PAUSE_DB
