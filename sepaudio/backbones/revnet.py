"""RevNet and i-RevNet: residual networks that can be run backwards.

Sources: Gomez et al. 2017 (1707.04585), table 1 and the authors' configurations; Jacobsen et al.
2018 (1802.07088), table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import Conv, ConvUnit, PadShortcut, Reversible, basic, bottleneck
from ..layers.residual import branch_of, preceding
from .network import Network, head_of
from .resnet import EXPANSION
from .table import StageCfg, register, wide

V2 = "full pre-activation"


def _function(channels: int, convs: tuple[Conv, ...], bare: bool = False) -> nn.Sequential:
    """A pre-activation branch of one half; a bare one has no norm and activation before it."""
    before = preceding("" if bare else "norm act", channels)
    return nn.Sequential(before, *branch_of(channels, convs, V2))


@dataclass(frozen=True, kw_only=True)
class RevNetCfg:
    """What RevNet is made of.

    Attributes:
        stem: channels of the first convolution.
        small: see `ResNetCfg`.
        stages: `channels` are those of both halves, before the bottleneck's expansion by four.
        bottleneck: blocks of three convolutions; else two 3x3.
        stored: see `Reversible`.
    """

    stem: int = wide(32)
    small: bool = True
    stages: tuple[StageCfg, ...] = ()
    bottleneck: bool = False
    stored: bool = False


def stages(channels: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[StageCfg, ...]:
    """All but the first with stride 2."""
    pairs = enumerate(zip(channels, blocks, strict=True))
    return tuple(StageCfg(channels=c, blocks=b, stride=2 if n else 1) for n, (c, b) in pairs)


def large(*blocks: int) -> RevNetCfg:
    """One for pictures of 224 x 224."""
    widths = (128, 256, 512, 832)
    return RevNetCfg(stem=128, small=False, stages=stages(widths, blocks), bottleneck=True)


@register(
    RevNetCfg,
    revnet38=RevNetCfg(stages=stages((32, 64, 112), (3, 3, 3))),
    revnet110=RevNetCfg(stages=stages((32, 64, 128), (9, 9, 9))),
    revnet164=RevNetCfg(stages=stages((32, 64, 128), (9, 9, 9)), bottleneck=True),
    revnet54=large(2, 2, 3, 2),
    revnet104=large(2, 2, 11, 2),
)
def revnet(cfg: RevNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 112, F / 4, L / 4], or [B, 3328, F / 32, L / 32] for large ones."""
    kernel, stride = (3, 1) if cfg.small else (7, 2)
    stem = nn.Sequential(ConvUnit(in_channels, cfg.stem, kernel, stride))
    if not cfg.small:
        stem.append(nn.MaxPool2d(3, 2, 1))
    channels, made = [cfg.stem], list[nn.Sequential]()
    for stage in cfg.stages:
        before, half = channels[-1] // 2, stage.channels // 2 * (EXPANSION if cfg.bottleneck else 1)
        layers, functions = nn.Sequential(), list[nn.Module]()
        for n in range(stage.blocks):
            i, stride = (half, 1) if n else (before, stage.stride)
            bare = not n and not made  # the stem has just had its norm and activation
            f = _function(i, _convs(cfg, half, stride), bare)
            g = _function(half, _convs(cfg, half, 1))
            if stride > 1 or i != half:
                layers.append(UnequalUnit(f, g, *(_way(cfg, i, half, stride) for _ in "fg")))
            else:
                functions += [f, g]
        layers.append(Reversible(functions, stored=cfg.stored))
        made.append(layers)
        channels.append(2 * half)
    made[-1].append(preceding("norm act", channels[-1]))
    strides = [1 if cfg.small else 4, *(stage.stride for stage in cfg.stages)]
    return Network(stem, made, channels, strides, head_of(channels[-1], n_classes))


def _convs(cfg: RevNetCfg, half: int, stride: int) -> tuple[Conv, ...]:
    return bottleneck(half // EXPANSION, half, stride) if cfg.bottleneck else basic(half, stride)


def _way(cfg: RevNetCfg, before: int, half: int, stride: int) -> nn.Module:
    if not cfg.bottleneck:
        return PadShortcut(before, half, stride)
    return ConvUnit(before, half, 1, stride, norm="none", act="none", bias=False)


class UnequalUnit(nn.Module):
    """The unit that changes the shape, which no one can run backwards; its maps are kept."""

    def __init__(self, f: nn.Module, g: nn.Module, first: nn.Module, second: nn.Module):
        super().__init__()
        self.f, self.g, self.first, self.second = f, g, first, second

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        a, b = x.chunk(2, dim=1)
        a = self.first(a) + self.f(b)
        return torch.cat([a, self.second(b) + self.g(a)], dim=1)


@dataclass(frozen=True, kw_only=True)
class IRevNetCfg:
    """What i-RevNet is made of.

    Attributes:
        stages: `channels` are the inner ones of the branches; the others follow from the picture,
            since no number is lost: every halving of the size makes four channels of one.
        kernel: of the first and the last convolution of a branch; 1 in the paper, 3 in the code.
        stored: see `Reversible`.
    """

    stages: tuple[StageCfg, ...] = tuple(
        StageCfg(channels=c, blocks=n, stride=2)
        for c, n in zip((6, 24, 96, 384), (6, 16, 72, 6), strict=True)
    )
    kernel: int = 1
    stored: bool = False


@register(IRevNetCfg, irevnet=IRevNetCfg(), irevnet301=IRevNetCfg(kernel=3))
def irevnet(cfg: IRevNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 1024 * C, F / 32, L / 32], from which it can be computed again.

    Pictures are filled up with zeros to multiples of 32.
    """
    channels, made = [4 * in_channels], list[nn.Sequential]()
    for stage in cfg.stages:
        functions, squeezes = [], []
        for n in range(stage.blocks):
            half, out = channels[-1] // 2, channels[-1] * stage.stride**2 // 2
            i, stride = (out, 1) if n else (half, stage.stride)
            convs = (
                Conv(stage.channels, cfg.kernel, stride if cfg.kernel > 1 else 1),
                Conv(stage.channels, 3, 1 if cfg.kernel > 1 else stride),
                Conv(out, cfg.kernel),
            )
            functions.append(_function(i, convs, bare=not n and not made))
            squeezes.append(stride > 1)
        made.append(nn.Sequential(Reversible(functions, squeezes, cfg.stored)))
        channels.append(channels[-1] * stage.stride**2)
    made[-1].append(preceding("norm act", channels[-1]))
    strides = [2, *(stage.stride for stage in cfg.stages)]
    stem = Squeeze(2 * 2 ** len(cfg.stages))
    return Network(stem, made, channels, strides, head_of(channels[-1], n_classes))


class Squeeze(nn.Module):
    """Moves 2 x 2 points to channels, after zeros have filled the size up to a multiple."""

    def __init__(self, multiple: int):
        super().__init__()
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, 4 * C, F / 2, L / 2]."""
        high, wide = (-size % self.multiple for size in x.shape[2:])
        return F.pixel_unshuffle(F.pad(x, (0, wide, 0, high)), 2)
