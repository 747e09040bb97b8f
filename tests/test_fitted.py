"""What is measured once a network is trained: how much silence those who are there can afford."""

import pytest
import torch

from sepaudio.training.fitted import affordable


def test_the_most_silence_that_is_affordable():
    told = torch.tensor([0.1, 0.3, 0.5, 0.9])
    heard = torch.tensor([0.4, 0.8, 8.0, 8.0])  # dB, as means over four: 0.1, 0.2, 2, 2
    assert affordable(told, heard, 0.05, misses=1.0) == pytest.approx(0.1)
    assert affordable(told, heard, 0.11, misses=1.0) == pytest.approx(0.3)
    assert affordable(told, heard, 0.31, misses=1.0) == pytest.approx(0.5)
    assert affordable(told, heard, 100.0, misses=1.0) == pytest.approx(0.99)


def test_silence_instead_of_the_wrong_voice_is_a_gain():
    """An estimate below 0 dB is worse than silence, and pays for others."""
    told, heard = torch.tensor([0.1, 0.2, 0.9]), torch.tensor([-6.0, 6.0, 9.0])
    assert affordable(told, heard, 0.0, misses=1.0) == pytest.approx(0.9)
    assert affordable(told[1:], heard[1:], 0.0, misses=1.0) == pytest.approx(0.2)


def test_a_network_that_learned_nothing_is_not_silenced():
    """There silence costs nothing; still, hardly any of those who are there may fall silent."""
    told, heard = torch.linspace(0.4, 0.6, 100), torch.full((100,), -3.0)
    least = affordable(told, heard)
    assert (told < least).double().mean() <= 0.05
    assert affordable(told, heard, misses=1.0) == pytest.approx(0.99)
