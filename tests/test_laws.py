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


SEPARATORS = ["convtasnet_causal_test", "mitas_causal_test"]


def ahead(name):
    """The farthest look-ahead that the latency law would measure."""
    model = registry.create(name).double().eval()
    found = []
    for now in range(400, 400 + model.hop):
        moved = laws.changed_frames(model, laws.noise(1, 800), now)
        found.append(now - moved[0] if moved else -1)
    return max(found), model.latency


@pytest.mark.parametrize("name", SEPARATORS)
def test_a_layer_that_is_a_frame_late_is_seen(name, monkeypatch):
    right = TimeConv.forward

    def late(self, x, dilation=1, context=WHOLE):
        y = right(self, x, dilation, context)
        return torch.cat([y[..., :1], y[..., :-1]], dim=-1) if self.weight.shape[-1] > 1 else y

    monkeypatch.setattr(TimeConv, "forward", late)
    model = registry.create(name).double().eval()
    with pytest.raises(AssertionError):
        laws.streams_like_whole(model, laws.noise(1, 300), [50])


@pytest.mark.parametrize("name", SEPARATORS)
def test_an_encoder_that_is_a_frame_late_is_seen(name, monkeypatch):
    from sepaudio.frontends import Encoder

    assert ahead(name)[0] == ahead(name)[1]
    right = Encoder.forward

    def late(self, x, context=WHOLE):
        return torch.roll(right(self, x, context), 1, dims=-1)

    monkeypatch.setattr(Encoder, "forward", late)
    measured, declared = ahead(name)
    assert measured != declared


@pytest.mark.parametrize("name", SEPARATORS)
def test_a_global_norm_in_a_causal_net_is_seen(name, monkeypatch):
    from sepaudio.layers import CumulativeNorm, GlobalNorm

    def whole(self, x, context=WHOLE, lengths=None):
        return GlobalNorm.forward(self, x, WHOLE, lengths)

    monkeypatch.setattr(CumulativeNorm, "forward", whole)
    measured, declared = ahead(name)
    assert measured > declared
    model = registry.create(name).double().eval()
    with pytest.raises(AssertionError):
        laws.streams_like_whole(model, laws.noise(1, 300), [50])


@pytest.mark.parametrize("name", ["mitas_causal_test", "tsenet_causal_test", "swishnet_test"])
def test_state_that_is_keyed_by_module_is_seen(name, monkeypatch):
    """Without the number of its place, a shared block has one past for all of them."""
    from sepaudio.context import Stream

    right = Stream.at

    def by_module(self, place):
        return self if isinstance(place, int) else right(self, str(place).rstrip("0123456789"))

    monkeypatch.setattr(Stream, "at", by_module)
    model = registry.create(name).double().eval()
    given = (laws.noise(1, 4),) if model.task == "extraction" else ()
    with pytest.raises((AssertionError, RuntimeError)):
        laws.streams_like_whole(model, laws.noise(1, 600), [50], given=given)
