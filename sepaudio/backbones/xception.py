"""Xception: modules of depthwise-separable convolutions with linear residuals.

Source: Chollet 2016 (1610.02357), figure 5.
"""

from dataclasses import dataclass

from .graph import graph
from .network import Network, head_of
from .steps import Conv, Fork, Pool, Steps
from .table import deep, register, wide


@dataclass(frozen=True, kw_only=True)
class XceptionCfg:
    """What Xception is made of.

    Attributes:
        stem: channels of the first two convolutions.
        entry: channels of the three modules of the entry flow.
        middle: modules of the middle flow.
        exit: channels of the last module and of the two convolutions after it.
        dropout: before the last layer.
    """

    stem: tuple[int, int] = wide((32, 64))
    entry: tuple[int, int, int] = wide((128, 256, 728))
    middle: int = deep(8)
    exit: tuple[int, int, int] = wide((1024, 1536, 2048))
    dropout: float = 0.0


def separable(channels: int, *, before: bool = True, after: bool = False) -> Steps:
    """ReLU before or after, and a separable convolution that has no activation within."""
    depthwise = Conv(
        None, 3, groups=0, norm="none", act="relu" if before else "none", order="act conv norm",
        bias=False,
    )  # fmt: skip
    return depthwise, Conv(channels, act="relu" if after else "none")


def halving(first: int, second: int, *, starts: bool = True) -> Fork:
    """Two separable convolutions and a pool, added to a strided 1x1 convolution."""
    main = (*separable(first, before=starts), *separable(second), Pool("max", 3, 2, 1))
    return Fork(((Conv(second, 1, 2, act="none"),), main), "add")


@register(XceptionCfg, xception=XceptionCfg())
def xception(cfg: XceptionCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 2048, F / 32, L / 32]."""
    a, b, c = cfg.entry
    middle = Fork(((), separable(c) * 3), "add")
    last, *wider = cfg.exit
    return graph(
        (
            Conv(cfg.stem[0], 3, 2, padding="valid"),
            Conv(cfg.stem[1], 3, padding="valid"),
        ),
        [
            (halving(a, a, starts=False),),
            (halving(b, b),),
            (halving(c, c), *(middle,) * cfg.middle),
            (
                halving(c, last),
                *separable(wider[0], before=False, after=True),
                *separable(wider[1], before=False, after=True),
            ),
        ],
        in_channels,
        lambda channels: head_of(channels, n_classes, cfg.dropout),
    )
