"""The laws can fail: each is shown a model that breaks it."""

import laws
import pytest
import torch
from torch import nn

from sepaudio import registry
from sepaudio.context import WHOLE
from sepaudio.layers import TimeConv


class Late(nn.Module):
    """One frame late."""

    def forward(self, x, context=WHOLE):
        return context.left(x, 1)[..., :-1]


class Forgetful(nn.Module):
    """Has no past."""

    causal = True

    def __init__(self):
        super().__init__()
        self.conv = TimeConv(1, 1, 3, causal=True).double()

    def forward(self, x, context=WHOLE):
        return self.conv(x[:, None])[:, 0]


class OnePast(nn.Module):
    """Keys its state by module: two plays of one block share a past."""

    causal = True

    def __init__(self):
        super().__init__()
        self.conv = TimeConv(1, 1, 3, causal=True).double()

    def forward(self, x, context=WHOLE):
        here = context.at("conv")
        return self.conv(self.conv(x[:, None], 1, here), 2, here)[:, 0]


@pytest.mark.parametrize("broken", [Forgetful, OnePast])
def test_stream_law_catches(broken):
    with pytest.raises((AssertionError, RuntimeError)):
        laws.streams_like_whole(broken(), laws.noise(1, 50), [10])


def test_change_law_sees_lateness():
    assert laws.changed_frames(Late(), laws.noise(1, 2, 20), 7) == [8]


def test_block_stream_law_catches_a_block_without_a_past():
    with pytest.raises((AssertionError, RuntimeError)):
        laws.block_streams_like_whole(Forgetful(), laws.noise(1, 50), [10])


def test_reach_law_sees_lateness():
    assert laws.reaches(Late(), laws.noise(1, 2, 20), 8) == (7, 7)


def test_close_sees_values_and_shapes():
    x = laws.noise(10)
    laws.close(x, x.clone())
    with pytest.raises(AssertionError, match="off by"):
        laws.close(x + 1e-9, x)
    with pytest.raises(AssertionError, match="differ"):
        laws.close(x[:9], x)


def test_gradient_law_catches_an_idle_parameter():
    model = registry.create("swishnet_test").double()
    model.idle = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    with pytest.raises(AssertionError, match="idle"):
        laws.every_parameter_learns(model, model(laws.noise(1, 3000)))


def test_chunks_add_up():
    assert list(laws.chunks(10, [4, 1])) == [4, 1, 4, 1]
