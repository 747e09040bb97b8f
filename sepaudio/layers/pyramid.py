"""Depthwise kernels of several sizes side by side, and the bottleneck that holds them.

Source: Hoang & Jo 2018 (1811.07083), figure 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .conv import PictureConv
from .norm import MaskedBatchNorm
from .unit import ConvUnit

FUSIONS = ("add", "concat")


class PyramidConv(nn.Module):
    """Depthwise convolutions with kernels of several sizes, added or set side by side.

    Added, they are one kernel of the largest size; apart they learn at several scales at once.

    Args:
        channels: channels in; out as many, or times the number of kernels with "concat".
        kernels: sizes; odd.
        stride: of all of them.
        fusion: one of FUSIONS.
    """

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int] = (3, 5, 7),
        stride: int = 1,
        fusion: str = "add",
    ):
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion={fusion!r}: expected one of {', '.join(FUSIONS)}")
        self.fusion = fusion
        self.out_channels = channels * (len(kernels) if fusion == "concat" else 1)
        self.branches = nn.ModuleList(
            PictureConv(channels, channels, k, stride, groups=channels, bias=False) for k in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        made = [branch(x) for branch in self.branches]
        return torch.cat(made, dim=1) if self.fusion == "concat" else torch.stack(made).sum(dim=0)


class PreActBottleneck(nn.Module):
    """1x1 to `inner` channels, a core that takes the stride, 1x1 back, a norm; plus the input.

    Norm and activation come before each of the three convolutions. Where shape changes, the
    shortcut is a 1x1 convolution with a norm, else the input itself.

    Args:
        in_channels: channels in.
        inner: channels of the core.
        out_channels: channels out.
        stride: of the core.
        kernels: of the depthwise core; None for a dense 3x3 convolution.
        fusion: see `PyramidConv`.
    """

    def __init__(
        self,
        in_channels: int,
        inner: int,
        out_channels: int,
        stride: int = 1,
        *,
        kernels: Sequence[int] | None = (3, 5, 7),
        fusion: str = "add",
    ):
        super().__init__()
        order = "norm act conv"
        self.reduce = ConvUnit(in_channels, inner, order=order, bias=False)
        self.norm = MaskedBatchNorm(inner)
        self.act = nn.ReLU()
        self.core: nn.Module
        if kernels is None:
            self.core, wide = PictureConv(inner, inner, 3, stride, bias=False), inner
        else:
            pyramid = PyramidConv(inner, kernels, stride, fusion)
            self.core, wide = pyramid, pyramid.out_channels
        self.expand = ConvUnit(wide, out_channels, order=order, bias=False)
        self.last_norm = MaskedBatchNorm(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = ConvUnit(in_channels, out_channels, 1, stride, act="none")

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y = self.core(self.act(self.norm(self.reduce(x))))
        total: Tensor = self.last_norm(self.expand(y)) + self.shortcut(x)
        return total
