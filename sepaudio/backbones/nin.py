"""Network in Network, All-CNN, Tiny DarkNet: convolutions and 1x1 convolutions, no dense layer.

Sources: Lin et al. 2013 (1312.4400), section 4.1; Springenberg et al. 2014 (1412.6806), table 2;
the Tiny DarkNet of Redmon's release.
"""

from dataclasses import dataclass
from functools import partial

from .graph import graph
from .heads import MapHead
from .network import Network
from .steps import Conv, Dropout, Pool, Steps
from .table import register


@dataclass(frozen=True, kw_only=True)
class MapCfg:
    """What a network is made of whose last layer has one map per class.

    Attributes:
        stem: the first steps.
        stages: the others.
        act: of the maps.
    """

    stem: Steps
    stages: tuple[Steps, ...]
    act: str = "relu"


_Plain = partial(Conv, norm="none")


def mlp_conv(kernel: int, *widths: int) -> Steps:
    """A convolution and 1x1 convolutions: a small network over every place of the picture."""
    first, *others = widths
    return (_Plain(first, kernel), *(_Plain(w) for w in others))


_Dark = partial(Conv, act="leaky_relu_tenth")
_HALVE = Pool("max", 2, 2)


def dark(squeeze: int, expand: int) -> Steps:
    """1x1 to few channels, 3x3 to many, twice, and half the size first."""
    return (_HALVE, *(_Dark(squeeze), _Dark(expand, 3)) * 2)


@register(
    MapCfg,
    nin=MapCfg(
        stem=mlp_conv(5, 192, 160, 96),
        stages=(
            (Pool("max", 3, 2, 1), Dropout(0.5), *mlp_conv(5, 192, 192, 192)),
            (Pool("mean", 3, 2, 1), Dropout(0.5), *mlp_conv(3, 192, 192)),
        ),
    ),
    all_cnn_c=MapCfg(
        stem=(_Plain(96, 3), _Plain(96, 3), _Plain(96, 3, 2)),
        stages=(
            (_Plain(192, 3), _Plain(192, 3), _Plain(192, 3, 2)),
            (_Plain(192, 3, padding="valid"), _Plain(192)),
        ),
    ),
    darknet_tiny=MapCfg(
        stem=(_Dark(16, 3), _HALVE, _Dark(32, 3)),
        stages=(dark(16, 128), dark(32, 256), (*dark(64, 512), _Dark(128))),
        act="none",
    ),
)
def nin(cfg: MapCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features: F / 4 and L / 4 of 192 channels; Tiny DarkNet F / 16, L / 16 of 128."""
    return graph(
        cfg.stem,
        cfg.stages,
        in_channels,
        lambda channels: MapHead(channels, n_classes, act=cfg.act) if n_classes else None,
    )
