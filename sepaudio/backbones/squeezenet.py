"""SqueezeNet: fire modules, a 1x1 convolution that squeezes and two that expand.

Source: Iandola et al. 2016 (1602.07360), table 1; bypasses of section 6; version 1.1 from the
authors' release.
"""

from dataclasses import dataclass

from .graph import graph
from .heads import MapHead
from .network import Network
from .steps import Conv, Fork, Pool, Steps
from .table import register, wide

BYPASSES = ("none", "simple", "complex")
POOL = Pool("max", 3, 2, ceil=True)


@dataclass(frozen=True, kw_only=True)
class SqueezeNetCfg:
    """What SqueezeNet is made of.

    Attributes:
        stem: channels of the first convolution.
        kernel: of the first convolution.
        stages: channels after each fire module of a stage; a pool begins every stage.
        squeeze: share of a module's channels that its first convolution has.
        bypass: one of BYPASSES: "simple" adds a module's input where it has as many channels as
            its output; "complex" adds it through a 1x1 convolution elsewhere.
        dropout: before the last convolution.
    """

    stem: int = wide(96)
    kernel: int = 7
    stages: tuple[tuple[int, ...], ...] = wide(((128, 128, 256), (256, 384, 384, 512), (512,)))
    squeeze: float = 0.125
    bypass: str = "none"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.bypass not in BYPASSES:
            raise ValueError(f"bypass={self.bypass!r}: expected one of {', '.join(BYPASSES)}")


def fire(channels: int, squeeze: int, bypass: Steps | None) -> Steps:
    """A fire module; the steps of its bypass, or None for none."""
    half = Conv(channels // 2, norm="none"), Conv(channels // 2, 3, norm="none")
    module = Conv(squeeze, norm="none"), Fork(((half[0],), (half[1],)))
    return module if bypass is None else (Fork((module, bypass), "add"),)


_V1_1 = SqueezeNetCfg(stem=64, kernel=3, stages=((128, 128), (256, 256), (384, 384, 512, 512)))


@register(
    SqueezeNetCfg,
    squeezenet1_0=SqueezeNetCfg(),
    squeezenet1_0_simple=SqueezeNetCfg(bypass="simple"),
    squeezenet1_0_complex=SqueezeNetCfg(bypass="complex"),
    squeezenet1_1=_V1_1,
)
def squeezenet(cfg: SqueezeNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 512, F / 16, L / 16]."""
    stem = (Conv(cfg.stem, cfg.kernel, 2, padding="valid", norm="none"),)
    stages, before = [], cfg.stem
    for widths in cfg.stages:
        steps: Steps = (POOL,)
        for channels in widths:
            bypass: Steps | None = None
            if cfg.bypass != "none" and before == channels:
                bypass = ()
            elif cfg.bypass == "complex":
                bypass = (Conv(channels, norm="none", act="none"),)
            steps += fire(channels, max(1, round(channels * cfg.squeeze)), bypass)
            before = channels
        stages.append(steps)
    return graph(
        stem,
        stages,
        in_channels,
        lambda channels: MapHead(channels, n_classes, cfg.dropout) if n_classes else None,
    )
