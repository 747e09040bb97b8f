"""Whether and where the enrolled speaker is there, from one window to the next."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from sepaudio import registry
from sepaudio.data.presence import TURN, lasting, silenced, windows
from sepaudio.training.presence import COST, LEAST, affordable, surely, tried

RATE, SIZE = 100, 300  # windows of three seconds
told = np.random.default_rng(0)


def chain(alone, n):
    """By going through all ways in which a speaker may be there and not."""
    starts = windows(n, SIZE)
    weight = n / (SIZE * len(starts))
    move = [0.5 - 0.5 * np.exp(-2 * d / (RATE * TURN)) for d in np.diff(starts)]
    here = np.zeros((len(starts), 2))
    for states in product((0, 1), repeat=len(starts)):
        p = 1.0
        for state, one in zip(states, alone, strict=True):
            p *= (one if state else 1 - one) ** weight
        for a, b, m in zip(states, states[1:], move, strict=False):
            p *= m if a != b else 1 - m
        for i, state in enumerate(states):
            here[i, state] += p
    return here[:, 1] / here.sum(axis=1)


@pytest.mark.parametrize("n", [300, 400, 450, 600, 1130])
def test_what_lasts_is_what_a_chain_of_two_states_says(n):
    alone = told.uniform(0.01, 0.99, len(windows(n, SIZE))).astype(np.float32)
    np.testing.assert_allclose(lasting(alone, n, SIZE, RATE), chain(alone, n), atol=1e-6)


def test_one_window_says_what_it_says():
    for n, size in ((300, 300), (1, 1)):
        np.testing.assert_allclose(
            lasting(np.array([0.3], np.float32), n, size, RATE), [0.3], atol=1e-6
        )


def test_windows_speak_for_those_beside_them_but_not_for_far_ones():
    n = 6000
    alone = np.full(len(windows(n, SIZE)), 0.3, np.float32)
    plain = lasting(alone, n, SIZE, RATE)
    alone[20] = 0.999
    found = lasting(alone, n, SIZE, RATE)
    assert found[20] > found[19] > found[18] > plain[18]
    assert found[19] > 0.3 > plain[19]
    assert abs(found[36] - plain[36]) < 0.01
    for sure in (0.0, 1.0):  # no number is lost where windows are as sure as they can be
        alone[20] = sure
        assert np.isfinite(lasting(alone, n, SIZE, RATE)).all()


class Sure(torch.nn.Module):
    """An extractor that gives the mixture back and knows which mixtures are quiet."""

    def __init__(self):
        super().__init__()
        self.cfg = replace(registry.create("tsenet_fourier_test").cfg, presence=2.5)
        self.sample_rate, self.hop = 100, 1
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def speaker(self, enrollment, lengths=None):
        return enrollment[:, :1]

    def forward(self, mixture, embedding):
        return mixture

    def presence(self, mixture, embedding):
        return torch.where(mixture.square().mean(1) > 0.1, 0.9, 0.2)


class Drawn:
    """Speakers over a faint noise; every other one stops half-way."""

    def item(self, seed, epoch, index):
        random = np.random.default_rng([seed, index])
        source = random.standard_normal(1000).astype(np.float32)
        source[500:] *= index % 2
        mixture = source + 0.1 * random.standard_normal(1000).astype(np.float32)
        return {
            "mixture": mixture,
            "sources": source[None],
            "target": 0,
            "n_src": 1,
            "enrollment": source[:200],
        }


def test_what_silence_costs_is_measured_on_what_becomes_silent(monkeypatch):
    def batches(source, seed, items, batch, model, part, parts):
        for first in range(part * batch, items, parts * batch):
            made = [source.item(seed, 0, i) for i in range(first, first + batch)]
            yield {
                "mixture": torch.from_numpy(np.stack([x["mixture"] for x in made])),
                "sources": torch.from_numpy(np.stack([x["sources"] for x in made])),
                "target": torch.zeros(batch, dtype=torch.long),
                "enrollment": torch.from_numpy(np.stack([x["enrollment"] for x in made])),
                "enrollment_lengths": torch.full((batch,), 200),
            }

    monkeypatch.setattr("sepaudio.training.presence.batches", batches)
    costs, silences = tried(Sure(), Drawn(), 8, 4)
    assert costs.shape == silences.shape == (8, len(LEAST))
    assert not costs[:, 0].any()
    assert not silences[:, 0].any()
    assert np.all(costs[1::2, :80] == 0)  # who talks all the time is never doubted below 0.8
    assert np.all(costs[::2, 40] < -0.1)  # silence where nobody talks takes noise away
    assert not silences[:, 40].any()
    assert np.all(costs[:, 99] > 10)  # all that was heard
    assert silences[:, 99].all()
    least = affordable(costs, silences)
    assert 0.4 < least < 0.99
    k = LEAST.index(least)
    assert costs[:, k].mean() <= COST < costs[:, k + 1].mean()


def alone(told, heard, times=10**4):
    """What `tried` gives for recordings of one window each: who falls silent is heard at 0 dB.

    Each of them so many times, that nothing is left to chance.
    """
    silences = np.repeat(np.asarray(told)[:, None] < np.array(LEAST), times, axis=0)
    return np.repeat(np.asarray(heard), times)[:, None] * silences, silences


def test_the_most_silence_that_is_affordable():
    told, heard = [0.1, 0.3, 0.5, 0.9], [0.4, 0.8, 8.0, 8.0]  # dB, as means over four: 0.1, 0.2, 2
    for cost, least in ((0.05, 0.1), (0.11, 0.3), (0.31, 0.5), (100.0, 0.99)):
        assert affordable(*alone(told, heard), cost, misses=1.0) == pytest.approx(least)


def test_few_mixtures_promise_less_than_many():
    """What chance may hide counts: of 100, as skewed as costs are, it covers the mean in 93 %."""
    random = np.random.default_rng(0)
    told, heard = random.uniform(0, 1, 1000), np.full(1000, 8.0)
    few, many = (affordable(*alone(told[:n], heard[:n], 1), misses=1.0) for n in (100, 1000))
    assert few < many < 0.025  # 8 dB of these cost 0.2 dB
    found = random.gamma(0.5, 1.0, (2000, 100))
    assert np.mean([surely(row[:, None])[0] >= 0.5 for row in found]) == pytest.approx(
        0.93, abs=0.03
    )


def test_silence_instead_of_the_wrong_voice_is_a_gain():
    """An estimate below 0 dB is worse than silence, and pays for others."""
    told, heard = [0.1, 0.2, 0.9], [-6.0, 6.0, 9.0]
    assert affordable(*alone(told, heard), 0.05, misses=1.0) == pytest.approx(0.9)
    assert affordable(*alone(told[1:], heard[1:]), 0.01, misses=1.0) == pytest.approx(0.2)


def test_a_network_that_learned_nothing_is_not_silenced():
    """There silence costs nothing; still, hardly any of those who are there may fall silent."""
    told = np.linspace(0.4, 0.6, 100)
    free = alone(told, np.full(100, -3.0), 100)
    assert np.mean(told < affordable(*free)) <= 0.05
    assert affordable(*free, misses=1.0) == pytest.approx(0.99)


def test_silence_is_not_for_many_of_those_who_are_there():
    free = np.zeros((10**4, len(LEAST)))
    silences = np.array(LEAST)[None] > np.linspace(0.05, 0.95, 10**4)[:, None]
    assert affordable(free, silences, misses=0.0) == pytest.approx(0.05)
    assert affordable(free, silences, misses=0.2) == pytest.approx(0.22)
    assert affordable(free + 1.0, silences) == 0.0


def test_silence_fades_over_milliseconds():
    estimate = np.ones(1000, np.float32)
    found = np.zeros(len(windows(1000, 300)), np.float32)
    assert not silenced(estimate, found, 300, 1000, 0.5).any()
    found[-1] = 1.0
    heard = silenced(estimate, found, 300, 1000, 0.5)
    assert not heard[:680].any()
    assert np.all(heard[720:] == 1)
    assert np.all(np.diff(heard) >= 0)
