"""FractalNet and SqueezeNext against pytorchcv, weights carried over tensor by tensor."""

import importlib

import pytest
from ports import drawn, pooled, ported, same

from sepaudio.backbones import backbone

pytestmark = pytest.mark.oracle


def test_fractalnet_is_pytorchcvs():
    widths = (8, 16, 24, 24)

    def make():
        return importlib.import_module("pytorchcv.models.fractalnet_cifar").CIFARFractalNet(
            channels=list(widths),
            num_columns=3,
            dropout_probs=[0.0] * 4,
            loc_drop_prob=0.15,
            glob_drop_ratio=0.5,
            num_classes=10,
        )

    theirs = drawn(make)
    ours = ported(theirs, lambda: backbone("fractalnet", n_classes=10, widths=widths))
    same(theirs, ours, 3, 16, 31)  # of one place, since theirs has no mean


def test_squeezenext_with_biases_is_pytorchcvs():
    def make():
        net = importlib.import_module("pytorchcv.models.squeezenext").sqnxt23_w1(num_classes=10)
        pooled(net, "features", "final_pool")
        return net

    theirs = drawn(make)
    changes = {"bias": True, "alternate": False, "padding": 1}
    ours = ported(theirs, lambda: backbone("squeezenext_23", n_classes=10, **changes))
    same(theirs, ours, 3, 64, 98)
