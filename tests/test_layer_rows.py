"""Activations, response normalisation, the mean in front of the classes, and the schedule."""

import math

import laws
import pytest
import torch
from little_runs import fresh

from sepaudio.backbones.network import LinearHead
from sepaudio.layers import activation, picture_norm
from sepaudio.training.classify import cross_entropy
from sepaudio.training.loop import Task
from sepaudio.training.recipe import OptimCfg

FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "swish": lambda x: x / (1 + math.exp(-x)),
    "hard_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / 2**0.5)),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "hard_sigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    "tanh": math.tanh,
    "none": lambda x: x,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_by_their_formulas(name):
    x = torch.linspace(-8, 8, 161, dtype=torch.float64, requires_grad=True)
    y = activation(name)(x)
    torch.testing.assert_close(y.detach().tolist(), [FORMULAS[name](v) for v in x.tolist()])
    y.sum().backward()
    for v, slope in zip(x.tolist(), x.grad.tolist(), strict=True):
        if min(abs(v - kink) for kink in (-3, 0, 3, 6)) > 1e-3:
            rise = FORMULAS[name](v + 1e-6) - FORMULAS[name](v - 1e-6)
            assert slope == pytest.approx(rise / 2e-6, abs=1e-8)
        assert -0.51 <= slope <= 1.51  # at a kink too


def test_response_normalisation_by_a_loop():
    x = 30 * laws.noise(2, 7, 3, 4)
    y = picture_norm("response", 7)(x)
    for i in range(7):  # at the edges fewer neighbours
        energy = x[:, max(0, i - 2) : i + 3].square().sum(dim=1)
        laws.close(y[:, i], x[:, i] / (2 + 1e-4 * energy) ** 0.75)
    assert not list(picture_norm("response", 7).parameters())


def test_the_mean_frees_the_head_from_the_size_of_the_picture():
    head = LinearHead(4, 3).double()
    x = laws.noise(2, 4, 3, 5)
    assert torch.allclose(head(x), head(x.repeat(1, 1, 2, 3)))
    maps = torch.einsum("kc,bcfl->bkfl", head.linear.weight, x)  # activity of every class
    laws.close(maps.mean(dim=(2, 3)) + head.linear.bias, head(x))


def test_the_schedule_at_its_marks(tmp_path):
    cfg = OptimCfg(steps=300, warmup=20, lr=4e-3)
    task = Task(fresh(), cross_entropy(0.0), cfg, 0, tmp_path)
    [optimizer], [plan] = task.configure_optimizers()
    rates = []
    for _ in range(301):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan["scheduler"].step()
    assert rates[0] == pytest.approx(4e-3 / 20)
    assert rates[19] == pytest.approx(4e-3, rel=0.011)
    assert max(rates) == max(rates[17:22])
    assert rates[150] == pytest.approx(2e-3)
    assert rates[300] == pytest.approx(0, abs=1e-12)
    assert isinstance(optimizer, torch.optim.AdamW)
