"""MobileNet v1: published costs of all widths and resolutions, and where they are spent."""

import pytest
from sizes import macs, meta
from torch.utils.flop_counter import FlopCounterMode

from sepaudio.layers import PictureConv


@pytest.mark.parametrize(
    ("multiplier", "size", "millions"),
    [
        (1.0, 224, 568.74),
        (0.75, 224, 325.4),
        (0.5, 224, 149.5),
        (0.25, 224, 41.0),
        (1.0, 192, 418.1),
        (1.0, 160, 290.7),
        (1.0, 128, 186.4),
    ],
)
def test_costs_of_widths_and_resolutions(multiplier, size, millions):
    net = meta("mobilenet_v1", 3, multiplier, n_classes=1000)
    assert macs(net, 3, size, size) / 1e6 == pytest.approx(millions, abs=0.05)


def test_nearly_all_of_it_is_in_convolutions_of_one_pixel():
    net = meta("mobilenet_v1", n_classes=1000)
    pointwise = {
        name: module.weight.numel()
        for name, module in net.named_modules()
        if isinstance(module, PictureConv) and module.weight.shape[2:] == (1, 1)
    }
    weights = sum(p.numel() for p in net.parameters() if p.ndim > 1)
    assert sum(pointwise.values()) / weights == pytest.approx(0.7459, abs=5e-5)
    counter = FlopCounterMode(display=False)
    with counter:
        macs(net, 3, 224, 224)
    each = {
        name.split(".", 1)[1]: sum(ops.values())
        for name, ops in counter.flop_counts.items()
        if "." in name
    }
    spent = sum(each[name] for name in pointwise) / counter.get_total_flops()
    assert spent == pytest.approx(0.9486, abs=5e-5)
