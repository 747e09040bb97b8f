"""ImageNet weights of torchvision and timm -> our backbones; both name the tensors alike."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .. import registry
from ..backbones import backbone
from .names import renamed

STEM = {"stem.unit.conv": "conv1", "stem.unit.norm": "bn1"}
BLOCK = {
    **{f"branch.{n}.conv": f"conv{n + 1}" for n in range(3)},
    **{f"branch.{n}.norm": f"bn{n + 1}" for n in range(3)},
    "shortcut.conv": "downsample.0",
    "shortcut.norm": "downsample.1",
}


def published_name(name: str) -> str:
    """Published name of a tensor of our ResNet.

    >>> published_name("stages.1.0.shortcut.norm.weight")
    'layer2.0.downsample.1.weight'
    """
    place, _, leaf = name.rpartition(".")
    if place in STEM:
        return f"{STEM[place]}.{leaf}"
    _, stage, block, part = place.split(".", 3)
    return f"layer{int(stage) + 1}.{block}.{BLOCK[part]}.{leaf}"


def resnet50(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a published ResNet-50 -> those of our `resnet50`; the classifier is left out.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _resnet(state, "resnet50")


def resnext50_32x4d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a published ResNeXt-50 32x4d -> those of our `resnext50_32x4d`; see `resnet50`.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _resnet(state, "resnext50_32x4d")


TRUNKS = {"resnet50": resnet50, "resnext50_32x4d": resnext50_32x4d}


def from_imagenet(
    state: dict[str, Tensor],
    *,
    architecture: str | None = None,
    labels: Sequence[str] | None = None,
) -> nn.Module:
    """A classifier of sounds whose trunk was trained on ImageNet; its other parts are not trained.

    Args:
        state: of torchvision's or timm's ResNet-50 or ResNeXt-50 32x4d.
        architecture: name of ours with such a trunk.
        labels: of the classes it will be trained for; the architecture's own by default.

    Raises:
        ValueError: the architecture has another trunk than the weights.
    """
    cfgs = {name: registry.config(name) for name in registry.names()}
    known = [name for name, cfg in cfgs.items() if getattr(cfg, "backbone", None) in TRUNKS]
    if architecture not in known:
        raise ValueError(
            f"architecture={architecture!r}: expected one of {', '.join(known)}; say it (--to)"
        )
    if isinstance(labels, str):
        raise ValueError(f"labels={labels!r}: expected a list")
    changes = {} if labels is None else {"labels": tuple(labels)}
    model = registry.create(architecture, **changes)
    trunk: nn.Module = model.backbone  # type: ignore[assignment]
    trunk.load_state_dict(TRUNKS[cfgs[architecture].backbone](state))
    return model


def _resnet(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        expected = backbone(name).state_dict()
    theirs = {name: published_name(name) for name in expected}
    trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
    return renamed(trunk, expected, theirs)
