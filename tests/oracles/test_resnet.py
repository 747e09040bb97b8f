"""ResNet-50 and ResNeXt-50 against timm, weights carried over by the converter."""

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.convert import imagenet

pytestmark = pytest.mark.oracle
NAMES = ["resnet50", "resnext50_32x4d"]


@pytest.fixture(scope="module", params=NAMES)
def both(request):
    """Timm's network with other weights and statistics than it starts with, and ours."""
    theirs = doors.timm().create_model(request.param).eval()
    torch.manual_seed(1)
    for value in theirs.state_dict().values():
        if value.is_floating_point():
            spread = 0.2 if value.ndim == 1 else 0.1 * value.std()
            value.add_(spread * torch.rand_like(value))
    with torch.device("meta"):
        ours = backbone(request.param).eval()
    state = getattr(imagenet, request.param)(theirs.state_dict())
    ours.load_state_dict(state, assign=True)
    return theirs, ours


def test_published_counts(both):
    theirs, ours = both
    count = sum(p.numel() for p in ours.parameters())
    assert count + 2048 * 1000 + 1000 == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=str
)
def test_features_equal_timm_at_a_size_that_is_not_square(both, dtype, tolerance):
    theirs, ours = (net.to(dtype) for net in both)
    x = laws.noise(2, 3, 65, 97, dtype=dtype)
    with torch.no_grad():
        laws.close(ours(x), theirs.forward_features(x), tolerance)
