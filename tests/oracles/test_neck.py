"""Pyramids of features against torchvision."""

import importlib
from collections import OrderedDict

import laws
import pytest

from sepaudio import doors
from sepaudio.convert.ordered import in_order
from sepaudio.layers import FPN

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("more", ["", "pool", "convolutions"])
def test_levels_are_torchvisions(more):
    doors.timm()  # makes torchvision importable
    ops = importlib.import_module("torchvision.ops.feature_pyramid_network")
    extra = {"": None, "pool": ops.LastLevelMaxPool(), "convolutions": ops.LastLevelP6P7(7, 8)}
    theirs = ops.FeaturePyramidNetwork([3, 5, 7], 8, extra[more]).double()
    ours = FPN((3, 5, 7), 8, more).double()
    ours.load_state_dict(in_order(laws.perturbed(theirs).state_dict(), ours))
    sizes = ((20, 33), (10, 17), (5, 9))
    x = [laws.noise(2, c, *size, seed=c) for c, size in zip((3, 5, 7), sizes, strict=True)]
    expected = theirs(OrderedDict((str(n), y) for n, y in enumerate(x))).values()
    for y, z in zip(ours(x), expected, strict=True):
        laws.close(y, z, 1e-10)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
