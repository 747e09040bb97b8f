"""CSPNet: ResNet, ResNeXt and DarkNet of which each stage works on half of its channels.

Source: Wang et al. 2019 (1911.11929); the layout is that of the authors' published networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from torch import nn

from ..layers import Conv, ConvUnit, CrossStage, Residual, bottleneck, residual
from .network import Network, head_of
from .table import StageCfg, register, wide

ACT = "leaky_relu"


@dataclass(frozen=True, kw_only=True)
class CSPStageCfg(StageCfg):
    """A stage.

    Attributes:
        widened: channels that are halved between the blocks and the way past them; 0 for a stage
            whose blocks see all channels.
        inner: of a block.
    """

    widened: int = wide(0)
    inner: int = wide()


@dataclass(frozen=True, kw_only=True)
class CSPCfg:
    """What CSPNet is made of.

    Attributes:
        stem: channels of the first convolution.
        pooled: it is 7x7 with two halvings; else 3x3 without.
        stages: see `CSPStageCfg`.
        groups: of the 3x3 convolutions of bottlenecks and before the stages.
        dark: DarkNet's blocks, 1x1 and 3x3; else bottlenecks.
        grows: the 3x3 convolution before a stage changes the channels.
        linear: no activation before the halving.
    """

    stem: int = wide(64)
    pooled: bool = True
    stages: tuple[CSPStageCfg, ...] = ()
    groups: int = 1
    dark: bool = False
    grows: bool = False
    linear: bool = True


def stages(
    blocks: Sequence[int],
    channels: Sequence[int],
    widened: Sequence[int],
    inner: Sequence[int],
    first_stride: int = 1,
) -> tuple[CSPStageCfg, ...]:
    """All but the first with stride 2."""
    return tuple(
        CSPStageCfg(channels=c, blocks=b, stride=2 if n else first_stride, widened=w, inner=i)
        for n, (b, c, w, i) in enumerate(zip(blocks, channels, widened, inner, strict=True))
    )


WIDE, DARK = (256, 512, 1024, 2048), (64, 128, 256, 512, 1024)


@register(
    CSPCfg,
    cspresnet50=CSPCfg(
        stages=stages((3, 3, 5, 2), (128, 256, 512, 1024), WIDE, (64, 128, 256, 512)),
    ),
    cspresnext50=CSPCfg(
        stages=stages((3, 3, 5, 2), WIDE, WIDE, (128, 256, 512, 1024)),
        groups=32,
    ),
    cspdarknet53=CSPCfg(
        stem=32,
        pooled=False,
        stages=stages(
            (1, 2, 8, 8, 4), DARK, (128, 128, 256, 512, 1024), (32, 64, 128, 256, 512), 2
        ),
        dark=True,
        grows=True,
        linear=False,
    ),
    darknet53=CSPCfg(
        stem=32,
        pooled=False,
        stages=stages((1, 2, 8, 8, 4), DARK, (0,) * 5, (32, 64, 128, 256, 512), 2),
        dark=True,
        grows=True,
    ),
)
def csp(cfg: CSPCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 1024, F / 32, L / 32], or [B, 2048, F / 32, L / 32]."""

    def block(channels: int, inner: int) -> Residual:
        if cfg.dark:
            pair = Conv(inner), Conv(channels, 3)
            return residual(channels, pair, "act before addition", act=ACT)
        groups = gcd(cfg.groups, inner)  # narrow ones have fewer
        return residual(channels, bottleneck(inner, channels, 1, groups), act=ACT)

    kernel, stride = (7, 2) if cfg.pooled else (3, 1)
    stem = nn.Sequential(ConvUnit(in_channels, cfg.stem, kernel, stride, act=ACT))
    if cfg.pooled:
        stem.append(nn.MaxPool2d(3, 2, 1))
    channels, made = [cfg.stem], list[nn.Sequential]()
    for stage in cfg.stages:
        layers, i, o = nn.Sequential(), channels[-1], stage.channels
        if stage.stride > 1:
            after = o if cfg.grows else i
            groups = gcd(cfg.groups, i, after)
            layers.append(ConvUnit(i, after, 3, stage.stride, groups=groups, act=ACT))
            i = after
        half = stage.widened // 2 or i
        blocks = nn.Sequential(*(block(half, stage.inner) for _ in range(stage.blocks)))
        if stage.widened:
            widen = ConvUnit(i, 2 * half, act="none" if cfg.linear else ACT)
            blocks.append(ConvUnit(half, half, act=ACT))
            layers.append(CrossStage(widen, blocks, ConvUnit(2 * half, o, act=ACT)))
        else:
            layers.append(blocks)
        made.append(layers)
        channels.append(o)
    strides = [4 if cfg.pooled else 1, *(stage.stride for stage in cfg.stages)]
    return Network(stem, made, channels, strides, head_of(channels[-1], n_classes))
