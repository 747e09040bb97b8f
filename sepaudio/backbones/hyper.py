"""Wide residual networks whose 3x3 kernels are all made by one small network.

Source: Ha et al. 2016 (1609.09106), section 4.2, table 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..layers import HyperConv, KernelGenerator
from .network import Network
from .resnet import PLAIN, V2, ResNetCfg, resnet_of, small
from .table import register, wide


@dataclass(frozen=True, kw_only=True)
class HyperCfg:
    """What it is made of.

    Attributes:
        net: the wide residual network; its first convolution, its shortcuts, norms and head stay
            as they are.
        tile: channels in and out that one embedding stands for.
        embedding: numbers of an embedding.
    """

    net: ResNetCfg
    tile: int = wide(16)
    embedding: int = 64


@register(
    HyperCfg,
    hyper_wrn40_1=HyperCfg(net=small(6, 16, **PLAIN, **V2)),
    hyper_wrn40_2=HyperCfg(net=small(6, 32, **PLAIN, **V2)),
)
def hyper(cfg: HyperCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 64, F / 4, L / 4]."""
    generator = KernelGenerator(cfg.tile, cfg.embedding)
    net = resnet_of(cfg.net, in_channels, n_classes, partial(HyperConv, generator))
    net.generator = generator
    return net
