"""Networks of timm under the contract of ours: `timm:NAME`.

The package is optional, and no network below imports it: it is called for late, through the door
that knows its import.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor, nn

from ..registry import unknown
from .network import Network, head_of

PREFIX = "timm:"
FLEXIBLE: tuple[dict[str, Any], ...] = (  # what networks of patches need, to take any size
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)


class Maps(nn.Module):
    """A network of timm as picture [B, C, F, L] -> features [B, D, F', L']."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> features [B, D, F', L']."""
        net: Any = self.net
        y: Tensor = net.forward_features(picture)
        if y.ndim == 3:  # tokens, those that stand for no place first
            high, wide = net.patch_embed.dynamic_feat_size(tuple(picture.shape[2:]))
            places = y[:, int(net.num_prefix_tokens) :].transpose(1, 2)
            return places.reshape(*places.shape[:2], high, wide)
        return y.movedim(-1, 1) if getattr(net, "output_fmt", "NCHW") == "NHWC" else y


def foreign(
    name: str,
    in_channels: int = 3,
    multiplier: float = 1.0,
    n_classes: int = 0,
    **changes: Any,
) -> Network:
    """The untrained network that timm calls so; its head is ours, as its features are a stem's.

    Args:
        name: with `timm:` before it.
        in_channels: of the picture.
        multiplier: 1; timm's networks have their widths from their names.
        n_classes: of the head; 0 for features.
        changes: none.

    Raises:
        ValueError: no network has that name, the name asks for weights from a hub, or there is
            something to change.
        ImportError: timm is not installed; the text says how to install it.
    """
    wanted = name.removeprefix(PREFIX)
    if ":" in wanted or "/" in wanted or "." in wanted or changes.get("pretrained"):
        bare = wanted.split(":")[-1].split("/")[-1].split(".")[0]
        raise ValueError(
            f"backbone={name!r}: weights of a hub are not fetched: expected the name of an "
            f"architecture, such as 'timm:{bare}'"
        )
    if multiplier != 1 or changes:
        given = ", ".join(f"{key}={value!r}" for key, value in changes.items())
        raise ValueError(
            f"backbone={name!r} with {given or f'multiplier={multiplier}'}: expected its own "
            "widths and values (multiplier=1); choose another name for another size"
        )
    timm = import_module("sepaudio.doors").timm()
    if not timm.is_model(wanted):
        raise ValueError(unknown("network of timm", wanted, sorted(timm.list_models())))
    net = _made(timm, wanted, in_channels)
    if hasattr(net, "conv_head") and net.head_hidden_size != net.num_features:
        net.conv_head = nn.Identity()  # MobileNet v3's, behind the mean that features come before
    if hasattr(getattr(net, "patch_embed", None), "dynamic_img_pad"):
        net.patch_embed.dynamic_img_pad = True  # pictures that are no whole number of patches
    width = int(net.num_features)
    info = getattr(net, "feature_info", None)
    stride = int(info[-1]["reduction"]) if info else 32
    whole = Network(nn.Identity(), [], [width], [stride], head_of(width, n_classes))
    whole.stem = Maps(net)  # put in afterwards: its first weights are timm's
    return whole


def _made(timm: Any, name: str, in_channels: int) -> Any:
    """The network, made for pictures of any size where it can be told to be."""
    for flexible in FLEXIBLE:
        try:
            return timm.create_model(
                name, pretrained=False, in_chans=in_channels, num_classes=0, **flexible
            )
        except TypeError as error:
            if not any(key in str(error) for key in flexible):
                raise
    raise AssertionError("the last needs nothing")
