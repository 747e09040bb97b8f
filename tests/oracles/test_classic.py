"""AlexNet, VGG, Network in Network, Tiny DarkNet and SqueezeNet: torchvision and pytorchcv."""

import importlib

import pytest
from ports import drawn, pooled, ported, same
from torch import nn

from sepaudio import doors
from sepaudio.backbones import backbone

pytestmark = pytest.mark.oracle


def torchvision():
    doors.timm()  # makes torchvision importable
    return importlib.import_module("torchvision.models")


def narrow(net, features, dropout_first):
    """The published network with 24 units for 4096 in its dense layers."""
    linears = nn.Linear(features, 24), nn.Linear(24, 24), nn.Linear(24, 10)
    layers = [part for linear in linears for part in (linear, nn.ReLU(), nn.Dropout())][:-2]
    net.classifier = nn.Sequential(*([nn.Dropout()] if dropout_first else []), *layers)
    return net


def test_the_single_tower_of_alexnet_is_torchvisions():
    theirs = drawn(lambda: narrow(torchvision().alexnet(), 9216, True))
    same(
        theirs,
        ported(theirs, lambda: backbone("alexnet", n_classes=10, hidden=(24, 24))),
        3,
        95,
        127,
    )


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg_is_torchvisions(name):
    theirs = drawn(lambda: narrow(getattr(torchvision(), name)(init_weights=False), 25088, False))
    same(theirs, ported(theirs, lambda: backbone(name, n_classes=10, hidden=(24, 24))), 3, 48, 70)


@pytest.mark.parametrize(
    ("ours", "file", "theirs", "size"),
    [
        ("nin", "nin_cifar", "nin_cifar10", (32, 45)),
        ("darknet_tiny", "darknet", "darknet_tiny", (64, 98)),
        ("squeezenet1_0_simple", "squeezenet", "squeezeresnet_v1_0", (64, 98)),
    ],
)
def test_networks_with_a_map_for_each_class_are_pytorchcvs(ours, file, theirs, size):
    def make():
        net = getattr(importlib.import_module(f"pytorchcv.models.{file}"), theirs)(num_classes=10)
        pooled(net, "output", "final_pool")
        return nn.Sequential(net, nn.Flatten())

    published = drawn(make)
    same(published, ported(published, lambda: backbone(ours, n_classes=10)), 3, *size)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenet_is_torchvisions(name):
    theirs = drawn(lambda: getattr(torchvision(), name)(num_classes=10))
    same(theirs, ported(theirs, lambda: backbone(name, n_classes=10)), 3, 64, 98)
