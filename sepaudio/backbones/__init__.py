"""Image classifiers without their heads: picture [B, C, F, L] -> features [B, D, F', L']."""

from collections.abc import Callable

from torch import nn

from .mobilenet import MobileNetV1

BACKBONES: dict[str, Callable[..., nn.Module]] = {"mobilenet_v1": MobileNetV1}


def backbone(name: str, in_channels: int, multiplier: float) -> nn.Module:
    """The backbone called `name`; `multiplier` scales all its widths.

    Raises:
        ValueError: no backbone has that name.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone={name!r}: expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name](in_channels, multiplier)


__all__ = ["BACKBONES", "MobileNetV1", "backbone"]
