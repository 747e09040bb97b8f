"""Convolutions over pictures that see only what came before: PixelCNN's, plain and gated.

Cells come frame by frame, and in a frame from the lowest bin up: the order in which sound is
heard, where the papers read pictures row by row.

Sources: van den Oord et al. 2016 (1601.06759), section 3.4; gates and the two stacks: van den Oord
et al. 2016 (1606.05328), sections 2.1 and 2.2 and figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from .conv import PictureConv, convolve
from .gated import gate

MASKS_OF = ("A", "B")  # without the cell itself, for the first layer; with it


class MaskedConv2d(nn.Module):
    """A convolution that sees frames before, and in the frame itself the bins below.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: odd; so many bins, and half as many frames, the present one included.
        mask: "A" leaves out the cell itself, "B" sees it.

    Raises:
        ValueError: another mask, or an even kernel.
    """

    mask: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, mask: str = "B"):
        super().__init__()
        if mask not in MASKS_OF or kernel_size % 2 == 0:
            raise ValueError(
                f"mask={mask!r}, kernel_size={kernel_size}: expected A or B, and an odd number"
            )
        half = kernel_size // 2
        conv = nn.Conv2d(in_channels, out_channels, (kernel_size, half + 1))
        self.weight, self.bias = conv.weight, conv.bias
        seen = torch.ones(kernel_size, half + 1)
        seen[half + (mask == "B") :, -1] = 0
        self.register_buffer("mask", seen, persistent=False)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, F, L] -> [B, C', F, L]."""
        high, wide = self.mask.shape
        x = context.left(x, wide - 1)
        x = F.pad(x, (0, 0, high // 2, high // 2))
        return convolve(x, self.weight * self.mask, self.bias, padding="valid")


class MaskedBlock(nn.Module):
    """x + (ReLU, 1x1 to half, ReLU, masked 3x3, ReLU, 1x1 back).

    Args:
        channels: in and out (2h).
        kernel_size: of the masked convolution.
    """

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        half = channels // 2
        self.shrink = nn.Conv2d(channels, half, 1)
        self.conv = MaskedConv2d(half, half, kernel_size)
        self.grow = nn.Conv2d(half, channels, 1)

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, F, L] -> [B, C, F, L]."""
        y = self.conv(F.relu(self.shrink(F.relu(x))), context)
        out: Tensor = x + self.grow(F.relu(y))
        return out


class GatedPair(nn.Module):
    """A layer of both stacks: one over frames, one over the bins of a frame; no blind spot.

    What the first knows of a frame and those before, the second hears one frame later.

    Args:
        in_channels: channels in.
        channels: channels out.
        kernel_size: odd; as in `MaskedConv2d`.
        first: the bins leave out the cell itself, and what comes in is not added.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, *, first: bool = False):
        super().__init__()
        if kernel_size % 2 == 0 or kernel_size < 3:
            raise ValueError(f"kernel_size={kernel_size}: expected an odd number, 3 or more")
        self.first, half = first, kernel_size // 2
        wide = 2 * channels
        self.frames = PictureConv(in_channels, wide, (kernel_size, half + 1), causal=True)
        self.bins = nn.Conv2d(in_channels, wide, (half + (not first), 1))
        self.link = nn.Conv2d(wide, wide, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.below = half

    def forward(
        self, frames: Tensor, bins: Tensor, context: Context = WHOLE
    ) -> tuple[Tensor, Tensor]:
        """Outputs of both stacks [B, C, F, L] -> those after this layer, [B, C', F, L] each."""
        v = self.frames(frames, 1, context.at("frames"))
        before = context.at("link").left(v, 1)[..., :-1]
        under = F.pad(bins, (0, 0, self.below, 0))
        if self.first:
            under = under[:, :, :-1]
        y = self.out(gate(self.bins(under) + self.link(before)))
        return gate(v), y if self.first else y + bins
