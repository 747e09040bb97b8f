"""RandAugment over sounds, and CutMix over pictures."""

import numpy as np
import pytest
import torch

from sepaudio.data.cutmix import box, cutmix
from sepaudio.data.randaugment import OPERATIONS, rand_augment

RATE = 16000


def random(seed=0):
    return np.random.default_rng(seed)


def sound(seed=0):
    return (0.1 * random(seed).standard_normal(RATE // 2)).astype(np.float32)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_strength_changes_nothing_and_full_strength_does(name):
    x, operation = sound(), OPERATIONS[name]
    still, moved = (operation(x, RATE, strength, random(1)) for strength in (0.0, 1.0))
    np.testing.assert_allclose(still, x, atol=1e-6)
    assert np.abs(moved - x).max() > 1e-3
    assert moved.shape == x.shape
    assert moved.dtype == np.float32
    assert np.isfinite(moved).all()


@pytest.mark.parametrize("name", OPERATIONS)
def test_more_strength_changes_more(name):
    x, operation = sound(), OPERATIONS[name]
    changes = [np.abs(operation(x, RATE, s, random(1)) - x).mean() for s in (0.02, 0.9)]
    assert changes[0] < changes[1]


@pytest.mark.parametrize("name", OPERATIONS)
def test_silence_and_short_clips_stay_what_they_are(name):
    for n in (1, 2, 100):
        y = OPERATIONS[name](np.zeros(n, np.float32), RATE, 1.0, random(2))
        assert y.shape == (n,)
        assert np.abs(y).max() < 1e-3


@pytest.mark.parametrize("seed", range(10))
def test_a_seed_is_a_sound(seed):
    x = sound()
    y = rand_augment(x, RATE, random(seed))
    assert np.array_equal(y, rand_augment(x, RATE, random(seed)))
    assert not np.array_equal(y, rand_augment(x, RATE, random(seed + 100)))
    assert rand_augment(x, RATE, random(seed), magnitude=0) is x
    assert np.array_equal(x, sound())  # what is given is not written to


def test_every_operation_is_drawn(monkeypatch):
    drawn = []
    for name in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, name, lambda x, *_, name=name: drawn.append(name) or x)
    rand_augment(sound(), RATE, random(), n=900)
    assert {drawn.count(name) > 50 for name in OPERATIONS} == {True}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"magnitude": 11}, "magnitude=11: expected 0 to 10"),
        ({"operations": ["gian"]}, r"operations=\['gian'\]: expected some of gain, shift"),
    ],
)
def test_bad_settings_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        rand_augment(sound(), RATE, random(), **changes)


@pytest.mark.parametrize("seed", range(20))
def test_a_label_weighs_as_much_as_its_area(seed):
    n = 4
    x = torch.arange(float(n))[:, None, None, None].expand(n, 2, 12, 20)
    mixed, targets = cutmix(x, torch.eye(n), random(seed))
    for own in range(n):
        found = torch.bincount(mixed[own, 0].flatten().long(), minlength=n) / (12 * 20)
        torch.testing.assert_close(targets[own], found)
        assert torch.equal(mixed[own, 0], mixed[own, 1])  # one box for all channels
    again = cutmix(x, torch.eye(n), random(seed))
    assert torch.equal(again[0], mixed)
    assert torch.equal(again[1], targets)


def test_boxes_have_their_area_and_the_form_of_the_picture():
    draw = random()
    areas = []
    for _ in range(4000):
        rows, frames = box((100, 200), 0.25, draw)
        assert 0 <= rows.start <= rows.stop <= 100
        assert 0 <= frames.start <= frames.stop <= 200
        areas.append((rows.stop - rows.start) * (frames.stop - frames.start) / 20000)
    assert max(areas) == pytest.approx(0.25, abs=0.01)
    assert np.mean(areas) == pytest.approx(0.25 * (1 - 0.5 / 4) ** 2, rel=0.02)  # cut at edges


def test_targets_are_shares():
    with pytest.raises(ValueError, match=r"targets have shape \[4\]: expected \[4, K\]"):
        cutmix(torch.zeros(4, 1, 8, 8), torch.zeros(4), random())
    with pytest.raises(ValueError, match="alpha=0: expected more than 0"):
        cutmix(torch.zeros(4, 1, 8, 8), torch.eye(4), random(), alpha=0)
