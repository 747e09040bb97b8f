"""MobileNet v1 against timm, weights carried over leaf by leaf."""

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import MobileNetV1

pytestmark = pytest.mark.oracle


def carry(source, target):
    """Copy parameters and buffers in the order in which they are played, shapes checked."""
    played = [target.stem, target.stem_after]
    for block, after in zip(target.blocks, target.afters, strict=True):
        played += [block.depthwise, block.between, block.pointwise, after]
    ours = [value for module in played for value in module.state_dict().values()]
    theirs = list(source.state_dict().values())
    assert len(theirs) == len(ours) == len(target.state_dict())
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        mine.copy_(other)


@pytest.mark.parametrize(
    ("multiplier", "count"), [(1.0, 4231976), (0.75, 2585560), (0.5, 1331592), (0.25, 470072)]
)
def test_counts_of_all_widths(multiplier, count):
    net = MobileNetV1(multiplier=multiplier)
    head = net.out_channels * 1000 + 1000
    assert sum(p.numel() for p in net.parameters()) + head == count


def test_features_equal_timm_at_a_size_that_is_not_square():
    theirs = doors.timm().create_model("mobilenetv1_100", num_classes=0).eval().double()
    torch.manual_seed(1)
    for value in theirs.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand_like(value))
    ours = MobileNetV1().eval().double()
    carry(theirs, ours)
    x = laws.noise(2, 3, 64, 100)
    with torch.no_grad():
        laws.close(ours(x), theirs.forward_features(x), 1e-10)


def test_relu_and_relu6_are_different_networks():
    torch.manual_seed(0)
    six, plain = (
        MobileNetV1(multiplier=0.25).eval(),
        MobileNetV1(multiplier=0.25, act="relu").eval(),
    )
    plain.load_state_dict(six.state_dict())
    x = 30 * laws.noise(1, 3, 64, 64, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(six(x), plain(x))
