"""Learned activations and pools, gates, chance: each where it becomes something known."""

import laws
import pytest
import torch
from sizes import parameters
from torch import nn
from torch.nn import functional as F

from sepaudio.layers import (
    DropConnect,
    Highway,
    Maxout,
    MixedPool,
    PiecewiseLinear,
    RecurrentConv,
    StochasticPool,
)


def test_maxout_of_two_lines_may_be_the_absolute_value():
    layer = Maxout(nn.Linear(1, 2, bias=False)).double()
    with torch.no_grad():
        layer.layer.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = laws.noise(20, 1)
    assert torch.equal(layer(x), x.abs())
    with pytest.raises(ValueError, match="pieces=3: expected a divisor of 4 channels"):
        Maxout(nn.Conv1d(2, 4, 1), 3)(torch.zeros(1, 2, 5))


def test_maxout_is_convex_in_pictures_too():
    layer = Maxout(nn.Conv2d(3, 12, 1), 4).double()
    a, b = laws.noise(2, 3, 4, 5), laws.noise(2, 3, 4, 5, seed=1)
    assert layer(a).shape == (2, 3, 4, 5)
    assert (layer((a + b) / 2) <= (layer(a) + layer(b)) / 2 + 1e-12).all()


def test_a_piecewise_linear_unit_without_hinges_is_relu():
    x = laws.noise(2, 3, 7)
    assert torch.equal(PiecewiseLinear(3, 0)(x), x.relu())
    unit = PiecewiseLinear(3, 2).double()
    assert torch.equal(unit(x), x.relu())  # at first
    with torch.no_grad():
        unit.slope.copy_(laws.noise(2, 3))
    for c in range(3):
        pairs = zip(unit.slope[:, c], unit.hinge[:, c], strict=True)
        expected = x[:, c].relu() + sum(a * (b - x[:, c]).relu() for a, b in pairs)
        laws.close(unit(x)[:, c], expected)
    laws.every_parameter_learns(unit, unit(x))


def test_a_highway_carries_or_transforms():
    layer, gate = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 1)
    highway = Highway(layer, gate, bias=-2.0).double()
    x = laws.noise(2, 4, 9)
    assert (gate.bias == -2).all()
    share = torch.sigmoid(gate(x))
    laws.close(highway(x), layer(x) * share + x * (1 - share))
    nn.init.zeros_(gate.weight)
    for bias, expected in ((-100.0, x), (100.0, layer(x))):
        nn.init.constant_(gate.bias, bias)
        laws.close(highway(x), expected)


def test_dropconnect_draws_weights_whose_mean_is_what_evaluation_uses():
    layer = DropConnect(6, 3, 0.3).double()
    x = laws.noise(1, 6)
    drawn = layer(x.expand(40000, -1))
    laws.close(drawn.mean(dim=0), layer.eval()(x)[0], 0.05)
    assert len(drawn.unique(dim=0)) > 40  # of 2^18, each sample draws its own
    plain = DropConnect(6, 3, 0.0).double()
    assert torch.equal(plain(x), plain.linear(x))


def test_a_stochastic_pool_draws_what_is_large_and_means_what_it_draws():
    x = torch.tensor([[1.0, 0.0, 3.0, 0.0]]).view(1, 1, 2, 2)
    pool = StochasticPool()
    drawn = pool(x.expand(20000, -1, -1, -1)).flatten()
    assert set(drawn.tolist()) == {1.0, 3.0}
    assert (drawn == 3).float().mean().item() == pytest.approx(0.75, abs=0.02)
    assert pool.eval()(x).item() == pytest.approx(0.25 * 1 + 0.75 * 3)
    even = torch.full((1, 2, 5, 7), 4.0)  # what is left over at the edges is left out
    assert torch.equal(pool(even), F.max_pool2d(even, 2))
    assert not StochasticPool()(torch.zeros(1, 1, 4, 4)).any()


def test_a_mixed_pool_goes_from_the_mean_to_the_largest():
    pool, x = MixedPool(3, 2).double(), laws.noise(2, 3, 9, 11)
    mean, largest = F.avg_pool2d(x, 3, 2), F.max_pool2d(x, 3, 2)
    laws.close(pool(x), (mean + largest) / 2)
    for balance, expected in ((-100.0, mean), (100.0, largest)):
        nn.init.constant_(pool.balance, balance)
        laws.close(pool(x), expected)


def test_a_recurrent_convolution_without_turns_is_a_convolution():
    x = laws.noise(2, 3, 6, 8)
    plain = RecurrentConv(3, 5, turns=0).double().eval()
    laws.close(plain(x), F.conv2d(x, plain.forth.weight, padding=1).relu() / (1 + 1e-5) ** 0.5)
    twice = RecurrentConv(3, 5, turns=2).double().eval()
    assert parameters(twice) - parameters(plain) == 5 * 5 * 9 + 2 * 2 * 5
    first, last = laws.reaches(lambda u: twice(u).sum(dim=2), laws.noise(1, 3, 6, 15), 7)
    assert (first, last) == (7 - 3, 7 + 3)
    laws.every_parameter_learns(twice, twice.train()(x))
