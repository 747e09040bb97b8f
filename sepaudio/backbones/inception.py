"""Inception v1 to v3: modules of parallel convolutions of several sizes.

Sources: Szegedy et al. 2014 (1409.4842), table 1; Ioffe & Szegedy 2015 (1502.03167), figure 5;
Szegedy et al. 2015 (1512.00567), table 1 and figures 5 to 7, 10. The batch-normalised GoogLeNet is
torchvision's, with 3x3 in the place of 5x5.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from ..layers import ConvUnit, WindowMeans
from .graph import graph
from .heads import DenseHead
from .network import LinearHead, Network, head_of
from .steps import Conv, Fork, Norm, Pool, Step, Steps
from .table import register, wide


@dataclass(frozen=True, kw_only=True)
class AuxiliaryCfg:
    """An auxiliary head: means, a 1x1 convolution, another or a dense layer, one linear layer.

    Attributes:
        stages: that it listens to, one head each.
        windows: size of the windows whose means it takes, three apart; 0 for none.
        size: that the pictures are averaged to after that.
        channels: of the 1x1 convolution.
        hidden: of the dense layer, or of the convolution.
        convolves: over the whole size, instead of a dense layer.
        norm: of the convolutions.
        dropout: after the hidden layer.
    """

    stages: tuple[int, ...] = ()
    windows: int = 5
    size: int = 4
    channels: int = wide(128)
    hidden: int = wide(1024)
    convolves: bool = False
    norm: str = "none"
    dropout: float = 0.7

    def make(self, channels: int, n_classes: int) -> nn.Module:
        """The head of features with so many channels."""
        windows = WindowMeans(self.windows, 3, self.size) if self.windows else nn.Identity()
        unit = partial(ConvUnit, norm=self.norm, eps=1e-3)
        first = unit(channels, self.channels)
        if self.convolves:
            second = unit(self.channels, self.hidden, self.size, padding="valid")
            return nn.Sequential(windows, first, second, LinearHead(self.hidden, n_classes))
        head = DenseHead(
            channels,
            (self.size, self.size),
            (self.hidden,),
            n_classes,
            dropout=self.dropout,
            first=first,
            channels_after=self.channels,
        )
        return nn.Sequential(windows, head)


@dataclass(frozen=True, kw_only=True)
class InceptionCfg:
    """What an Inception network is made of.

    Attributes:
        stem: the first steps.
        stages: the others.
        dropout: before the last layer.
        auxiliary: whether there are auxiliary heads, which only training hears.
        heads: what they are made of.
    """

    stem: Steps
    stages: tuple[Steps, ...]
    dropout: float = 0.0
    auxiliary: bool = False
    heads: AuxiliaryCfg = AuxiliaryCfg()


def build(cfg: InceptionCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features, about 1/32 of a side."""
    heard = cfg.heads.stages if cfg.auxiliary and n_classes else ()
    return graph(
        cfg.stem,
        cfg.stages,
        in_channels,
        lambda channels: head_of(channels, n_classes, cfg.dropout),
        {stage: lambda channels: cfg.heads.make(channels, n_classes) for stage in heard},
    )


POOL = Pool("max", 3, 2, ceil=True)


def googlenet(
    conv: partial[Conv], five: int, response: Steps, last: Pool, heads: AuxiliaryCfg
) -> InceptionCfg:
    """GoogLeNet; `five` is the size of its largest convolutions."""

    def module(one: int, *others: int) -> Step:
        before3, three, before5, largest, pooled = others
        return Fork(
            (
                (conv(one),),
                (conv(before3), conv(three, 3)),
                (conv(before5), conv(largest, five)),
                (Pool("max", 3, 1, 1), conv(pooled)),
            )
        )

    return InceptionCfg(
        stem=(conv(64, 7, 2), POOL, *response, conv(64), conv(192, 3), *response, POOL),
        stages=(
            (module(64, 96, 128, 16, 32, 32), module(128, 128, 192, 32, 96, 64)),
            (POOL, module(192, 96, 208, 16, 48, 64)),
            (
                module(160, 112, 224, 24, 64, 64),
                module(128, 128, 256, 24, 64, 64),
                module(112, 144, 288, 32, 64, 64),
            ),
            (module(256, 160, 320, 32, 128, 128),),
            (last, module(256, 160, 320, 32, 128, 128), module(384, 192, 384, 48, 128, 128)),
        ),
        dropout=0.4,
        heads=heads,
    )


