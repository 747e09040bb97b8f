"""ResNet in all its forms: v1 and v2, ResNeXt, with excitation, wide, with several branches.

Sources: He et al. 2015 (1512.03385), tables 1 and 6; He et al. 2016 (1603.05027); Xie et al. 2016
(1611.05431), table 1; Hu et al. 2017 (1709.01507), table 1; Zagoruyko & Komodakis 2016
(1605.07146), table 1; Abdi & Nahavandi 2016 (1609.05672); Huang et al. 2016 (1603.09382).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..layers import (
    ORDERINGS,
    ConvUnit,
    DropPath,
    PictureConv,
    SqueezeExcite,
    basic,
    bottleneck,
    drop_rates,
    residual,
)
from ..layers.residual import preceding
from .network import Network, head_of
from .table import StageCfg, divisible, register, wide

EXPANSION = 4  # of the bottleneck


@dataclass(frozen=True, kw_only=True)
class ResNetCfg:
    """What ResNet is made of.

    Attributes:
        stem: channels of the first convolution.
        small: it is 3x3 without stride, as for pictures of 32 x 32; else 7x7 with two halvings.
        stages: `channels` are those before the expansion by four.
        bottleneck: blocks of three convolutions with that expansion; else two 3x3 without.
        groups: of the 3x3 convolutions in bottlenecks; 32 in ResNeXt-50 32x4d.
        group_width: channels of a group in a stage of 64; 64 in ResNet, 4 in ResNeXt-50 32x4d,
            128 in the wide ResNet-50.
        stride_first: see `bottleneck`.
        ordering: a key of ORDERINGS; "full pre-activation" is v2.
        squeeze: by how much the excitation narrows; 0 for no excitation.
        branches: of every block; more than one is MultiResNet.
        dropout: between the convolutions of a block.
        drop_path: share of draws in which the last block is left out, in a line from the first on.
        drop_mode: a mode of `DropPath`; "batch" is the paper's stochastic depth.
    """

    stem: int = wide(64)
    small: bool = False
    stages: tuple[StageCfg, ...] = ()
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    stride_first: bool = False
    ordering: str = "original"
    squeeze: int = 0
    branches: int = 1
    dropout: float = 0.0
    drop_path: float = 0.0
    drop_mode: str = "row"


def stages(*blocks: int, first: int = 64) -> tuple[StageCfg, ...]:
    """Stages of so many blocks, each half the size and twice as wide: (3, 4, 6, 3) is ResNet-50."""
    return tuple(
        StageCfg(channels=first << n, blocks=b, stride=2 if n else 1) for n, b in enumerate(blocks)
    )


def small(blocks: int, first: int = 16, **more: Any) -> ResNetCfg:
    """One for pictures of 32 x 32: three stages of as many blocks each."""
    return ResNetCfg(stem=16, small=True, stages=stages(*[blocks] * 3, first=first), **more)


def large(*blocks: int, **more: Any) -> ResNetCfg:
    """One for pictures of 224 x 224."""
    return ResNetCfg(stages=stages(*blocks), **more)


PLAIN: dict[str, Any] = {"bottleneck": False}
V2: dict[str, Any] = {"ordering": "full pre-activation"}


@register(
    ResNetCfg,
    resnet18=large(2, 2, 2, 2, **PLAIN),
    resnet34=large(3, 4, 6, 3, **PLAIN),
    resnet50=large(3, 4, 6, 3),
    resnet101=large(3, 4, 23, 3),
    resnet152=large(3, 8, 36, 3),
    resnet20=small(3, **PLAIN),
    resnet56=small(9, **PLAIN),
    resnet110=small(18, **PLAIN),
    resnetv2_18=large(2, 2, 2, 2, **PLAIN, **V2),
    resnetv2_34=large(3, 4, 6, 3, **PLAIN, **V2),
    resnetv2_50=large(3, 4, 6, 3, **V2),
    resnetv2_101=large(3, 4, 23, 3, **V2),
    resnetv2_152=large(3, 8, 36, 3, **V2),
    resnetv2_110=small(18, **PLAIN, **V2),
    resnetv2_164=small(18, **V2),
    resnext50_32x4d=large(3, 4, 6, 3, groups=32, group_width=4),
    resnext101_32x4d=large(3, 4, 23, 3, groups=32, group_width=4),
    resnext101_32x8d=large(3, 4, 23, 3, groups=32, group_width=8),
    resnext101_64x4d=large(3, 4, 23, 3, groups=64, group_width=4),
    resnext29_16x64d=ResNetCfg(small=True, stages=stages(3, 3, 3), groups=16, group_width=64),
    seresnet50=large(3, 4, 6, 3, squeeze=16),
    seresnet152=large(3, 8, 36, 3, squeeze=16),
    seresnext50_32x4d=large(3, 4, 6, 3, groups=32, group_width=4, squeeze=16),
    seresnext101_32x4d=large(3, 4, 23, 3, groups=32, group_width=4, squeeze=16),
    wide_resnet50_2=large(3, 4, 6, 3, group_width=128),
    wide_resnet101_2=large(3, 4, 23, 3, group_width=128),
    wrn16_8=small(2, 128, **PLAIN, **V2),
    wrn16_10=small(2, 160, **PLAIN, **V2),
    wrn28_10=small(4, 160, **PLAIN, **V2),
    wrn40_1=small(6, 16, **PLAIN, **V2),
    wrn40_2=small(6, 32, **PLAIN, **V2),
    wrn40_10=small(6, 160, **PLAIN, **V2),
    multiresnet26_2_10=small(4, 160, branches=2, **PLAIN, **V2),
    multiresnet26_4_10=small(4, 160, branches=4, **PLAIN, **V2),
    multiresnet200_5=small(22, branches=5, **V2),
    multiresnet398_5=small(44, branches=5, **V2),
)
def resnet(cfg: ResNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 2048, F / 32, L / 32], or [B, 64, F / 4, L / 4] for small ones."""
    return resnet_of(cfg, in_channels, n_classes, PictureConv)


