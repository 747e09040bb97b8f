"""ImageNet weights of torchvision and timm -> our backbones; both name the tensors alike."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..backbones.resnet import resnet50 as build_resnet50
from ..backbones.resnet import resnext50_32x4d as build_resnext50_32x4d

STEM = {"stem.conv": "conv1", "stem.norm": "bn1"}
BLOCK = {
    "reduce": "conv1",
    "reduce_norm": "bn1",
    "spatial": "conv2",
    "spatial_norm": "bn2",
    "expand": "conv3",
    "expand_norm": "bn3",
    "shortcut.0": "downsample.0",
    "shortcut.1": "downsample.1",
}
COUNTER = "num_batches_tracked"


def published_name(name: str) -> str:
    """Published name of a tensor of our ResNet.

    >>> published_name("stages.1.blocks.0.shortcut.1.weight")
    'layer2.0.downsample.1.weight'
    """
    place, _, leaf = name.rpartition(".")
    if place in STEM:
        return f"{STEM[place]}.{leaf}"
    _, stage, _, block, part = place.split(".", 4)
    return f"layer{int(stage) + 1}.{block}.{BLOCK[part]}.{leaf}"


def resnet50(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a published ResNet-50 -> those of our `resnet50`; the classifier is left out.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _resnet(state, build_resnet50)


def resnext50_32x4d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a published ResNeXt-50 32x4d -> those of our `resnext50_32x4d`; see `resnet50`.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _resnet(state, build_resnext50_32x4d)


def _resnet(state: Mapping[str, Tensor], build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    with torch.device("meta"):
        expected = build().state_dict()
    theirs = {name: published_name(name) for name in expected}
    trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
    for name in theirs.values():
        if name.endswith(COUNTER):  # files from before torch 0.4.1 have none; inference needs none
            trunk.setdefault(name, torch.zeros((), dtype=torch.long))
    known = set(theirs.values())
    unknown = [name for name in trunk if name not in known]
    missing = [name for name in theirs.values() if name not in trunk]
    if unknown or missing:
        raise ValueError(
            f"state has {_some(unknown)} unknown and {_some(missing)} missing; "
            "expected the weights of the published network of this name"
        )
    for name, value in expected.items():
        found = trunk[theirs[name]]
        if found.shape != value.shape:
            raise ValueError(
                f"{theirs[name]} has shape {list(found.shape)}: expected {list(value.shape)}"
            )
    return {name: trunk[theirs[name]] for name in expected}


def _some(names: list[str]) -> str:
    """How many names, and the first three."""
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({first})" if names else "0"
