"""MobileNet v1: a stack of depthwise-separable convolutions.

Source: Howard et al. 2017 (1704.04861), table 1; the width multiplier of section 3.3.
"""

from dataclasses import dataclass

from torch import nn

from ..layers import ConvUnit
from .network import Network, head_of
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class MobileNetV1Cfg:
    """What MobileNet v1 is made of.

    Attributes:
        stem: channels of the first convolution.
        stages: of separable convolutions.
        act: "relu6" as in the authors' code and timm, or "relu" as in the paper's figure.
        full: dense 3x3 convolutions in the place of separable ones, the paper's full-conv twin.
        dropout: before the last layer.
    """

    stem: int = wide(32)
    stages: tuple[StageCfg, ...] = (
        StageCfg(channels=64),
        StageCfg(channels=128, blocks=2, stride=2),
        StageCfg(channels=256, blocks=2, stride=2),
        StageCfg(channels=512, blocks=6, stride=2),
        StageCfg(channels=1024, blocks=2, stride=2),
    )
    act: str = "relu6"
    full: bool = False
    dropout: float = 0.0


@register(
    MobileNetV1Cfg, mobilenet_v1=MobileNetV1Cfg(), mobilenet_v1_full=MobileNetV1Cfg(full=True)
)
def mobilenet_v1(cfg: MobileNetV1Cfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 1024, F / 32, L / 32]."""

    def layer(i: int, o: int, stride: int) -> nn.Module:
        if cfg.full:
            return ConvUnit(i, o, 3, stride, act=cfg.act)
        depthwise = ConvUnit(i, i, 3, stride, groups=i, act=cfg.act)
        return nn.Sequential(depthwise, ConvUnit(i, o, act=cfg.act))

    channels, stages = [cfg.stem], []
    for stage in cfg.stages:
        layers = []
        for n in range(stage.blocks):
            before = stage.channels if n else channels[-1]
            layers.append(layer(before, stage.channels, 1 if n else stage.stride))
        stages.append(nn.Sequential(*layers))
        channels.append(stage.channels)
    strides = [2, *(stage.stride for stage in cfg.stages)]
    stem = ConvUnit(in_channels, cfg.stem, 3, 2, act=cfg.act)
    head = head_of(channels[-1], n_classes, cfg.dropout)
    return Network(stem, stages, channels, strides, head)
