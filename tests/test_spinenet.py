"""SpineNet: published sizes and costs, levels, and who hears whom."""

import laws
import pytest
import torch
from sizes import macs, meta, parameters

from sepaudio.backbones import backbone
from sepaudio.backbones.spinenet import BLOCKS, OUT, joined

SIZES = {  # with a thousand classes
    "spinenet_49s": 9218215,
    "spinenet_49": 22088488,
    "spinenet_96": 36519976,
    "spinenet_143": 60504616,
    "spinenet_190": 127100664,
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name):
    assert parameters(meta(name, n_classes=1000)) == SIZES[name]


def test_the_published_cost():
    assert macs(meta("spinenet_49"), 3, 224, 224) / 1e9 == pytest.approx(3.5, abs=0.05)


def test_without_a_head():
    assert parameters(meta("spinenet_49")) == 21831488


def test_no_map_is_left_unused():
    heard = {parent for block in BLOCKS for parent in block.parents}
    heard.update(i for more in joined().values() for i in more)
    assert heard | {n for n, block in enumerate(BLOCKS) if block.out} == set(range(17))
    assert {block.level for block in BLOCKS if block.out} == set(OUT)
    assert joined() == {12: [], 13: [], 14: [11], 15: [], 16: []}
    assert all(parent < n for n, block in enumerate(BLOCKS) for parent in block.parents)


@pytest.mark.parametrize("size", [(256, 384), (70, 203), (1, 1)])
def test_levels_have_strides_of_8_to_128_and_one_width(size):
    net = backbone("spinenet_49", 1, 0.125).double().eval()
    x = laws.noise(1, 1, *size)
    levels = net.stages[0].levels(net.stem(x))
    for level, y in zip(OUT, levels, strict=True):
        assert y.shape == (1, 32, *(-(-places // 2**level) for places in size))
    assert net(x).shape == levels[0].shape
    assert net.stride == 8


def test_every_block_brings_two_parents_to_its_own_level():
    net = backbone("spinenet_49", 1, 0.125).double().eval()
    spine, seen = net.stages[0], {}
    for n, ways in enumerate(spine.resample):
        for way in ways:
            way.register_forward_hook(lambda m, given, y, n=n: seen.setdefault(n, []).append(y))
    spine.levels(net.stem(laws.noise(1, 1, 100, 140)))
    for n, block in enumerate(BLOCKS[2:], 2):
        size = tuple(-(-places // 2**block.level) for places in (100, 140))
        assert [tuple(y.shape[2:]) for y in seen[n]] == [size, size]


def test_features_are_the_mean_of_the_levels():
    net = laws.perturbed(backbone("spinenet_49", 1, 0.125).double().eval())
    x = laws.noise(1, 1, 256, 128)
    with torch.no_grad():
        means = [y.mean(dim=(2, 3)) for y in net.stages[0].levels(net.stem(x))]
        laws.close(net(x).mean(dim=(2, 3)), torch.stack(means).mean(dim=0), 1e-10)
