"""ConvNeXt's sizes, and the road that leads to it from ResNet-50."""

import laws
import ports
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sepaudio.backbones import backbone
from sepaudio.backbones.convnext import ROAD, STEPS
from sepaudio.layers import LayerScale, Residual

SIZES = {  # parameters, and 1e9 multiply-adds at 224 x 224
    "convnext_tiny": (28589128, 4.456),
    "convnext_small": (50223688, 8.684),
    "convnext_base": (88591464, 15.355),
    "convnext_large": (197767336, 34.361),
    "convnext_xlarge": (350196968, 60.921),
}
PUBLISHED = {  # 1e9 multiply-adds; the paper's table 10, but for the last, which it gives as 4.49
    **{"start": 4.09, "ratio": 4.53, "patchify": 4.42, "depthwise": 2.35, "width": 5.27},
    **{"inverted": 4.64, "moved_up": 4.07, "kernel": 4.15, "gelu": 4.15, "one_act": 4.15},
    **{"one_norm": 4.15, "layer_norm": 4.15, "downsampling": 4.46},
}


def cost(name):
    with torch.device("meta"):
        net = backbone(name, n_classes=1000).eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 224, 224, device="meta"))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name):
    assert ports.counted(name) == SIZES[name][0]


@pytest.mark.parametrize("name", ["convnext_tiny", "convnext_xlarge"])
def test_published_costs(name):
    assert cost(name) == pytest.approx(SIZES[name][1], abs=5e-4)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_costs_what_the_paper_says(step):
    assert cost(f"roadmap_{step}") == pytest.approx(PUBLISHED[step], abs=5e-3)


def test_the_road_begins_as_resnet_50_and_ends_as_convnext():
    assert ports.counted("roadmap_start") == 25557032
    gains = 3 * 96 + 3 * 192 + 9 * 384 + 3 * 768  # no step of the figure, but of the network
    assert ports.counted("roadmap_downsampling") + gains == SIZES["convnext_tiny"][0]


@pytest.mark.parametrize("step", ROAD)
def test_every_network_on_the_road_learns(step):
    net = backbone(f"roadmap_{step}", 3, 0.125, n_classes=3).double()
    laws.every_parameter_learns(net, net(laws.noise(2, 3, 64, 96)))


def test_a_layer_scale_of_nothing_makes_every_block_the_identity():
    net = laws.perturbed(backbone("convnext_tiny", 3, 0.125).double().eval())
    x, blocks = laws.noise(1, net.stage_channels[0], 7, 9), 0
    for block in net.stages[0]:
        assert isinstance(block, Residual)
        with torch.no_grad():
            assert not torch.equal(block(x), x)
            next(m for m in block.modules() if isinstance(m, LayerScale)).gain.zero_()
            assert torch.equal(block(x), x)
        blocks += 1
    assert blocks == 3
