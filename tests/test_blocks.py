"""Residual blocks and squeeze-and-excitation against what they stand for."""

import laws
import pytest
import torch
from torch.nn import functional as F

from sepaudio.layers import InvertedResidual, SqueezeExcite, bottleneck, residual


def perturbed(block):
    """In float64 and for inference, with norms that do something."""
    block = block.double().eval()
    with torch.no_grad():
        for value in block.state_dict().values():
            if value.is_floating_point():
                value.add_(0.2 * torch.rand_like(value))
    return block


BLOCKS = {
    "bottleneck": lambda: residual(8, bottleneck(4, 16, 2)),
    "bottleneck, paper": lambda: residual(8, bottleneck(4, 16, 2, stride_first=True)),
    "bottleneck, groups": lambda: residual(16, bottleneck(8, 16, groups=4)),
    "inverted": lambda: InvertedResidual(8, 24, 8, 5),
    "inverted, stride": lambda: InvertedResidual(8, 24, 12, (3, 5), 2, squeeze=4),
    "inverted, v3": lambda: InvertedResidual(8, 24, 8, 3, act="hard_swish", squeeze=4),
    "inverted, no expansion": lambda: InvertedResidual(8, 8, 12),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_gradients_reach_every_parameter(kind):
    block = BLOCKS[kind]().double()
    channels = 16 if "groups" in kind else 8
    laws.every_parameter_learns(block, block(laws.noise(3, channels, 7, 9)))


@pytest.mark.parametrize("first", [False, True])
def test_a_bottleneck_is_what_the_paper_draws(first):
    block = perturbed(residual(6, bottleneck(4, 10, 2, stride_first=first)))
    x = laws.noise(2, 6, 9, 11)

    def normed(y, norm):
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    before, within = (2, 1) if first else (1, 2)
    reduce, spatial, expand = block.branch
    y = F.relu(normed(F.conv2d(x, reduce.conv.weight, stride=before), reduce.norm))
    y = F.conv2d(y, spatial.conv.weight, stride=within, padding=1)
    y = F.relu(normed(y, spatial.norm))
    y = normed(F.conv2d(y, expand.conv.weight), expand.norm)
    way = block.shortcut
    y = F.relu(y + normed(F.conv2d(x, way.conv.weight, stride=2), way.norm))
    laws.close(block(x), y)


def test_an_excitation_of_one_is_the_plain_block():
    excited = perturbed(InvertedResidual(8, 24, 8, squeeze=4))
    plain = InvertedResidual(8, 24, 8).double().eval()
    plain.load_state_dict(excited.state_dict(), strict=False)
    x = laws.noise(2, 8, 7, 9)
    with torch.no_grad():
        assert not torch.allclose(excited(x), plain(x))
        excited.excitation.excite.weight.zero_()
        excited.excitation.excite.bias.fill_(3)  # a hard sigmoid of 3 is 1
        laws.close(excited(x), plain(x))


def test_excitation_does_not_see_where_things_are():
    block = perturbed(SqueezeExcite(6, 3))
    x, order = laws.noise(2, 6, 5, 7), torch.randperm(35)

    def mixed(y):
        return y.flatten(2)[..., order].unflatten(2, (5, 7))

    with torch.no_grad():
        laws.close(block(mixed(x)), mixed(block(x)))


def test_the_input_is_added_where_shapes_allow():
    assert InvertedResidual(8, 16, 8).adds
    assert not InvertedResidual(8, 16, 9).adds
    assert not InvertedResidual(8, 16, 8, stride=2).adds
