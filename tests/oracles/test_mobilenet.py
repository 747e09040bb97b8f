"""MobileNet v1 against timm, weights carried over tensor by tensor."""

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.convert.ordered import in_order

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    ("multiplier", "count"), [(1.0, 4231976), (0.75, 2585560), (0.5, 1331592), (0.25, 470072)]
)
def test_counts_of_all_widths(multiplier, count):
    net = backbone("mobilenet_v1", 3, multiplier, n_classes=1000)
    assert sum(p.numel() for p in net.parameters()) == count


def test_logits_equal_timm_at_a_size_that_is_not_square():
    theirs = laws.perturbed(doors.timm().create_model("mobilenetv1_100").eval().double())
    ours = backbone("mobilenet_v1", n_classes=1000).eval().double()
    ours.load_state_dict(in_order(theirs.state_dict(), ours))
    x = laws.noise(2, 3, 64, 100)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), 1e-10)


def test_logits_with_relu_equal_pytorchcv():
    model = pytest.importorskip("pytorchcv.model_provider")
    theirs = model.get_model("mobilenet_wd4").eval().double()
    theirs.features.final_pool = torch.nn.AdaptiveAvgPool2d(1)  # 7x7 there
    ours = backbone("mobilenet_v1", 3, 0.25, n_classes=1000, act="relu").eval().double()
    ours.load_state_dict(in_order(laws.perturbed(theirs).state_dict(), ours))
    x = laws.noise(2, 3, 64, 100)
    with torch.no_grad():
        laws.close(ours(x), theirs(x), 1e-10)


def test_relu_and_relu6_are_different_networks():
    torch.manual_seed(0)
    six, plain = (
        backbone("mobilenet_v1", 3, 0.25).eval(),
        backbone("mobilenet_v1", 3, 0.25, act="relu").eval(),
    )
    plain.load_state_dict(six.state_dict())
    x = 30 * laws.noise(1, 3, 64, 64, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(six(x), plain(x))


def test_what_does_not_fit_is_named():
    ours = backbone("mobilenet_v1", 3, 0.25)
    state = backbone("mobilenet_v1", 3, 0.5).state_dict()
    with pytest.raises(
        ValueError, match=r"stem.conv.weight has shape \[16, 3, 3, 3\]: expected \[8"
    ):
        in_order(state, ours)
    with pytest.raises(ValueError, match="state has 162 tensors: expected the 164 of Network"):
        in_order(state, backbone("mobilenet_v1", 3, 0.5, n_classes=2))
