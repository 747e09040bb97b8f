"""SqueezeNext: blocks that squeeze twice, filter along one axis and then the other, and expand.

Source: Gholami et al. 2018 (1803.10615), figure 1 and table 2; widths from the authors' release.
"""

from dataclasses import dataclass, replace
from functools import partial

from .graph import graph
from .network import Network, head_of
from .steps import Conv, Fork, Pad, Pool, Step, Steps
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class SqueezeNextCfg:
    """What SqueezeNext is made of.

    Attributes:
        stem: channels of the first convolution.
        kernel: of the first convolution.
        padding: of the first convolution.
        stages: of blocks.
        last: channels of the last convolution.
        shape_first: where shape changes, the branch hears the 1x1 shortcut instead of the input,
            as in the authors' fifth version.
        groups: of a block's first convolution and of those along one axis.
        alternate: every other block of a stage filters over time first instead of frequency; else
            all do, as in pytorchcv.
        bias: of the convolutions; the authors' have none, pytorchcv's do.
    """

    stem: int = wide(64)
    kernel: int = 7
    padding: int = 0
    stages: tuple[StageCfg, ...] = ()
    last: int = wide(128)
    shape_first: bool = False
    groups: int = 1
    alternate: bool = True
    bias: bool = False


def stages(*blocks: int, width: int = 32) -> tuple[StageCfg, ...]:
    """Four stages of so many blocks, twice as wide each time."""
    return tuple(
        StageCfg(channels=width << i, blocks=n, stride=2 if i else 1) for i, n in enumerate(blocks)
    )


def stage(cfg: SqueezeNextCfg, channels: int, blocks: int, stride: int) -> Steps:
    """Blocks: squeeze to a half and a quarter, filter, expand; the first changes the shape."""
    conv, half = partial(Conv, bias=cfg.bias), channels // 2
    time, frequency = (conv(half, kernel, groups=cfg.groups) for kernel in ((1, 3), (3, 1)))
    steps = list[Step]()
    for i in range(blocks):
        along = (frequency, time) if cfg.alternate and i % 2 == 0 else (time, frequency)
        inner = conv(max(half // 2, cfg.groups)), *along, conv(channels)
        reduce, shape = partial(conv, half, groups=cfg.groups), conv(channels, 1, stride)
        if i:
            steps.append(Fork(((reduce(), *inner), ()), "add", act="relu"))
        elif cfg.shape_first:
            steps += [shape, Fork(((reduce(), *inner), ()), "add", act="relu")]
        else:
            main = reduce(step=stride), *inner
            steps.append(Fork((main, (shape,)), "add", act="relu"))
    return tuple(steps)


_23 = SqueezeNextCfg(stages=stages(6, 6, 8, 1))
_23_V5 = SqueezeNextCfg(stages=stages(2, 4, 14, 1), kernel=5, shape_first=True)


@register(
    SqueezeNextCfg,
    squeezenext_23=_23,
    squeezenext_23_v5=_23_V5,
    squeezenext_23_grouped=replace(_23, groups=2),
    squeezenext_23_2x=replace(_23, stages=stages(6, 6, 8, 1, width=64)),
    squeezenext_23_v5_2x=replace(_23_V5, stages=stages(2, 4, 14, 1, width=64)),
)
def squeezenext(cfg: SqueezeNextCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 128, F / 32, L / 32]."""
    stem = (
        Pad(cfg.padding),
        Conv(cfg.stem, cfg.kernel, 2, padding="valid", bias=cfg.bias),
        Pool("max", 3, 2, ceil=True),
    )
    made = [stage(cfg, s.channels, s.blocks, s.stride) for s in cfg.stages]
    made[-1] += (Conv(cfg.last, bias=cfg.bias),)
    return graph(stem, made, in_channels, lambda channels: head_of(channels, n_classes))
