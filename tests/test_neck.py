"""Pyramids of features: levels, linearity, and trunks under them."""

import laws
import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.layers import FPN


def maps(channels=(3, 5, 7), sizes=((20, 33), (10, 17), (5, 9)), seed=0):
    return [laws.noise(2, c, *s, seed=seed + c) for c, s in zip(channels, sizes, strict=True)]


def test_levels_have_the_sizes_of_the_maps_and_one_width():
    levels = FPN((3, 5, 7), 8).double()(maps())
    assert [tuple(y.shape) for y in levels] == [(2, 8, 20, 33), (2, 8, 10, 17), (2, 8, 5, 9)]


@pytest.mark.parametrize(
    ("more", "sizes"), [("pool", [(3, 5)]), ("convolutions", [(3, 5), (2, 3)])]
)
def test_coarser_levels(more, sizes):
    levels = FPN((3, 5, 7), 8, more).double()(maps())
    assert [tuple(y.shape[2:]) for y in levels[3:]] == sizes
    if more == "pool":
        assert torch.equal(levels[3], levels[2][..., ::2, ::2])


def test_it_is_affine_in_its_maps():
    neck = FPN((3, 5, 7), 8).double()
    a, b = maps(), maps(seed=20)
    mixed = neck([2 * x - y for x, y in zip(a, b, strict=True)])
    for ours, x, y in zip(mixed, neck(a), neck(b), strict=True):
        laws.close(ours, 2 * x - y, 1e-11)


def test_a_level_hears_its_own_map_and_coarser_ones_only():
    neck = FPN((3, 5, 7), 8).double()
    before = neck(maps())
    for changed in range(3):
        now = maps()
        now[changed] = now[changed] + 1
        after = neck(now)
        same = [torch.equal(x, y) for x, y in zip(before, after, strict=True)]
        assert same == [n > changed for n in range(3)]


def test_numbers_of_the_neck_of_resnet_50():
    with torch.device("meta"):
        net, neck = backbone("resnet50"), FPN((256, 512, 1024, 2048))
    assert sum(p.numel() for p in neck.parameters()) == 3344384
    assert sum(p.numel() for p in (*net.parameters(), *neck.parameters())) == 26852416


def test_every_parameter_learns():
    neck = FPN((3, 5, 7), 8, "convolutions").double()
    laws.every_parameter_learns(neck, torch.cat([y.flatten() for y in neck(maps())]))


def test_no_such_further_levels():
    with pytest.raises(ValueError, match="more='two': expected one of '', 'pool', 'convolutions'"):
        FPN((3,), 8, "two")


def test_a_trunk_gives_the_maps_of_its_stages():
    net = backbone("resnet18", 1, 0.125).double().eval()
    x = laws.noise(1, 1, 64, 100)
    found = net.maps(x)
    assert [tuple(y.shape[1:]) for y in found] == [
        (8, 16, 25), (8, 16, 25), (16, 8, 13), (32, 4, 7), (64, 2, 4)
    ]  # fmt: skip
    assert torch.equal(found[-1], net.features(x))
    levels = FPN(net.stage_channels[1:], 16).double()(found[1:])
    assert [tuple(y.shape[2:]) for y in levels] == [(16, 25), (8, 13), (4, 7), (2, 4)]
