"""ConvNeXt, and the road from ResNet-50 to it: one block, a flag for each step.

Source: Liu et al. 2022 (2201.03545), section 2, figure 2 and table 9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from torch import nn

from ..layers import (
    Conv,
    ConvUnit,
    DropPath,
    LayerScale,
    PictureConv,
    Residual,
    activation,
    drop_rates,
    picture_norm,
)
from .network import LinearHead, Network
from .resnet import EXPANSION, stages
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class ConvNeXtCfg:
    """A network somewhere between ResNet-50, which has no flag set, and ConvNeXt.

    Attributes:
        stem: channels of the first convolution.
        stages: `channels` are the narrow ones of a block.
        patchify: the first convolution is 4x4 with stride 4, without pooling; else as ResNet's.
        depthwise: the spatial convolution has as many groups as channels.
        inverted: blocks are narrow outside and four times as wide inside; else the reverse.
        moved_up: the spatial convolution is the first of a block's three; else the second.
        kernel: of the spatial convolution.
        act: of the activations.
        one_act: only after the second convolution of a block; else after all and after the sum.
        one_norm: only after the first convolution of a block; else after all.
        norm: "batch" or "channel"; the latter has a bias before it.
        downsampling: a norm and a 2x2 convolution before a stage, and a norm before the head; else
            a block's spatial convolution has the stride.
        layer_scale: what the branches' gains start with; 0 for no gains.
        drop_path: share of draws in which the last block is left out, in a line from the first on;
            published with 0.1 (tiny), 0.4 (small) and 0.5.
    """

    stem: int = wide(64)
    stages: tuple[StageCfg, ...] = stages(3, 4, 6, 3)
    patchify: bool = False
    depthwise: bool = False
    inverted: bool = False
    moved_up: bool = False
    kernel: int = 3
    act: str = "relu"
    one_act: bool = False
    one_norm: bool = False
    norm: str = "batch"
    downsampling: bool = False
    layer_scale: float = 0.0
    drop_path: float = 0.0


ROAD: dict[str, dict[str, Any]] = {  # in the order of figure 2
    "ratio": {"stages": stages(3, 3, 9, 3)},
    "patchify": {"patchify": True},
    "depthwise": {"depthwise": True},
    "width": {"stem": 96, "stages": stages(3, 3, 9, 3, first=96)},
    "inverted": {"inverted": True},
    "moved_up": {"moved_up": True},
    "kernel": {"kernel": 7},
    "gelu": {"act": "gelu"},
    "one_act": {"one_act": True},
    "one_norm": {"one_norm": True},
    "layer_norm": {"norm": "channel"},
    "downsampling": {"downsampling": True},
}
STEPS = dict(
    zip(
        ["start", *ROAD],
        accumulate(ROAD.values(), lambda cfg, step: replace(cfg, **step), initial=ConvNeXtCfg()),
        strict=True,
    )
)


def convnext(*blocks: int, first: int) -> ConvNeXtCfg:
    """The end of the road, in one of its sizes."""
    at_end = replace(STEPS["downsampling"], layer_scale=1e-6)
    return replace(at_end, stem=first, stages=stages(*blocks, first=first))


@register(
    ConvNeXtCfg,
    convnext_tiny=convnext(3, 3, 9, 3, first=96),
    convnext_small=convnext(3, 3, 27, 3, first=96),
    convnext_base=convnext(3, 3, 27, 3, first=128),
    convnext_large=convnext(3, 3, 27, 3, first=192),
    convnext_xlarge=convnext(3, 3, 27, 3, first=256),
    **{f"roadmap_{name}": cfg for name, cfg in STEPS.items()},
)
def build(cfg: ConvNeXtCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 768, F / 32, L / 32]."""
    stem = nn.Sequential()
    if cfg.patchify:
        stem.append(_unit(cfg, in_channels, Conv(cfg.stem, 4, 4), act=not cfg.one_act))
    else:
        stem.append(_unit(cfg, in_channels, Conv(cfg.stem, 7, 2), act=not cfg.one_act))
        stem.append(nn.MaxPool2d(3, 2, 1))
    rates = iter(drop_rates(cfg.drop_path, sum(stage.blocks for stage in cfg.stages)))
    channels, made = [cfg.stem], []
    for stage in cfg.stages:
        out = stage.channels * (1 if cfg.inverted else EXPANSION)
        layers, before, stride = nn.Sequential(), channels[-1], stage.stride
        if cfg.downsampling and (stride > 1 or before != out):
            layers.append(picture_norm(cfg.norm, before, _eps(cfg)))
            layers.append(PictureConv(before, out, stride, stride, padding="valid"))
            before, stride = out, 1
        for n in range(stage.blocks):
            layers.append(_block(cfg, out if n else before, stage.channels, stride, next(rates)))
            stride = 1
        made.append(layers)
        channels.append(out)
    head = None
    if n_classes:
        norm = picture_norm(cfg.norm, channels[-1], _eps(cfg)) if cfg.downsampling else None
        head = LinearHead(channels[-1], n_classes, after=norm)
    strides = [4, *(stage.stride for stage in cfg.stages)]
    whole = strides if cfg.downsampling else strides[:1]  # none of these convolutions pads
    least = math.prod(whole) if cfg.patchify else 1
    return Network(stem, made, channels, strides, head, minimum_size=(least, least))


def _block(cfg: ConvNeXtCfg, before: int, narrow: int, stride: int, rate: float) -> Residual:
    """Three convolutions, with a norm and an activation after those that the flags leave."""
    inner, out = narrow, EXPANSION * narrow
    if cfg.inverted:
        inner, out = out, inner
    groups = (before if cfg.moved_up else inner) if cfg.depthwise else 1
    convs = [Conv(inner), Conv(inner, cfg.kernel, stride, groups), Conv(out)]
    if cfg.moved_up:
        convs = [Conv(before, cfg.kernel, stride, groups), Conv(inner), Conv(out)]
    branch, channels = nn.Sequential(), before
    for n, conv in enumerate(convs):
        act = n == 1 or (n == 0 and not cfg.one_act)
        branch.append(_unit(cfg, channels, conv, norm=n == 0 or not cfg.one_norm, act=act))
        channels = conv.channels
    if cfg.layer_scale:
        branch.append(LayerScale(out, cfg.layer_scale))
    way = _unit(cfg, before, Conv(out, 1, stride)) if stride > 1 or before != out else None
    after = nn.Identity() if cfg.one_act else activation(cfg.act)
    return Residual(branch, way, after=after, drop=DropPath(rate))


def _unit(
    cfg: ConvNeXtCfg, channels: int, conv: Conv, norm: bool = True, act: bool = False
) -> ConvUnit:
    return ConvUnit(
        channels,
        conv.channels,
        conv.kernel,
        conv.stride,
        groups=conv.groups,
        norm=cfg.norm if norm else "none",
        act=cfg.act if act else "none",
        bias=True if cfg.norm == "channel" else None,
        eps=_eps(cfg),
        padding="valid" if conv.kernel == conv.stride else "same",
    )


def _eps(cfg: ConvNeXtCfg) -> float:
    return 1e-6 if cfg.norm == "channel" else 1e-5
