"""What is measured once a network is trained: how much silence those who are there can afford."""

import pytest
import torch

from sepaudio.training.fitted import affordable


def test_the_most_silence_that_is_affordable():
    told = torch.tensor([0.1, 0.3, 0.5, 0.9])
    heard = torch.tensor([0.4, 0.8, 8.0, 8.0])  # dB, as means over four: 0.1, 0.2, 2, 2
    assert affordable(told, heard, cost=0.05) == pytest.approx(0.1)
    assert affordable(told, heard, cost=0.11) == pytest.approx(0.3)
    assert affordable(told, heard, cost=0.31) == pytest.approx(0.5)
    assert affordable(told, heard, cost=100.0) == pytest.approx(0.99)


def test_silence_instead_of_the_wrong_voice_is_a_gain():
    """An estimate below 0 dB is worse than silence, and pays for others."""
    told, heard = torch.tensor([0.1, 0.2, 0.9]), torch.tensor([-6.0, 6.0, 9.0])
    assert affordable(told, heard, cost=0.0) == pytest.approx(0.9)
    assert affordable(told[1:], heard[1:], cost=0.0) == pytest.approx(0.2)
