"""Residual blocks of dilated convolutions over time: ByteNet's.

Source: Kalchbrenner et al. 2016 (1610.10099), sections 3.2 to 3.5 and figure 3 (left).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from .conv import TimeConv
from .norm import ChannelNorm
from .pool import mask_time


@dataclass(frozen=True, kw_only=True)
class ByteNetCfg:
    """What a stack of blocks is made of; the defaults are the paper's, but for the width.

    Attributes:
        width: channels between blocks (2d); even, since half of them pass inside.
        kernel_size: of the dilated convolutions [frames].
        dilations: of the blocks of a set.
        sets: how often they are repeated.
        causal: no frame depends on a later one (masked).
    """

    width: int = 256
    kernel_size: int = 3
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    sets: int = 6
    causal: bool = False

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width={self.width}: expected an even number; blocks halve it")
        if self.sets < 1 or not self.dilations or self.kernel_size < 1:
            raise ValueError(
                f"sets={self.sets}, dilations={self.dilations}, kernel_size={self.kernel_size}: "
                "expected at least one of each"
            )


class ByteNetBlock(nn.Module):
    """x + (norm, ReLU, 1x1 to half, norm, ReLU, dilated, norm, ReLU, 1x1 back).

    The norms are over the channels of each frame, so that cost and past are those of convolutions.

    Args:
        width: channels in and out.
        kernel_size: of the dilated convolution [frames].
        causal: see `TimeConv`.
    """

    def __init__(self, width: int, kernel_size: int, causal: bool = False):
        super().__init__()
        half = width // 2
        self.norm_in = ChannelNorm(width, 1e-6)
        self.shrink = TimeConv(width, half, 1, causal=True)  # one tap sees no future
        self.norm = ChannelNorm(half, 1e-6)
        self.conv = TimeConv(half, half, kernel_size, causal=causal)
        self.norm_out = ChannelNorm(half, 1e-6)
        self.grow = TimeConv(half, width, 1, causal=True)

    def forward(
        self, x: Tensor, dilation: int = 1, context: Context = WHOLE, lengths: Tensor | None = None
    ) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]."""
        y = self.shrink(F.relu(self.norm_in(x)))
        y = self.conv(mask_time(F.relu(self.norm(y)), lengths), dilation, context)
        out: Tensor = x + self.grow(F.relu(self.norm_out(y)))
        return out


class ByteNetStack(nn.Module):
    """Sets of blocks with growing dilation.

    A frame hears 1 + (k - 1) sets Σ dilations of them; time and memory are linear in the length.

    Args:
        cfg: see `ByteNetCfg`.
    """

    def __init__(self, cfg: ByteNetCfg):
        super().__init__()
        self.dilations = cfg.dilations * cfg.sets
        self.blocks = nn.ModuleList(
            ByteNetBlock(cfg.width, cfg.kernel_size, cfg.causal) for _ in self.dilations
        )
        self.receptive_frames = 1 + (cfg.kernel_size - 1) * sum(self.dilations)

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L]; beyond lengths it means nothing."""
        for i, (block, dilation) in enumerate(zip(self.blocks, self.dilations, strict=True)):
            x = block(x, dilation, context.at(i), lengths)
        return x
