"""DenseNet and its forms with bottlenecks (B), with compression (C), with both (BC), and partial.

Sources: Huang et al. 2016 (1608.06993), section 3 and table 1; for the partial form Wang et al.
2019 (1911.11929), section 3.1, equation 4.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from ..layers import CrossStage, DenseStack
from .graph import graph
from .network import Network, head_of
from .steps import Conv, Dropout, Layer, Norm, Pool, Steps, sequence
from .table import deep, register, wide


@dataclass(frozen=True, kw_only=True)
class DenseNetCfg:
    """What DenseNet is made of.

    Attributes:
        stem: channels of the first convolution.
        growth: channels that each layer adds (k).
        layers: in each block.
        bottleneck: 1x1 to 4·k channels before each 3x3: the B.
        compression: share of the channels that are left between blocks; the C where below 1.
        small_pictures: 3x3 for the first convolution and no pool, as for CIFAR.
        dropout: after each layer.
        recompute: see `DenseStack`.
        partial: cross stage partial: half of a block's input goes by its layers and meets what
            they give, transited, in a second transition.
    """

    stem: int = wide(64)
    growth: int = wide(32)
    layers: tuple[int, ...] = deep()
    bottleneck: bool = True
    compression: float = 0.5
    small_pictures: bool = False
    dropout: float = 0.0
    recompute: bool = False
    partial: bool = False


def block(layers: int, cfg: DenseNetCfg, channels: int) -> DenseStack:
    """So many layers that each hear all before them."""
    first = (Conv(4 * cfg.growth, order="norm act conv", bias=False),) if cfg.bottleneck else ()
    conv = Conv(cfg.growth, 3, order="norm act conv", bias=False)
    steps: Steps = (*first, conv, Dropout(cfg.dropout))
    made = (sequence(steps, channels + n * cfg.growth)[0] for n in range(layers))
    return DenseStack(made, recompute=cfg.recompute)


def partial_block(layers: int, cfg: DenseNetCfg, channels: int) -> CrossStage:
    """The same on half of the channels, with a transition behind each of the two meetings."""
    half, more = channels // 2, layers * cfg.growth
    within, out = compressed(half + more, cfg), compressed(channels + more, cfg)

    def transition(i: int, o: int) -> nn.Module:
        return sequence((Conv(o, order="norm act conv", bias=False),), i)[0]

    blocks = nn.Sequential(block(layers, cfg, half), transition(half + more, within))
    return CrossStage(nn.Identity(), blocks, transition(half + within, out))


def compressed(channels: int, cfg: DenseNetCfg) -> int:
    """Channels behind a transition; an even number where they will be halved."""
    left = int(channels * cfg.compression)
    return left // 2 * 2 if cfg.partial else left


def cifar(depth: int, growth: int, *, bottleneck: bool, compression: float) -> DenseNetCfg:
    """A DenseNet of so many layers in three blocks, for pictures of 32x32."""
    layers = (depth - 4) // (6 if bottleneck else 3)
    return DenseNetCfg(
        stem=2 * growth if bottleneck and compression < 1 else 16,
        growth=growth,
        layers=(layers,) * 3,
        bottleneck=bottleneck,
        compression=compression,
        small_pictures=True,
    )


_PLAIN = partial(cifar, bottleneck=False, compression=1.0)
_BC = partial(cifar, bottleneck=True, compression=0.5)


@register(
    DenseNetCfg,
    densenet121=DenseNetCfg(layers=(6, 12, 24, 16)),
    densenet161=DenseNetCfg(layers=(6, 12, 36, 24), growth=48, stem=96),
    densenet169=DenseNetCfg(layers=(6, 12, 32, 32)),
    densenet201=DenseNetCfg(layers=(6, 12, 48, 32)),
    cspdensenet121=DenseNetCfg(layers=(6, 12, 24, 16), partial=True),
    cspdensenet169=DenseNetCfg(layers=(6, 12, 32, 32), partial=True),
    cspdensenet201=DenseNetCfg(layers=(6, 12, 48, 32), partial=True),
    densenet_40_12=_PLAIN(40, 12),
    densenet_100_12=_PLAIN(100, 12),
    densenet_100_24=_PLAIN(100, 24),
    densenet_b_100_12=cifar(100, 12, bottleneck=True, compression=1.0),
    densenet_c_100_12=cifar(100, 12, bottleneck=False, compression=0.5),
    densenet_bc_100_12=_BC(100, 12),
    densenet_bc_190_40=_BC(190, 40),
    densenet_bc_250_24=_BC(250, 24),
)
def densenet(cfg: DenseNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features, F / 32 and L / 32 of a picture, F / 4 and L / 4 of a small one."""
    if cfg.small_pictures:
        stem: Steps = (Conv(cfg.stem, 3, norm="none", act="none", bias=False),)
    else:
        stem = (Conv(cfg.stem, 7, 2), Pool("max", 3, 2, 1))
    stages, channels = list[Steps](), cfg.stem
    for i, layers in enumerate(cfg.layers):
        steps: Steps = (Pool("mean", 2, 2),) if i else ()
        if i and not cfg.partial:
            channels = compressed(channels, cfg)
            steps = (Conv(channels, order="norm act conv", bias=False), *steps)
        channels += layers * cfg.growth
        if cfg.partial:
            channels = compressed(channels, cfg)
            stages.append((*steps, Layer(partial(partial_block, layers, cfg), channels)))
        else:
            stages.append((*steps, Layer(partial(block, layers, cfg), channels)))
    stages[-1] += (Norm("batch", "relu"),)
    return graph(stem, stages, in_channels, lambda channels: head_of(channels, n_classes))
