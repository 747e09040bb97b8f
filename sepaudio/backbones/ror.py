"""Residual networks of residual networks: shortcuts over blocks, over stages, and over all of them.

Source: Zhang et al. 2016 (1608.02908), figure 2, RoR-3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..layers import ConvUnit, Residual, basic, residual
from .network import Network, head_of
from .resnet import stages
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class RoRCfg:
    """What it is made of.

    Attributes:
        stem: channels of the first convolution.
        groups: what a middle shortcut goes over, of two 3x3 convolutions a block.
    """

    stem: int = wide(16)
    groups: tuple[StageCfg, ...] = ()


@register(
    RoRCfg,
    ror3_56=RoRCfg(groups=stages(8, 8, 8, first=16)),
    ror3_110=RoRCfg(groups=stages(17, 17, 17, first=16)),
)
def ror(cfg: RoRCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 64, F / 4, L / 4]; all is one stage, as a shortcut goes over it."""

    def over(layers: nn.Sequential, i: int, o: int, stride: int) -> Residual:
        """The layers and a shortcut of weights."""
        return Residual(layers, ConvUnit(i, o, 1, stride, act="none"), after=nn.ReLU())

    whole, channels, total = nn.Sequential(), cfg.stem, 1
    for group in cfg.groups:
        blocks = [
            residual(
                group.channels if n else channels, basic(group.channels, 1 if n else group.stride)
            )
            for n in range(group.blocks)
        ]
        blocks[-1].after = nn.Identity()  # that of the group follows
        whole.append(over(nn.Sequential(*blocks), channels, group.channels, group.stride))
        channels, total = group.channels, total * group.stride
    stage = over(whole, cfg.stem, channels, total)
    stem = ConvUnit(in_channels, cfg.stem, 3)
    return Network(stem, [stage], [cfg.stem, channels], [1, total], head_of(channels, n_classes))