def resnet_of(
    cfg: ResNetCfg, in_channels: int, n_classes: int, conv: Callable[..., nn.Module]
) -> Network:
    """The same of other convolutions: `conv` makes those of the branches."""
    before = ORDERINGS[cfg.ordering][0]
    norm, act = ("none", "none") if "norm" in before else ("batch", "relu")
    kernel, stride = (3, 1) if cfg.small else (7, 2)
    unit = ConvUnit(in_channels, cfg.stem, kernel, stride, norm=norm, act=act, bias=False)
    stem = OrderedDict[str, nn.Module](unit=unit)
    if not cfg.small:
        stem["pool"] = nn.MaxPool2d(3, 2, 1)
    rates = iter(drop_rates(cfg.drop_path, sum(stage.blocks for stage in cfg.stages)))
    channels, made = [cfg.stem], []
    for stage in cfg.stages:
        out = stage.channels * (EXPANSION if cfg.bottleneck else 1)
        inner = max(1, stage.channels * cfg.group_width // 64) * cfg.groups
        blocks = nn.Sequential()
        for n in range(stage.blocks):
            stride = 1 if n else stage.stride
            convs = basic(out, stride)
            if cfg.bottleneck:
                convs = bottleneck(inner, out, stride, cfg.groups, cfg.stride_first)
            squeeze = SqueezeExcite(out, divisible(out / cfg.squeeze)) if cfg.squeeze else None
            drop = DropPath(next(rates), cfg.drop_mode)
            blocks.append(
                residual(
                    out if n else channels[-1],
                    convs,
                    cfg.ordering,
                    squeeze=squeeze,
                    dropout=cfg.dropout,
                    drop=drop,
                    branches=cfg.branches,
                    conv=conv,
                )
            )
        made.append(blocks)
        channels.append(out)
    if before:  # what would have come before another block
        made[-1].append(preceding(before, channels[-1]))
    strides = [1 if cfg.small else 4, *(stage.stride for stage in cfg.stages)]
    return Network(nn.Sequential(stem), made, channels, strides, head_of(channels[-1], n_classes))
