"""LeNet-5, AlexNet, VGG: convolutions and pools, then dense layers over all that is left.

Sources: LeCun et al. 1998, figure 2; Krizhevsky et al. 2012, section 3; Krizhevsky 2014
(1404.5997) for the single tower; Simonyan & Zisserman 2014 (1409.1556), table 1.

Differs: a picture of any size is taken; its features are averaged to the size that the dense
layers were made for.
"""

from dataclasses import dataclass
from functools import partial

from .graph import graph
from .heads import DenseHead
from .network import Network
from .steps import Conv, Norm, Pad, Pool, Steps
from .table import register, wide

Plain = partial(Conv, norm="none")


@dataclass(frozen=True, kw_only=True)
class ClassicCfg:
    """What a network with dense layers is made of.

    Attributes:
        stem: the first steps.
        stages: the others.
        size: (F, L) of the features that the dense layers expect.
        hidden: units of the dense layers before the last.
        act: their activation.
        dropout: after each of them.
    """

    stem: Steps
    stages: tuple[Steps, ...]
    size: tuple[int, int]
    hidden: tuple[int, ...] = wide((4096, 4096))
    act: str = "relu"
    dropout: float = 0.5


def alexnet(widths: tuple[int, ...], groups: int, response: bool) -> ClassicCfg:
    """AlexNet: five convolutions, with or without groups and response normalisation."""
    pool, norm = Pool("max", 3, 2), (Norm("response"),) if response else ()
    a, b, c, d, e = widths
    return ClassicCfg(
        stem=(Pad(2), Plain(a, 11, 4, padding="valid"), *norm, pool),
        stages=(
            (Plain(b, 5, groups=groups), *norm, pool),
            (Plain(c, 3), Plain(d, 3, groups=groups), Plain(e, 3, groups=groups), pool),
        ),
        size=(6, 6),
    )


def vgg(*convolutions: int, norm: str = "none", third: int = 3) -> ClassicCfg:
    """VGG with so many convolutions in each of five stages; `third`: kernel of each third one."""
    stages = list[Steps]()
    for width, n in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        kernels = (3, 3, third, 3)[:n]
        convs = [Conv(width, k, norm=norm, bias=True) for k in kernels]
        stages.append((*convs, Pool("max", 2, 2)))
    return ClassicCfg(stem=stages[0], stages=tuple(stages[1:]), size=(7, 7))


SINGLE = (64, 192, 384, 256, 256)
DOUBLE = (96, 256, 384, 384, 256)
DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


@register(
    ClassicCfg,
    lenet5=ClassicCfg(
        stem=(Plain(6, 5, act="tanh", padding="valid"), Pool("mean", 2, 2)),
        stages=((Plain(16, 5, act="tanh", padding="valid"), Pool("mean", 2, 2)),),
        size=(5, 5),
        hidden=(120, 84),
        act="tanh",
        dropout=0.0,
    ),
    alexnet=alexnet(SINGLE, 1, False),
    alexnet_response=alexnet(DOUBLE, 1, True),
    alexnet_response_grouped=alexnet(DOUBLE, 2, True),
    vgg16_c=vgg(2, 2, 3, 3, 3, third=1),
    **{name: vgg(*depths) for name, depths in DEPTHS.items()},
    **{f"{name}_bn": vgg(*depths, norm="batch") for name, depths in DEPTHS.items()},
)
def classic(cfg: ClassicCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features: LeNet [B, 16, F / 4, L / 4], AlexNet and VGG 1/32 of a side."""

    def head(channels: int) -> DenseHead | None:
        if not n_classes:
            return None
        return DenseHead(
            channels, cfg.size, cfg.hidden, n_classes, act=cfg.act, dropout=cfg.dropout
        )

    return graph(cfg.stem, cfg.stages, in_channels, head)