def bn_inception() -> InceptionCfg:
    """GoogLeNet with batch norm, two 3x3 for each 5x5, and strided modules between stages."""
    conv = partial(Conv, bias=True)

    def module(one: int, *others: int, pool: str = "mean") -> Fork:
        before3, three, before33, double, pooled = others
        return Fork(
            (
                (conv(one),),
                (conv(before3), conv(three, 3)),
                (conv(before33), conv(double, 3), conv(double, 3)),
                (Pool(pool, 3, 1, 1), conv(pooled)),
            )
        )

    def halving(before3: int, three: int, before33: int, double: int) -> Fork:
        return Fork(
            (
                (conv(before3), conv(three, 3, 2)),
                (conv(before33), conv(double, 3), conv(double, 3, 2)),
                (Pool("same max", 3, 2),),
            )
        )

    return InceptionCfg(
        stem=(conv(64, 7, 2), POOL, conv(64), conv(192, 3), POOL),
        stages=(
            (module(64, 64, 64, 64, 96, 32), module(64, 64, 96, 64, 96, 64)),
            (
                halving(128, 160, 64, 96),
                module(224, 64, 96, 96, 128, 128),
                module(192, 96, 128, 96, 128, 128),
                module(160, 128, 160, 128, 160, 128),
                module(96, 128, 192, 160, 192, 128),
            ),
            (
                halving(128, 192, 192, 256),
                module(352, 192, 320, 160, 224, 128),
                module(352, 192, 320, 192, 224, 128, pool="max"),
            ),
        ),
    )


def inception_v3(auxiliary_norm: str) -> InceptionCfg:
    """Factorised convolutions; without a norm in the auxiliary head it is Inception v2."""
    conv = partial(Conv, eps=1e-3)
    valid = partial(conv, padding="valid")
    mean, halve = Pool("mean", 3, 1, 1), Pool("max", 3, 2)

    def a(pooled: int) -> Fork:
        return Fork(
            (
                (conv(64),),
                (conv(48), conv(64, 5)),
                (conv(64), conv(96, 3), conv(96, 3)),
                (mean, conv(pooled)),
            )
        )

    def c(seven: int) -> Fork:
        row, column = conv(seven, (1, 7)), conv(seven, (7, 1))
        return Fork(
            (
                (conv(192),),
                (conv(seven), row, conv(192, (7, 1))),
                (conv(seven), column, row, column, conv(192, (1, 7))),
                (mean, conv(192)),
            )
        )

    both = Fork(((conv(384, (1, 3)),), (conv(384, (3, 1)),)))
    e = Fork(
        (
            (conv(320),),
            (conv(384), both),
            (conv(448), conv(384, 3), both),
            (mean, conv(192)),
        )
    )
    b = Fork(((valid(384, 3, 2),), (conv(64), conv(96, 3), valid(96, 3, 2)), (halve,)))
    d = Fork(
        (
            (conv(192), valid(320, 3, 2)),
            (conv(192), conv(192, (1, 7)), conv(192, (7, 1)), valid(192, 3, 2)),
            (halve,),
        )
    )
    return InceptionCfg(
        stem=(
            *(valid(32, 3, 2), valid(32, 3), conv(64, 3), halve),
            *(valid(80), valid(192, 3), halve),
        ),
        stages=((a(32), a(64), a(64)), (b, c(128), c(160), c(160), c(192)), (d, e, e)),
        dropout=0.5,
        heads=AuxiliaryCfg(stages=(1,), size=5, hidden=768, convolves=True, norm=auxiliary_norm),
    )


register(
    InceptionCfg,
    googlenet=googlenet(
        partial(Conv, norm="none"), 5, (Norm("response"),), POOL, AuxiliaryCfg(stages=(1, 2))
    ),
    googlenet_bn=googlenet(
        *(partial(Conv, eps=1e-3), 3, (), Pool("max", 2, 2, ceil=True)),
        AuxiliaryCfg(stages=(1, 2), windows=0, norm="batch"),
    ),
    bn_inception=bn_inception(),
    inception_v2=inception_v3("none"),
    inception_v3=inception_v3("batch"),
)(build)
