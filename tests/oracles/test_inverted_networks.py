"""Networks of inverted residuals against timm, weights carried over tensor by tensor."""

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.convert.ordered import in_order

pytestmark = pytest.mark.oracle
TENSORFLOW = {"padding": "tensorflow", "eps": 1e-3}
PAIRS = {  # timm's name -> ours, what is changed
    "mobilenetv2_100": ("mobilenet_v2", {}),
    "mobilenetv2_035": ("mobilenet_v2", {"multiplier": 0.35}),
    "mobilenetv2_140": ("mobilenet_v2", {"multiplier": 1.4}),
    "mobilenetv3_large_075": ("mobilenet_v3_large", {"multiplier": 0.75}),
    "mobilenetv3_small_100": ("mobilenet_v3_small", {}),
    "tf_mobilenetv3_small_100": ("mobilenet_v3_small", TENSORFLOW),
    "efficientnet_b0": ("efficientnet_b0", {}),
    "tf_efficientnet_b0": ("efficientnet_b0", TENSORFLOW),
    "semnasnet_100": ("mnasnet_a1", {}),
    "mnasnet_100": ("mnasnet_b1", {}),
    "fbnetc_100": ("fbnet_c", {}),
}


def pair(name, dtype):
    ours, changes = PAIRS[name]
    theirs = doors.timm().create_model(name).eval()
    state = laws.perturbed(theirs).to(dtype).state_dict()
    with torch.device("meta"):
        net = backbone(ours, n_classes=1000, **changes).eval()
    net.load_state_dict(in_order(state, net), assign=True)
    return net, theirs


@pytest.mark.parametrize("name", PAIRS)
def test_logits_equal_timm_at_a_size_that_is_not_square(name):
    ours, theirs = pair(name, torch.float64)
    x = laws.noise(2, 3, 64, 101)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), 1e-10)


@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "efficientnet_b0"])
def test_logits_in_single_precision(name):
    ours, theirs = pair(name, torch.float32)
    x = laws.noise(2, 3, 64, 101, dtype=torch.float32)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), 1e-5)


def test_a_step_of_learning_is_the_same():
    ours, theirs = pair("mobilenetv3_small_100", torch.float64)
    x, gradients = laws.noise(2, 3, 64, 101), []
    for net in (ours, theirs):
        for p in net.parameters():
            p.requires_grad_(True)
        net(x)[:, 3].sum().backward()
        gradients.append(next(net.parameters()).grad)
    laws.close(*gradients, 1e-10)
