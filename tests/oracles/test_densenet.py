"""DenseNet against timm, weights carried over tensor by tensor."""

import pytest
from ports import drawn, ported, same

from sepaudio import doors
from sepaudio.backbones import backbone

pytestmark = pytest.mark.oracle


def test_densenet_with_bottlenecks_and_compression_is_timms():
    def make():
        return doors.timm().create_model(
            "densenet121", num_classes=10, growth_rate=8, block_config=(2, 3, 2, 2)
        )

    theirs = drawn(make)
    changes = {"stem": 16, "growth": 8, "layers": (2, 3, 2, 2)}
    ours = ported(theirs, lambda: backbone("densenet121", n_classes=10, **changes))
    same(theirs, ours, 3, 64, 98)
