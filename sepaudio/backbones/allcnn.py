"""All-CNN-C: nine convolutions and nothing else; strides where others pool.

Source: Springenberg et al. 2014 (1412.6806), table 1.
"""

from dataclasses import dataclass

from torch import nn

from ..layers import ConvUnit
from .network import Network, head_of
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class AllCNNCfg:
    """What All-CNN-C is made of.

    Attributes:
        stages: of 3x3 convolutions, the last of which takes the stride.
        last: channels of the 3x3 and the 1x1 convolution behind them.
        dropout: of the picture, and half as much again after each stage.
    """

    stages: tuple[StageCfg, ...] = (
        StageCfg(channels=96, blocks=3, stride=2),
        StageCfg(channels=192, blocks=3, stride=2),
    )
    last: int = wide(192)
    dropout: float = 0.2


@register(AllCNNCfg, all_cnn_c=AllCNNCfg())
def all_cnn(cfg: AllCNNCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 192, F / 4, L / 4]; made for pictures of 32x32.

    The paper's 1x1 convolution to the classes, whose maps it averages, is the linear layer of the
    head, which sees the mean: without the activation between, they are the same.
    """

    def conv(i: int, o: int, kernel: int = 3, stride: int = 1) -> ConvUnit:
        return ConvUnit(i, o, kernel, stride, norm="none")

    channels, stages = [in_channels], []
    for stage in cfg.stages:
        layers: list[nn.Module] = [
            conv(
                stage.channels if n else channels[-1],
                stage.channels,
                stride=stage.stride if n == stage.blocks - 1 else 1,
            )
            for n in range(stage.blocks)
        ]
        stages.append(nn.Sequential(*layers, nn.Dropout(0.5)))
        channels.append(stage.channels)
    stages.append(nn.Sequential(conv(channels[-1], cfg.last), conv(cfg.last, cfg.last, 1)))
    strides = [1, *(stage.stride for stage in cfg.stages), 1]
    stem = nn.Dropout(cfg.dropout)
    head = head_of(cfg.last, n_classes)
    return Network(stem, stages, [*channels, cfg.last], strides, head)
