"""ShuffleNet v1 (1x1 convolutions in groups), v2 (split channels) and ThunderNet's trunks, SNet.

Sources: Zhang et al. 2017 (1707.01083), table 1; Ma et al. 2018 (1807.11164), table 5; Qin et al.
2019 (1903.11752), table 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..layers import ConvUnit, GroupShuffleUnit, SplitShuffleUnit
from .network import Network, head_of
from .table import StageCfg, register, wide

Stages = tuple[StageCfg, ...]
Unit = Callable[[int, int, int], nn.Module]  # channels in, channels out, stride -> unit


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Cfg:
    """What ShuffleNet v1 is made of.

    Attributes:
        stem: channels of the first convolution.
        stages: widths that 4 * groups does not divide are rounded up.
        groups: of the 1x1 convolutions; the very first one has a single group.
        shuffles: see `GroupShuffleUnit`.
    """

    stem: int = wide(24)
    stages: Stages = ()
    groups: int = 3
    shuffles: bool = True


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Cfg:
    """What ShuffleNet v2 and SNet are made of.

    Attributes:
        stem: channels of the first convolution.
        stages: as in the paper.
        last: channels of the 1x1 convolution behind them; 0 for none.
        kernel: of the depthwise convolutions.
    """

    stem: int = wide(24)
    stages: Stages = ()
    last: int = wide(1024)
    kernel: int = 3


def stages(first: int, second: int, third: int) -> Stages:
    """The stages 2, 3 and 4 of all these networks: 4, 8 and 4 units."""
    pairs = zip((first, second, third), (4, 8, 4), strict=True)
    return tuple(StageCfg(channels=c, blocks=n, stride=2) for c, n in pairs)


def v1(groups: int, width: int) -> ShuffleNetV1Cfg:
    """A column of table 1: `width` channels after stage 2."""
    return ShuffleNetV1Cfg(stages=stages(width, 2 * width, 4 * width), groups=groups)


def v2(*widths: int, **more: int) -> ShuffleNetV2Cfg:
    """Channels after stages 2, 3 and 4."""
    return ShuffleNetV2Cfg(stages=stages(*widths), **more)


def snet(*widths: int, **more: int) -> ShuffleNetV2Cfg:
    """The same with wider kernels, which see more of a picture."""
    return v2(*widths, kernel=5, **more)


@register(
    ShuffleNetV1Cfg,
    shufflenet_v1_g1=v1(1, 144),
    shufflenet_v1_g2=v1(2, 200),
    shufflenet_v1_g3=v1(3, 240),
    shufflenet_v1_g4=v1(4, 272),
    shufflenet_v1_g8=v1(8, 384),
)
def shufflenet_v1(cfg: ShuffleNetV1Cfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 4 * width, F / 32, L / 32]."""
    stem = _up(cfg.stem, cfg.groups)

    def unit(i: int, o: int, stride: int) -> nn.Module:
        first = 1 if i == stem else cfg.groups
        return GroupShuffleUnit(
            i, o, stride, groups=cfg.groups, first_groups=first, shuffles=cfg.shuffles
        )

    widths = [_up(stage.channels, 4 * cfg.groups) for stage in cfg.stages]
    return _network(in_channels, stem, cfg.stages, widths, unit, 0, n_classes)


@register(
    ShuffleNetV2Cfg,
    shufflenet_v2_x0_5=v2(48, 96, 192),
    shufflenet_v2_x1_0=v2(116, 232, 464),
    shufflenet_v2_x1_5=v2(176, 352, 704),
    shufflenet_v2_x2_0=v2(244, 488, 976, last=2048),
    snet49=snet(60, 120, 240, last=512),
    snet146=snet(132, 264, 528, last=0),
    snet535=snet(248, 496, 992, stem=48, last=0),
)
def shufflenet_v2(cfg: ShuffleNetV2Cfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, last, F / 32, L / 32]."""

    def unit(i: int, o: int, stride: int) -> nn.Module:
        return SplitShuffleUnit(i, o, stride, kernel_size=cfg.kernel)

    widths = [stage.channels for stage in cfg.stages]
    return _network(in_channels, cfg.stem, cfg.stages, widths, unit, cfg.last, n_classes)


def _up(channels: int, by: int) -> int:
    return -(-channels // by) * by


def _network(
    in_channels: int,
    stem: int,
    stages: Stages,
    widths: list[int],
    unit: Unit,
    last: int,
    n_classes: int,
) -> Network:
    """The shell of both: a convolution, a pool, stages of units, perhaps a last convolution."""
    channels, made = [stem], []
    for stage, width in zip(stages, widths, strict=True):
        units = [
            unit(width if n else channels[-1], width, 1 if n else stage.stride)
            for n in range(stage.blocks)
        ]
        made.append(nn.Sequential(*units))
        channels.append(width)
    strides = [4, *(stage.stride for stage in stages)]
    if last:
        made.append(nn.Sequential(ConvUnit(channels[-1], last)))
        channels.append(last)
        strides.append(1)
    first = nn.Sequential(ConvUnit(in_channels, stem, 3, 2), nn.MaxPool2d(3, 2, 1))
    return Network(first, made, channels, strides, head_of(channels[-1], n_classes))
