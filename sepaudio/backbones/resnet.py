"""ResNet and ResNeXt of bottleneck blocks.

Sources: He et al. 2015 (1512.03385), table 1; Xie et al. 2016 (1611.05431), table 1.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from ..layers import Bottleneck, ConvUnit
from .network import Network, head_of
from .table import StageCfg, register, wide

EXPANSION = 4


@dataclass(frozen=True, kw_only=True)
class ResNetCfg:
    """What ResNet is made of.

    Attributes:
        stem: channels of the first convolution.
        stages: `channels` are those before the expansion by four.
        groups: of the 3x3 convolutions; 32 in ResNeXt-50 32x4d.
        group_width: channels of a group in a stage of 64; 64 in ResNet, 4 in ResNeXt-50 32x4d.
        stride_first: see `Bottleneck`.
    """

    stem: int = wide(64)
    stages: tuple[StageCfg, ...] = ()
    groups: int = 1
    group_width: int = 64
    stride_first: bool = False


def stages(*blocks: int) -> tuple[StageCfg, ...]:
    """The four stages of a ResNet with so many blocks: (3, 4, 6, 3) is ResNet-50."""
    pairs = zip((64, 128, 256, 512), blocks, (1, 2, 2, 2), strict=True)
    return tuple(StageCfg(channels=c, blocks=n, stride=s) for c, n, s in pairs)


@register(
    ResNetCfg,
    resnet50=ResNetCfg(stages=stages(3, 4, 6, 3)),
    resnet101=ResNetCfg(stages=stages(3, 4, 23, 3)),
    resnext50_32x4d=ResNetCfg(stages=stages(3, 4, 6, 3), groups=32, group_width=4),
)
def resnet(cfg: ResNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 2048, F / 32, L / 32]."""
    stem = nn.Sequential(
        OrderedDict(
            unit=ConvUnit(in_channels, cfg.stem, 7, 2),
            pool=nn.MaxPool2d(3, 2, 1),
        )
    )
    channels, made = [cfg.stem], []
    for stage in cfg.stages:
        inner = max(1, stage.channels * cfg.group_width // 64) * cfg.groups
        wide = EXPANSION * stage.channels
        blocks = [
            Bottleneck(
                wide if n else channels[-1],
                inner,
                wide,
                1 if n else stage.stride,
                groups=cfg.groups,
                stride_first=cfg.stride_first,
            )
            for n in range(stage.blocks)
        ]
        made.append(nn.Sequential(*blocks))
        channels.append(wide)
    strides = [4, *(stage.stride for stage in cfg.stages)]
    return Network(stem, made, channels, strides, head_of(channels[-1], n_classes))
