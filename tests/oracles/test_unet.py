"""U-Net against pytorchcv."""

import importlib

import laws
import pytest
import torch
from ports import drawn

from sepaudio.backbones import backbone
from sepaudio.convert.ordered import in_order

pytestmark = pytest.mark.oracle


def test_the_maps_of_the_bilinear_form_are_pytorchcvs():
    module = importlib.import_module("pytorchcv.models.unet")
    widths = {"channels": [[16, 24, 32, 32], [32, 24, 16, 8]], "init_block_channels": 8}
    theirs = drawn(lambda: module.UNet(**widths, num_classes=5))
    ours = backbone("unet_bilinear", n_classes=5, widths=(8, 16, 24, 32, 32)).double().eval()
    down = ("stem", "hg.down_seq", "hg.up_seq.up2", "hg.up_seq.up3", "hg.up_seq.up4", "head")
    state = theirs.state_dict()
    ours.load_state_dict(
        in_order({k: state[k] for part in down for k in state if k.startswith(part)}, ours)
    )
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        x = laws.noise(2, 3, 48, 80, dtype=dtype)
        with torch.no_grad():
            net = ours.to(dtype)
            laws.close(net.head.maps(net.features(x)), theirs.to(dtype)(x), tolerance)
