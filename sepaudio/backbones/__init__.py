"""Image classifiers without their heads: picture [B, C, F, L] -> features [B, D, F', L']."""

from collections.abc import Callable

from torch import nn

from .mobilenet import MobileNetV1
from .resnet import ResNet, resnet50, resnext50_32x4d
from .separable import SeparableTrunk

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "mobilenet_v1": MobileNetV1,
    "resnet50": resnet50,
    "resnext50_32x4d": resnext50_32x4d,
    "separable": SeparableTrunk,
}


def backbone(name: str, in_channels: int, multiplier: float) -> nn.Module:
    """The backbone called `name`; `multiplier` scales all its widths.

    Raises:
        ValueError: no backbone has that name.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone={name!r}: expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name](in_channels, multiplier)


__all__ = ["BACKBONES", "MobileNetV1", "ResNet", "SeparableTrunk", "backbone"]
