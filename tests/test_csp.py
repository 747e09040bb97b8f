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
    ("cspdensenet121", "densenet121"): (3.54, 3.70),
    ("cspdensenet201", "densenet201"): (5.48, 5.60),
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


def partial_densenet(layers, growth=32, channels=64):
    """Numbers of a CSPDenseNet with a thousand classes, block by block from the paper's eq. 4."""
    total = 3 * 49 * channels + 2 * channels
    for n in layers:
        half, inner, met = channels // 2, channels // 2 + n * growth, channels + n * growth
        for i in range(half, inner, growth):  # norm, 1x1, norm, 3x3
            total += 2 * i + i * 4 * growth + 8 * growth + 9 * 4 * growth * growth
        channels = met // 2
        for i, o in ((inner, inner // 2), (half + inner // 2, channels)):  # norm, 1x1
            total += 2 * i + i * o
    return total + 2 * channels + 1000 * channels + 1000


DENSE = {
    "cspdensenet121": ((6, 12, 24, 16), 7261960),
    "cspdensenet169": ((6, 12, 32, 32), 13411016),
    "cspdensenet201": ((6, 12, 48, 32), 19185224),
}


@pytest.mark.parametrize("name", DENSE)
def test_dense_blocks_on_half_of_the_channels_by_the_formula(name):
    layers, count = DENSE[name]
    assert ports.counted(name) == partial_densenet(layers) == count
    assert count < ports.counted(name[3:])


def test_a_dense_block_never_sees_the_half_that_goes_past():
    net = backbone("cspdensenet121", 3, 0.125, layers=(2, 2)).double().eval()
    stage = net.stages[0][0]
    x = laws.noise(1, 8, 8, 10)
    other = torch.cat([laws.noise(1, 4, 8, 10, seed=5), x[:, 4:]], dim=1)
    seen = []
    stage.blocks.register_forward_hook(lambda module, given, y: seen.append(y))
    assert not torch.equal(stage(x), stage(other))
    assert torch.equal(*seen)
