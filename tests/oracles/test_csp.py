"""CSPResNet, CSPResNeXt and CSPDarkNet against timm."""

import ports
import pytest

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", ["cspresnet50", "cspresnext50", "cspdarknet53"])
def test_logits_equal_timm(name):
    ports.equal(name, name)
