"""Networks of inverted residuals: MobileNet v2 and v3, MnasNet.

EfficientNet, FBNet and the small trunk `separable` are more lists for the same builder, each in
a file of its own.

Sources: Sandler et al. 2018 (1801.04381), table 2; Howard et al. 2019 (1905.02244), tables 1
and 2; Tan et al. 2018 (1807.11626), figure 7.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from ..layers import ConvUnit, DropPath, InvertedResidual, activation, drop_rates
from .network import Network, head_of
from .table import StageCfg, divisible, register, wide


@dataclass(frozen=True, kw_only=True)
class Blocks(StageCfg):
    """So many inverted residuals of one kind, the first of which takes the stride.

    Attributes:
        kernel: of the depthwise convolution.
        expand: its channels, as a multiple of those that come in.
        squeeze: inner channels of the squeeze-and-excitation, as a share; 0 for none.
        groups: of the 1x1 convolutions.
        act: of the activations; empty for that of the network.
    """

    kernel: int = 3
    expand: float = 6.0
    squeeze: float = 0.0
    groups: int = 1
    act: str = ""


Stages = tuple[tuple[Blocks, ...], ...]


@dataclass(frozen=True, kw_only=True)
class InvertedCfg:
    """What a network of inverted residuals is made of.

    Attributes:
        stem: channels of the first convolution.
        stem_blocks: blocks that belong to the stem.
        stages: each of one or more runs of blocks.
        last: channels of the 1x1 convolution behind the stages; 0 for none.
        least: of them, however narrow the rest is.
        tail: of the linear layer between the mean and the classes; 0 for none.
        act: of the activations.
        squeeze_of: what `Blocks.squeeze` is a share of: channels of the "input", the "hidden" ones
            or those of the "output".
        squeeze_by: what the inner channels are a multiple of.
        squeeze_act: activation inside the squeeze-and-excitation; its gate is `gate`.
        gate: a key of ACTIVATIONS.
        always: see `InvertedResidual`.
        eps: of the norms.
        padding: see `PictureConv`.
        dropout: before the last layer.
        drop_path: share of draws in which the last block is left out, in a line from the first on;
            EfficientNet's drop-connect, 0.2 in the paper.
    """

    stem: int = wide(32)
    stem_blocks: tuple[Blocks, ...] = ()
    stages: Stages = ()
    last: int = wide(1280)
    least: int = 0
    tail: int = 0
    act: str = "relu"
    squeeze_of: str = "input"
    squeeze_by: int = 1
    squeeze_act: str = "relu"
    gate: str = "sigmoid"
    always: bool = False
    eps: float = 1e-5
    padding: str = "same"
    dropout: float = 0.0
    drop_path: float = 0.0


def one_kind(*rows: tuple[int, float, int, int, int]) -> Stages:
    """Stages of one run each, from (kernel, expand, channels, blocks, stride)."""
    return tuple(
        (Blocks(kernel=k, expand=e, channels=c, blocks=n, stride=s),) for k, e, c, n, s in rows
    )


def runs(*rows: tuple[int, float, int, int, int, float, str]) -> Stages:
    """Stages, from (kernel, expand, channels, blocks, stride, squeeze, act).

    A run of the same width that has no stride belongs to the stage before it.
    """
    stages: list[tuple[Blocks, ...]] = []
    for k, e, c, n, s, r, act in rows:
        run = Blocks(kernel=k, expand=e, channels=c, blocks=n, stride=s, squeeze=r, act=act)
        if stages and s == 1 and stages[-1][-1].channels == c:
            stages[-1] += (run,)
        else:
            stages.append((run,))
    return tuple(stages)


MOBILENET_V2 = one_kind(
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (3, 6, 32, 3, 2),
    (3, 6, 64, 4, 2),
    (3, 6, 96, 3, 1),
    (3, 6, 160, 3, 2),
    (3, 6, 320, 1, 1),
)
LARGE = runs(
    (3, 1, 16, 1, 1, 0, "relu"),
    (3, 4, 24, 1, 2, 0, "relu"),
    (3, 3, 24, 1, 1, 0, "relu"),
    (5, 3, 40, 3, 2, 0.25, "relu"),
    (3, 6, 80, 1, 2, 0, "hard_swish"),
    (3, 2.5, 80, 1, 1, 0, "hard_swish"),
    (3, 2.3, 80, 2, 1, 0, "hard_swish"),
    (3, 6, 112, 2, 1, 0.25, "hard_swish"),
    (5, 6, 160, 3, 2, 0.25, "hard_swish"),
)
SMALL = runs(
    (3, 1, 16, 1, 2, 0.25, "relu"),
    (3, 4.5, 24, 1, 2, 0, "relu"),
    (3, 3.67, 24, 1, 1, 0, "relu"),
    (5, 4, 40, 1, 2, 0.25, "hard_swish"),
    (5, 6, 40, 2, 1, 0.25, "hard_swish"),
    (5, 3, 48, 2, 1, 0.25, "hard_swish"),
    (5, 6, 96, 3, 2, 0.25, "hard_swish"),
)
MNASNET_A1 = runs(
    (3, 1, 16, 1, 1, 0, ""),
    (3, 6, 24, 2, 2, 0, ""),
    (5, 3, 40, 3, 2, 0.25, ""),
    (3, 6, 80, 4, 2, 0, ""),
    (3, 6, 112, 2, 1, 0.25, ""),
    (5, 6, 160, 3, 2, 0.25, ""),
    (3, 6, 320, 1, 1, 0, ""),
)
MNASNET_B1 = one_kind(
    (3, 1, 16, 1, 1),
    (3, 3, 24, 3, 2),
    (5, 3, 40, 3, 2),
    (5, 6, 80, 3, 2),
    (3, 6, 96, 2, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def mobilenet_v3(stages: Stages, last: int, tail: int) -> InvertedCfg:
    """What Large and Small share: h-swish, hard gates, and the mean before the widest layer."""
    return InvertedCfg(
        stem=16,
        stages=stages,
        last=last,
        tail=tail,
        act="hard_swish",
        squeeze_of="hidden",
        squeeze_by=8,
        gate="hard_sigmoid",
        dropout=0.2,
    )


def reduced(stages: Stages, last: int) -> InvertedCfg:
    """MobileNet v3 with half as many channels in its last stage, as the trunk of a detector.

    Source: Howard et al. 2019 (1905.02244), section 6.3; the norms' eps is torchvision's.
    """
    *before, (tail,) = stages
    narrow = replace(tail, channels=tail.channels // 2)
    return replace(mobilenet_v3((*before, (narrow,)), last, 1280), eps=1e-3)


@register(
    InvertedCfg,
    mobilenet_v2=InvertedCfg(stages=MOBILENET_V2, least=1280, act="relu6", dropout=0.2),
    mobilenet_v3_large=mobilenet_v3(LARGE, 960, 1280),
    mobilenet_v3_small=mobilenet_v3(SMALL, 576, 1024),
    mobilenet_v3_large_reduced=reduced(LARGE, 480),
    mobilenet_v3_small_reduced=reduced(SMALL, 288),
    mnasnet_a1=InvertedCfg(stages=MNASNET_A1, dropout=0.2),
    mnasnet_b1=InvertedCfg(stages=MNASNET_B1, dropout=0.2),
)
def inverted(cfg: InvertedCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, last, F / 32, L / 32]."""
    layer = partial(ConvUnit, act=cfg.act, eps=cfg.eps, padding=cfg.padding)
    all_runs = (cfg.stem_blocks, *cfg.stages)
    rates = iter(drop_rates(cfg.drop_path, sum(run.blocks for stage in all_runs for run in stage)))
    before, blocks = blocks_of(cfg, cfg.stem_blocks, cfg.stem, rates)
    stem = nn.Sequential(layer(in_channels, cfg.stem, 3, 2), *blocks)
    channels, strides, stages = [before], [2 * _stride(cfg.stem_blocks)], []
    for stage in cfg.stages:
        before, blocks = blocks_of(cfg, stage, before, rates)
        stages.append(nn.Sequential(*blocks))
        channels.append(before)
        strides.append(_stride(stage))
    if cfg.last:
        last = max(cfg.last, cfg.least)
        stages.append(nn.Sequential(layer(before, last)))
        channels.append(last)
        strides.append(1)
    return Network(stem, stages, channels, strides, _head(cfg, channels[-1], n_classes))


