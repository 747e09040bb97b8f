"""NF-ResNet and NFNet: residual networks without norms, whose signals keep their size by design.

Sources: Brock et al. 2021 (2101.08692), section 3; 2021 (2102.06171), section 4, table 1 and
appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import nn

from ..layers import (
    GAINS,
    DropPath,
    Residual,
    Scale,
    ScaledConv,
    SqueezeExcite,
    activation,
    drop_rates,
)
from .network import Network, head_of
from .table import StageCfg, divisible, register, wide


@dataclass(frozen=True, kw_only=True)
class NFNetCfg:
    """What NFNet is made of.

    Attributes:
        stem: channels of its 3x3 convolutions, the first and the last with stride 2; one alone is
            7x7 with stride 2 and a pooling.
        stages: see `StageCfg`.
        inner: of the 3x3 convolutions, as a share of a stage's channels.
        spatial: 3x3 convolutions in a block.
        group_width: channels of a group in them; 0 for one group.
        squeeze: inner channels of the excitation, as a share of a stage's; 0 for no excitation.
        features: channels of the last 1x1 convolution; 0 for none.
        act: of the activations, a key of GAINS.
        gain_in_act: activations have their gain, as published; else the convolutions do, so that
            the first one has it too.
        skip_init: a learned gain of the branch starts at 0; else those of its last convolution.
        padding: see `PictureConv`.
        alpha: of the branches.
        dropout: before the last layer.
        drop_path: share of draws in which the last block is left out, in a line from the first on;
            published with 0.25.
    """

    stem: tuple[int, ...] = wide((16, 32, 64, 128))
    stages: tuple[StageCfg, ...] = ()
    inner: float = 0.5
    spatial: int = 2
    group_width: int = wide(128)
    squeeze: float = 0.5
    features: int = wide(3072)
    act: str = "gelu"
    gain_in_act: bool = True
    skip_init: bool = True
    padding: str = "tensorflow"
    alpha: float = 0.2
    dropout: float = 0.0
    drop_path: float = 0.0


def stages(channels: tuple[int, ...], *blocks: int) -> tuple[StageCfg, ...]:
    """Four stages, all but the first with stride 2."""
    triples = zip(channels, blocks, (1, 2, 2, 2), strict=True)
    return tuple(StageCfg(channels=c, blocks=n, stride=s) for c, n, s in triples)


def nfnet(n: int, dropout: float) -> NFNetCfg:
    """NFNet-Fn: n + 1 times the blocks of F0."""
    blocks = [(n + 1) * count for count in (1, 2, 6, 3)]
    widths = (256, 512, 1536, 1536)
    return NFNetCfg(stages=stages(widths, *blocks), dropout=dropout)


def nf_resnet(*blocks: int) -> NFNetCfg:
    """ResNet v2 without norms."""
    return NFNetCfg(
        stem=(64,),
        stages=stages((256, 512, 1024, 2048), *blocks),
        inner=0.25,
        spatial=1,
        group_width=0,
        squeeze=0.0,
        features=0,
        act="relu",
        gain_in_act=False,
        skip_init=False,
        padding="same",
    )


@register(
    NFNetCfg,
    nf_resnet26=nf_resnet(2, 2, 2, 2),
    nf_resnet50=nf_resnet(3, 4, 6, 3),
    nf_resnet101=nf_resnet(3, 4, 23, 3),
    **{f"nfnet_f{n}": nfnet(n, p) for n, p in enumerate((0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5))},
)
def build(cfg: NFNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 3072, F / 32, L / 32]."""
    gain = GAINS[cfg.act]
    conv = partial(ScaledConv, padding=cfg.padding, act_gain=1.0 if cfg.gain_in_act else gain)

    def act(factor: float = 1.0) -> nn.Sequential:
        return nn.Sequential(
            activation(cfg.act), Scale(factor * gain if cfg.gain_in_act else factor)
        )

    def block(i: int, o: int, stride: int, variance: float, rate: float) -> Residual:
        """o + alpha * branch(i / deviation)."""
        inner = divisible(o * cfg.inner)
        groups = max(1, inner // cfg.group_width) if cfg.group_width else 1
        inner = groups * cfg.group_width if cfg.group_width else inner
        branch = nn.Sequential(conv(i, inner))
        for n in range(cfg.spatial):
            branch.append(act())
            branch.append(conv(inner, inner, 3, 1 if n else stride, groups=groups))
        branch.append(act())
        branch.append(conv(inner, o, first=1.0 if cfg.skip_init else 0.0))
        factor = cfg.alpha
        if cfg.squeeze:  # a gate halves on average
            branch.append(SqueezeExcite(o, divisible(o * cfg.squeeze)))
            factor = 2 * cfg.alpha
        branch.append(Scale(factor, 0.0 if cfg.skip_init else None))
        way = None
        if stride > 1 or i != o:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            way = nn.Sequential(pool, conv(i, o))
        return Residual(branch, way, before=act(variance**-0.5), drop=DropPath(rate))

    stem, before = nn.Sequential(), in_channels
    for n, width in enumerate(cfg.stem):
        if n:
            stem.append(act())
        halves = n in (0, len(cfg.stem) - 1)
        stem.append(conv(before, width, 3 if len(cfg.stem) > 1 else 7, 2 if halves else 1))
        before = width
    if len(cfg.stem) == 1:
        stem.append(nn.MaxPool2d(3, 2, 1))

    rates = iter(drop_rates(cfg.drop_path, sum(stage.blocks for stage in cfg.stages)))
    channels, made, variance = [before], [], 1.0
    for stage in cfg.stages:
        blocks = nn.Sequential()
        for n in range(stage.blocks):
            before, stride = (stage.channels, 1) if n else (channels[-1], stage.stride)
            blocks.append(block(before, stage.channels, stride, variance, next(rates)))
            # a shortcut with weights sets the variance back to one
            variance = (variance if n else 1.0) + cfg.alpha**2
        made.append(blocks)
        channels.append(stage.channels)
    if cfg.features:
        made[-1].append(conv(channels[-1], cfg.features))
        channels[-1] = cfg.features
    made[-1].append(act())
    strides = [4, *(stage.stride for stage in cfg.stages)]
    return Network(stem, made, channels, strides, head_of(channels[-1], n_classes, cfg.dropout))
