"""Inception, Inception-ResNet, PolyNet and Xception against torchvision, timm and pytorchcv."""

import importlib

import laws
import pytest
from ports import drawn, pooled, ported, same
from torch import nn

from sepaudio import doors
from sepaudio.backbones import backbone, build
from sepaudio.backbones.inception_v4 import PolyNetCfg

pytestmark = pytest.mark.oracle


def torchvision():
    doors.timm()  # makes torchvision importable
    return importlib.import_module("torchvision.models")


def cv(name):
    return importlib.import_module(f"pytorchcv.models.{name}")


def last(net, *names):
    """The published auxiliary heads are defined before the last stages; ours after."""
    for name in names:
        module = getattr(net, name)
        delattr(net, name)
        setattr(net, name, module)


def test_googlenet_with_its_auxiliary_heads_is_torchvisions():
    theirs = drawn(
        lambda: torchvision().googlenet(num_classes=10, aux_logits=True, init_weights=False)
    )
    ours = ported(theirs, lambda: backbone("googlenet_bn", n_classes=10, auxiliary=True))
    for stage, head in ((1, theirs.aux1), (2, theirs.aux2)):
        x = laws.noise(1, ours.stage_channels[stage + 1], 13, 18)
        laws.close(ours.auxiliary[str(stage)](x), head(x), 1e-10)
    same(theirs, ours, 3, 64, 98)


def test_inception_v3_with_its_auxiliary_head_is_torchvisions():
    def make():
        net = torchvision().inception_v3(num_classes=10, aux_logits=True, init_weights=False)
        last(net, "AuxLogits", "fc")
        return net

    theirs = drawn(make)
    ours = ported(theirs, lambda: backbone("inception_v3", n_classes=10, auxiliary=True))
    x = laws.noise(1, 768, 17, 20)
    laws.close(ours.auxiliary["1"](x), theirs.AuxLogits(x), 1e-10)
    same(theirs, ours, 3, 77, 101)


def test_bn_inception_is_pytorchcvs():
    def make():
        net = cv("bninception").bninception(num_classes=10)
        pooled(net, "features", "final_pool")
        return net

    theirs = drawn(make)
    same(theirs, ported(theirs, lambda: backbone("bn_inception", n_classes=10)), 3, 64, 96)


def test_inception_v4_is_timms():
    def make():
        net = doors.timm().create_model("inception_v4", num_classes=10)
        kept = [*range(7), 10, 11, 18, 19]  # one module of each kind
        net.features = nn.Sequential(*(net.features[i] for i in kept))
        net.stage_ends = [10]
        return net

    theirs = drawn(make)
    ours = ported(theirs, lambda: backbone("inception_v4", n_classes=10, blocks=(1, 1, 1)))
    same(theirs, ours, 3, 77, 101)


def test_inception_resnet_v2_is_timms():
    def make():
        net = doors.timm().create_model("inception_resnet_v2", num_classes=10)
        for name in ("repeat", "repeat_1", "repeat_2"):
            setattr(net, name, getattr(net, name)[:1])
        return net

    theirs = drawn(make)
    ours = ported(theirs, lambda: backbone("inception_resnet_v2", n_classes=10, blocks=(1, 1, 1)))
    same(theirs, ours, 3, 77, 101)


def test_inception_resnet_v1_is_pytorchcvs():
    def make():
        net = cv("inceptionresnetv1").inceptionresnetv1(num_classes=10)
        pooled(net, "features", "final_pool")
        for stage, units in (("stage1", 4), ("stage2", 9), ("stage3", 4)):
            names = list(getattr(net.features, stage)._modules)
            for name in names[1 : 1 + units]:
                delattr(getattr(net.features, stage), name)
        return net

    theirs = drawn(make)
    ours = ported(theirs, lambda: backbone("inception_resnet_v1", n_classes=10, blocks=(1, 1, 1)))
    same(theirs, ours, 3, 77, 101)


def test_polynet_is_pytorchcvs():
    cfg = PolyNetCfg(blocks=(1, 1, 1))
    scales = [1.0, 0.925, 0.85, 0.775, 0.7]

    def make():
        net = cv("polynet").PolyNet(
            two_way_scales=[scales[:1], [0.0, scales[2]], [0.0, scales[4]]],
            poly_scales=[[0.0], [0.0, scales[1]], [0.0, scales[3]]],
            num_classes=10,
        )
        pooled(net, "features", "final_pool")
        return net

    theirs = drawn(make)
    same(theirs, ported(theirs, lambda: build(cfg, 3, 10)), 3, 77, 101)


def test_xception_is_timms():
    def make():
        net = doors.timm().create_model("legacy_xception", num_classes=10)
        for i in range(5, 12):
            setattr(net, f"block{i}", nn.Identity())
        return net

    theirs = drawn(make)
    same(theirs, ported(theirs, lambda: backbone("xception", n_classes=10, middle=1)), 3, 64, 98)
