"""ResNet, ResNeXt, SE-ResNet and wide ResNet against timm, weights carried over."""

import laws
import ports
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones import backbone
from sepaudio.backbones.resnet import stages
from sepaudio.convert import imagenet

pytestmark = pytest.mark.oracle
NAMES = ["resnet50", "resnext50_32x4d"]


@pytest.mark.parametrize("name", ["resnet18", "seresnet50", "resnetv2_18", "resnetv2_50"])
def test_logits_equal_timm(name):
    ports.equal(name, name, "downsample")


def test_logits_of_a_wide_one_equal_timm():
    """As `wide_resnet50_2`, with one block a stage: the width is all that is its own."""
    timm = doors.timm().models.resnet
    theirs = timm.ResNet(timm.Bottleneck, (1, 1, 1, 1), base_width=128, num_classes=10)
    ports.equal(theirs, "wide_resnet50_2", "downsample", stages=stages(1, 1, 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_published_names_find_their_places(name):
    """The converter goes by names, the others by order."""
    theirs = laws.perturbed(doors.timm().create_model(name).eval())
    with torch.device("meta"):
        ours = backbone(name).eval()
    ours.load_state_dict(getattr(imagenet, name)(theirs.state_dict()), assign=True)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        x = laws.noise(1, 3, 65, 97, dtype=dtype)
        with torch.no_grad():
            laws.close(ours.to(dtype)(x), theirs.to(dtype).forward_features(x), tolerance)
