"""NF-ResNet, NFNet and adaptive gradient clipping against timm."""

import laws
import ports
import pytest
from torch import nn

from sepaudio import doors
from sepaudio.backbones.nfnet import stages
from sepaudio.training.clip import adaptive_clip

pytestmark = pytest.mark.oracle
PARTS = ("skipinit_gain", "downsample")


def test_an_nf_resnet():
    ports.equal("nf_resnet26", "nf_resnet26", *PARTS)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_a_narrow_nfnet(published, size):
    """All that NFNet-F0 has: as published, and in timm's own variant of gains and padding."""
    timm, widths = doors.timm().models.nfnet, (32, 64, 96, 96)
    cfg = timm.NfCfg(
        depths=(1, 2, 2, 1),
        channels=widths,
        stem_type="deep_quad",
        stem_chs=128,
        group_size=8,
        bottle_ratio=0.5,
        extra_conv=True,
        gamma_in_act=published,
        same_padding=published,
        skipinit=published,
        num_features=192,
        act_layer="gelu",
        attn_layer="se",
        attn_kwargs={"rd_ratio": 0.5},
    )
    ports.equal(
        timm.NormFreeNet(cfg, num_classes=10),
        "nfnet_f0",
        *PARTS,
        size=size,
        stages=stages(widths, 1, 2, 2, 1),
        group_width=8,
        features=192,
        gain_in_act=published,
        skip_init=published,
        padding="tensorflow" if published else "same",
    )


@pytest.mark.parametrize("size", [1e-4, 1.0])
def test_adaptive_clipping(size):
    ours, theirs = (
        [nn.Parameter(laws.noise(*s)) for s in ((5, 4, 3, 3), (6, 7), (4,))] for _ in "ab"
    )
    for parameter in (*ours, *theirs):
        parameter.grad = size * laws.noise(*parameter.shape, seed=2)
    adaptive_clip(ours, 0.02)
    doors.timm().utils.agc.adaptive_clip_grad(theirs, 0.02)
    for a, b in zip(ours, theirs, strict=True):
        laws.close(a.grad, b.grad, 1e-14)


@pytest.mark.slow
def test_nfnet_f0():
    ports.equal("dm_nfnet_f0", "nfnet_f0", *PARTS)
