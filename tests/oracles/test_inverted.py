"""Inverted residuals and squeeze-and-excitation against timm."""

import importlib
from functools import partial

import laws
import pytest
import torch
from torch import nn

from sepaudio import doors
from sepaudio.layers import InvertedResidual, SqueezeExcite

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def blocks():
    doors.timm()
    return importlib.import_module("timm.models._efficientnet_blocks")


def carry(source, target):
    """Copy parameters and buffers in order; a 1x1 convolution of one pixel is a linear layer."""
    ours, theirs = target.state_dict(), source.state_dict()
    assert len(ours) == len(theirs)
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        if other.is_floating_point():
            other.add_(0.2 * torch.rand_like(other))
        assert mine.numel() == other.numel()
        mine.copy_(other.view_as(mine))


@pytest.mark.parametrize(
    ("gate", "theirs"), [("sigmoid", nn.Sigmoid), ("hard_sigmoid", nn.Hardsigmoid)]
)
def test_squeeze_and_excitation(blocks, gate, theirs):
    source = blocks.SqueezeExcite(12, rd_channels=5, gate_layer=theirs).double()
    target = SqueezeExcite(12, 5, gate=gate).double()
    carry(source, target)
    x = laws.noise(2, 12, 7, 9)
    with torch.no_grad():
        laws.close(target(x), source(x))


@pytest.mark.parametrize(
    ("out", "kernel", "stride", "act", "squeeze"),
    [
        (8, 3, 1, "relu6", 0),
        (16, 3, 2, "relu6", 0),
        (8, 5, 1, "hard_swish", 6),
        (16, 5, 2, "hard_swish", 6),
        (16, 3, 1, "relu", 6),
    ],
)
def test_inverted_residuals(blocks, out, kernel, stride, act, squeeze):
    layers = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish}
    excite = partial(
        blocks.SqueezeExcite,
        rd_channels=squeeze,
        gate_layer=nn.Hardsigmoid,
        force_act_layer=nn.ReLU,
    )
    source = blocks.InvertedResidual(
        8,
        out,
        kernel,
        stride,
        exp_ratio=3,
        act_layer=layers[act],
        se_layer=excite if squeeze else None,
    )
    target = InvertedResidual(8, 24, out, kernel, stride, act=act, squeeze=squeeze)
    source, target = source.double().eval(), target.double().eval()
    carry(source, target)
    x = 3 * laws.noise(2, 8, 9, 13)
    with torch.no_grad():
        laws.close(target(x), source(x))
