"""A small trunk of inverted residuals in the form of MobileNet v3, in four stages as ResNet's.

Source: Howard et al. 2019 (1905.02244), section 5, whose rules it follows: ReLU where maps are
large, h-swish and squeeze-and-excitation where they are small.
"""

from dataclasses import dataclass

from torch import nn

from ..layers import ConvUnit, InvertedResidual
from .network import Network, head_of
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class InvertedStageCfg(StageCfg):
    """A stage of inverted residuals.

    Attributes:
        kernel: of the depthwise convolutions.
        first: hidden channels of the first block.
        other: hidden channels of the other blocks.
        squeeze: inner channels of the squeeze-and-excitation; 0 for none.
        act: of the activations.
    """

    kernel: int = 3
    first: int = wide()
    other: int = wide()
    squeeze: int = wide(0)
    act: str = "relu"


_LATE = "hard_swish"


@dataclass(frozen=True, kw_only=True)
class SeparableCfg:
    """What the trunk is made of.

    Attributes:
        first: channels of the first convolution.
        stem_hidden: of the stem's inverted residual.
        stem: channels after it.
        stages: see `InvertedStageCfg`.
    """

    first: int = wide(16)
    stem_hidden: int = wide(48)
    stem: int = wide(24)
    stages: tuple[InvertedStageCfg, ...] = (
        InvertedStageCfg(channels=24, blocks=2, first=72, other=72),
        InvertedStageCfg(
            channels=48, blocks=3, stride=2, kernel=5, first=96, other=144, squeeze=16, act=_LATE
        ),
        InvertedStageCfg(
            channels=96, blocks=4, stride=2, first=288, other=288, squeeze=24, act=_LATE
        ),
        InvertedStageCfg(
            channels=160, blocks=3, stride=2, kernel=5, first=480, other=480, squeeze=32, act=_LATE
        ),
    )


@register(SeparableCfg, separable=SeparableCfg())
def separable(cfg: SeparableCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 160, F / 32, L / 32].

    916,784 parameters, so that a million holds it with ESResNet's attention and 50 classes;
    461 million multiply-adds for a picture of 3x341x394.
    """
    stem = nn.Sequential(
        ConvUnit(in_channels, cfg.first, 3, 2, act=_LATE),
        InvertedResidual(cfg.first, cfg.stem_hidden, cfg.stem, 3, 2, act="relu"),
    )
    channels, stages = [cfg.stem], []
    for stage in cfg.stages:
        blocks = [
            InvertedResidual(
                stage.channels if n else channels[-1],
                stage.other if n else stage.first,
                stage.channels,
                stage.kernel,
                1 if n else stage.stride,
                act=stage.act,
                squeeze=stage.squeeze,
            )
            for n in range(stage.blocks)
        ]
        stages.append(nn.Sequential(*blocks))
        channels.append(stage.channels)
    strides = [4, *(stage.stride for stage in cfg.stages)]
    return Network(stem, stages, channels, strides, head_of(channels[-1], n_classes))