def _stride(stage: tuple[Blocks, ...]) -> int:
    return math.prod(run.stride for run in stage)


def blocks_of(
    cfg: InvertedCfg, stage: tuple[Blocks, ...], before: int, rates: Iterator[float]
) -> tuple[int, list[nn.Module]]:
    """The blocks of a stage that `before` channels enter, and how many leave it."""
    blocks: list[nn.Module] = []
    for run in stage:
        for n in range(run.blocks):
            hidden = divisible(before * run.expand) if run.expand != 1 else before
            whole = {"input": before, "hidden": hidden, "output": run.channels}[cfg.squeeze_of]
            squeeze = divisible(run.squeeze * whole, cfg.squeeze_by) if run.squeeze else 0
            block = InvertedResidual(
                before,
                hidden,
                run.channels,
                run.kernel,
                1 if n else run.stride,
                act=run.act or cfg.act,
                squeeze=squeeze,
                gate=cfg.gate,
                squeeze_act=cfg.squeeze_act,
                groups=run.groups,
                always=cfg.always,
                eps=cfg.eps,
                padding=cfg.padding,
                drop=DropPath(next(rates)),
            )
            blocks.append(block)
            before = run.channels
    return before, blocks


def _head(cfg: InvertedCfg, channels: int, n_classes: int) -> nn.Module | None:
    """One linear layer, or two with an activation between: MobileNet v3's efficient last stage."""
    if not n_classes or not cfg.tail:
        return head_of(channels, n_classes, cfg.dropout)
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            widen=nn.Linear(channels, cfg.tail),
            act=activation(cfg.act),
            dropout=nn.Dropout(cfg.dropout),
            linear=nn.Linear(cfg.tail, n_classes),
        )
    )
