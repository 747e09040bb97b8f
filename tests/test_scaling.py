"""Compound scaling: the measured cost is what the three factors say, and a budget is kept."""

import pytest

from sepaudio.backbones import backbone, build, config, scaled, scaling
from sepaudio.backbones.efficientnet import FACTORS
from sepaudio.backbones.scaling import Rates

NAMES = ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "resnet50"]


def test_the_papers_rates_double_the_cost_nearly():
    assert Rates().cost == pytest.approx(1.920, abs=5e-4)
    grid = scaling.candidates()
    assert Rates() in [Rates(**{k: round(v, 2) for k, v in vars(r).items()}) for r in grid]
    assert all(1.9 <= rates.cost <= 2.1 for rates in grid)


COMPOUND = Rates(depth=1.4, width=1.2, resolution=1.3)


def test_mobilenet_grows_to_the_published_cost():
    found = scaling.grown(config("mobilenet_v1"), (224, 224), 1.0, COMPOUND)
    assert found.macs / 1e9 == pytest.approx(2.3, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["depth", "width", "resolution"])
def test_each_factor_costs_what_it_says(name, kind):
    by = {"depth": 1.0, "width": 1.0, "resolution": 1.0, kind: 2.0}
    cfg, size = config(name), (128, 256)
    ratio = scaling.grown(cfg, size, 1.0, Rates(**by)).macs / scaling.macs(cfg, size)
    # the stem has one depth; depthwise convolutions grow with the width, not with its square
    assert ratio == pytest.approx(Rates(**by).cost, rel=0.25)


@pytest.mark.parametrize("share", [0.3, 3.0])
def test_a_budget_is_kept_and_nearly_used_up(share):
    cfg, size = config("mobilenet_v1"), (64, 128)
    budget = int(share * scaling.macs(cfg, size))
    found = scaling.within(cfg, size, budget)
    assert 0.8 * budget <= found.macs <= budget
    assert found.macs == scaling.macs(found.cfg, found.size)
    factors = found.factors
    assert (factors.depth < 1) == (factors.width < 1) == (factors.resolution < 1) == (share < 1)


def test_a_budget_that_nothing_fits_is_refused():
    with pytest.raises(ValueError, match=r"budget=10: expected at least [0-9]+ multiply-adds"):
        scaling.within(config("mobilenet_v1"), (64, 128), 10)


def test_the_search_takes_the_best_score():
    few = [
        Rates(depth=2.0, width=1.0, resolution=1.0),
        Rates(depth=1.0, width=2**0.5, resolution=1.0),
    ]
    found = scaling.search(
        config("mobilenet_v1"),
        (32, 64),
        lambda net: net.factors.width,
        few,
    )
    assert found == few[1]


@pytest.mark.parametrize(("name", "phi"), [("b1", 0.5), ("b2", 1), ("b3", 2), ("b4", 3)])
def test_efficientnets_follow_the_rates(name, phi):
    width, depth, size, _ = FACTORS[name]
    assert depth == pytest.approx(Rates().depth ** phi, rel=0.05)
    assert width == pytest.approx(Rates().width ** phi, rel=0.08)
    assert size / 224 == pytest.approx(Rates().resolution ** phi, rel=0.13)
    cfg = scaling.scaled(config("efficientnet_b0"), width=width, depth=depth)
    assert cfg.stages == config(f"efficientnet_{name}").stages


def test_a_name_is_scaled_as_its_cfg_is():
    def shapes(net):
        return [list(p.shape) for p in net.parameters()]

    named = backbone("mobilenet_v2", 1, 0.5, depth=2.0)
    expected = build(scaled(config("mobilenet_v2"), width=0.5, depth=2.0), 1)
    assert shapes(named) == shapes(expected) != shapes(backbone("mobilenet_v2", 1, 0.5))
    with pytest.raises(ValueError, match=r"depth=2 with 'timm:resnet18': expected 1"):
        backbone("timm:resnet18", depth=2)
