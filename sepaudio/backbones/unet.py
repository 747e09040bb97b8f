"""U-Net: down to coarse maps, up again, and at every level what was there on the way down.

Features have the size of the picture: a map per class is `net.head.maps(net.features(picture))`,
of which the logits are the means.

Source: Ronneberger et al. 2015 (1505.04597), figure 1; its convolutions are padded here, so that
nothing has to be cut off, and normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from ..layers import Around, basic, doubling, residual
from .graph import graph
from .heads import MapHead
from .network import Network
from .steps import Conv, Layer, Pool, Steps, least, sequence
from .table import deep, register, wide

BLOCKS = ("plain", "residual", "separable")
UPS = ("transposed", "bilinear")


@dataclass(frozen=True, kw_only=True)
class UNetCfg:
    """What U-Net is made of.

    Attributes:
        widths: channels of every level, from that of the picture to the coarsest.
        convolutions: 3x3, at every level on each way.
        block: what they are: "plain"; "residual", two with a shortcut; "separable", a depthwise
            and a 1x1 for each.
        up: how maps double: "transposed", a learned 2x2 that halves the channels, as in the paper;
            "bilinear", for which the convolutions before it narrow.
        norm: a key of PICTURE_NORMS; "none" in the paper.
        act: a key of ACTIVATIONS.
        bias: of the convolutions.
    """

    widths: tuple[int, ...] = wide((64, 128, 256, 512, 1024))
    convolutions: int = deep(2)
    block: str = "plain"
    up: str = "transposed"
    norm: str = "batch"
    act: str = "relu"
    bias: bool = True

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise ValueError(f"block={self.block!r}: expected one of {', '.join(BLOCKS)}")
        if self.up not in UPS:
            raise ValueError(f"up={self.up!r}: expected one of {', '.join(UPS)}")
        if not self.widths:
            raise ValueError("widths=(): expected the channels of one level at least")


@dataclass(frozen=True)
class Deeper:
    """`Around` steps that begin with a pool, as a step."""

    inner: Steps

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        layer, out = sequence(self.inner, channels)
        return Around(layer), out + channels

    def stride(self) -> int:
        """See `Step`."""
        return 1

    def least(self, places: int, axis: int) -> int:
        """See `Step`."""
        return max(places, least(self.inner, 1, axis))


def block(cfg: UNetCfg, channels: int) -> Steps:
    """The convolutions of a level on one way."""
    if cfg.block == "residual":

        def pair(i: int) -> nn.Module:
            return residual(i, basic(channels), norm=cfg.norm, act=cfg.act)

        return (Layer(pair, channels),) * -(-cfg.convolutions // 2)
    conv = partial(Conv, norm=cfg.norm, act=cfg.act)
    one: Steps = (conv(channels, 3, bias=cfg.bias),)
    if cfg.block == "separable":
        one = (conv(kernel=3, groups=0), conv(channels, bias=cfg.bias))
    return one * cfg.convolutions


def deeper(cfg: UNetCfg, level: int) -> Steps:
    """All that lies below a level, and the convolutions on the way up from there."""
    if level + 1 == len(cfg.widths):
        return ()
    here, below = cfg.widths[level], cfg.widths[level + 1]
    inner = (Pool("max", 2, 2), *block(cfg, below), *deeper(cfg, level + 1))
    if cfg.up == "transposed":
        inner = (*inner, Layer(partial(doubling, out_channels=here), here))
    out = here if cfg.up == "transposed" or not level else cfg.widths[level - 1]
    return Deeper(inner), *block(cfg, out)


@register(
    UNetCfg,
    unet=UNetCfg(),
    unet_bilinear=UNetCfg(widths=(64, 128, 256, 512, 512), up="bilinear"),
    unet_separable=UNetCfg(widths=(16, 32, 64, 128, 256), block="separable", bias=False),
    unet_residual=UNetCfg(widths=(32, 64, 128, 256, 512), block="residual"),
)
def unet(cfg: UNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, widths[0], F, L]."""
    below = deeper(cfg, 0)

    def head(channels: int) -> nn.Module | None:
        return MapHead(channels, n_classes, act="none") if n_classes else None

    stages = (below[:1], below[1:]) if below else ()
    return graph(block(cfg, cfg.widths[0]), stages, in_channels, head)
