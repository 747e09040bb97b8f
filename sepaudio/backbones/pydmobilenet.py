"""PydMobileNet and the residual networks it was compared with: one block, three kinds of core.

Source: Hoang & Jo 2018 (1811.07083), tables 1 and 2; the sizes are those of the authors' weights.
"""

from dataclasses import dataclass, replace

from torch import nn

from ..layers import PreActBottleneck
from ..layers.conv import PictureConv
from .network import Network, head_of
from .table import StageCfg, register, wide


@dataclass(frozen=True, kw_only=True)
class PydMobileNetCfg:
    """What the family is made of.

    Attributes:
        stem: channels of the first convolution, which follows a norm without weights.
        stages: of bottlenecks.
        alpha: channels of the core, as a multiple of the stage's.
        kernels: sizes of the depthwise core; None for a dense 3x3 convolution.
        fusion: "add" or "concat" what the kernels give.
    """

    stem: int = wide(32)
    stages: tuple[StageCfg, ...] = ()
    alpha: float = 1.0
    kernels: tuple[int, ...] | None = (3, 5, 7)
    fusion: str = "add"


def layers(depth: int) -> PydMobileNetCfg:
    """PydMobileNet with `depth` layers: 29 or 56; nine layers a block of each stage."""
    widths, blocks = zip((32, 64, 128), (1, 2, 2), strict=True), (depth - 2) // 9
    return PydMobileNetCfg(
        stages=tuple(StageCfg(channels=c, blocks=blocks, stride=s) for c, s in widths)
    )


P29, P56 = layers(29), layers(56)


@register(
    PydMobileNetCfg,
    pydmobilenet_29=P29,
    pydmobilenet_56=P56,
    pydmobilenet_29_concat=replace(P29, fusion="concat"),
    pydmobilenet_56_concat=replace(P56, fusion="concat"),
    cifar_mobilenet_29=replace(P29, kernels=(3,)),
    cifar_mobilenet_56=replace(P56, kernels=(3,)),
    cifar_resnet_29=replace(P29, kernels=None, alpha=0.5),
    cifar_resnet_56=replace(P56, kernels=None, alpha=0.5),
)
def pydmobilenet(cfg: PydMobileNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 128, F / 4, L / 4]; made for pictures of 32x32."""
    stem = nn.Sequential(
        nn.BatchNorm2d(in_channels, affine=False),
        PictureConv(in_channels, cfg.stem, 3, bias=False),
    )
    channels, stages = [cfg.stem], []
    for stage in cfg.stages:
        blocks = [
            PreActBottleneck(
                stage.channels if n else channels[-1],
                max(1, round(cfg.alpha * stage.channels)),
                stage.channels,
                1 if n else stage.stride,
                kernels=cfg.kernels,
                fusion=cfg.fusion,
            )
            for n in range(stage.blocks)
        ]
        stages.append(nn.Sequential(*blocks))
        channels.append(stage.channels)
    strides = [1, *(stage.stride for stage in cfg.stages)]
    return Network(stem, stages, channels, strides, head_of(channels[-1], n_classes))
