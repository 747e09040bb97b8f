"""Both ends of the road against timm: no flag is ResNet-50, all of them are ConvNeXt."""

import ports
import pytest

pytestmark = pytest.mark.oracle


def test_no_flag_is_resnet_50():
    ports.equal("resnet50", "roadmap_start", "downsample")


def test_all_flags_are_convnext():
    ports.equal("convnext_tiny", "convnext_tiny", "gamma", size=(64, 96))
    ports.equal("convnext_tiny", "convnext_tiny", "gamma", size=(70, 101))
