"""ShuffleNet v1 against pytorchcv and v2 against torchvision, tensor by tensor."""

import importlib

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.convert.ordered import in_order

pytestmark = pytest.mark.oracle


def pair(theirs, ours, dtype, **changes):
    state = laws.perturbed(theirs.eval()).to(dtype).state_dict()
    with torch.device("meta"):
        net = backbone(ours, n_classes=1000, **changes).eval()
    net.load_state_dict(in_order(state, net), assign=True)
    return net


PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=str)
def test_logits_of_v2_equal_torchvision_at_a_size_that_is_not_square(dtype, tolerance):
    doors.timm()  # makes torchvision importable
    theirs = importlib.import_module("torchvision").models.shufflenet_v2_x0_5()
    ours = pair(theirs, "shufflenet_v2_x0_5", dtype)
    x = laws.noise(2, 3, 64, 101, dtype=dtype)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=str)
@pytest.mark.parametrize("groups", [1, 3, 8])
def test_logits_of_v1_equal_pytorchcv_at_a_size_that_is_not_square(groups, dtype, tolerance):
    model = pytest.importorskip("pytorchcv.model_provider")
    theirs = model.get_model(f"shufflenet_g{groups}_w1")
    theirs.features.final_pool = torch.nn.AdaptiveAvgPool2d(1)  # 7x7 there
    ours = pair(theirs, f"shufflenet_v1_g{groups}", dtype)
    x = laws.noise(2, 3, 64, 101, dtype=dtype)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), tolerance)
