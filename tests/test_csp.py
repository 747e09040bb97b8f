"""Cross stage partial networks: published sizes, what they save, what goes past."""

import laws
import ports
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sepaudio.backbones import backbone
from sepaudio.layers import CrossStage

SIZES = {
    "cspresnet50": 21616168,
    "cspresnext50": 20569896,
    "cspdarknet53": 27642184,
    "darknet53": 41609928,
}
PARENTS = {  # 1e9 multiply-adds at 256 x 256
    ("cspresnet50", "resnet50"): (4.52, 5.34),
    ("cspresnext50", "resnext50_32x4d"): (4.01, 5.53),
    ("cspdarknet53", "darknet53"): (6.53, 9.29),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name):
    assert ports.counted(name) == SIZES[name]


@pytest.mark.parametrize("pair", PARENTS)
def test_they_cost_less_than_their_parents(pair):
    costs = []
    for name in pair:
        with torch.device("meta"):
            net = backbone(name, n_classes=1000).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, 256, 256, device="meta"))
        costs.append(counter.get_total_flops() / 2e9)
    assert costs == pytest.approx(PARENTS[pair], abs=6e-3)


def test_half_of_the_channels_goes_past_untouched():
    seen = []

    class Merge(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    blocks = nn.Conv2d(3, 5, 1)
    stage, x = CrossStage(nn.Identity(), blocks, Merge()), laws.noise(1, 6, 4, 5).float()
    y = stage(x)
    assert torch.equal(y[:, :3], x[:, :3])
    assert torch.equal(y[:, 3:], blocks(x[:, 3:]))


def test_the_leaky_activation_is_that_of_the_published_networks():
    net = backbone("cspresnet50", 3, 0.125)
    assert {m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)} == {0.01}
