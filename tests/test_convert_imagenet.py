"""Converters say what does not fit."""

import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.convert import imagenet


@pytest.fixture
def published():
    """A ResNet-50 under its published names, without numbers."""
    with torch.device("meta"):
        state = {
            imagenet.published_name(n): v for n, v in backbone("resnet50").state_dict().items()
        }
        return state | {"fc.weight": torch.empty(1000, 2048), "fc.bias": torch.empty(1000)}


def shapes(state):
    return {name: value.shape for name, value in state.items()}


def test_every_tensor_finds_its_place_and_the_classifier_is_left_out(published):
    state = imagenet.resnet50(published)
    with torch.device("meta"):
        assert shapes(state) == shapes(backbone("resnet50").state_dict())
    assert state["stem.unit.norm.bias"] is published["bn1.bias"]
    assert state["stages.3.2.branch.1.conv.weight"] is published["layer4.2.conv2.weight"]
    assert state["stages.1.0.shortcut.conv.weight"] is published["layer2.0.downsample.0.weight"]


def test_old_files_have_no_counters(published):
    old = {n: v for n, v in published.items() if not n.endswith("num_batches_tracked")}
    state = imagenet.resnet50(old)
    assert shapes(state) == shapes(imagenet.resnet50(published))
    assert state["stem.unit.norm.num_batches_tracked"].item() == 0


def test_a_missing_tensor_is_named(published):
    del published["layer3.5.bn2.running_var"]
    with pytest.raises(ValueError, match=r"0 unknown and 1 \(layer3\.5\.bn2\.running_var\) miss"):
        imagenet.resnet50(published)
    with pytest.raises(ValueError, match=r"0 unknown and 265 \(conv1\.weight, .*, \.\.\.\) miss"):
        imagenet.resnet50({})


def test_an_unknown_tensor_is_named(published):
    published["layer3.6.conv1.weight"] = published["layer3.5.conv1.weight"]
    with pytest.raises(ValueError, match=r"1 \(layer3\.6\.conv1\.weight\) unknown and 0 missing"):
        imagenet.resnet50(published)


def test_a_wrong_shape_is_named(published):
    with pytest.raises(
        ValueError,
        match=r"layer1\.0\.conv1\.weight has shape \[64, 64, 1, 1\]: expected \[128, 64, 1, 1\]",
    ):
        imagenet.resnext50_32x4d(published)
