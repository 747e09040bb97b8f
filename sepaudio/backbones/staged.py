"""What backbones of a stem and stages share: features after every stage, frames, first weights."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..layers import PictureConv


def scaled(channels: int, multiplier: float) -> int:
    """A width, scaled and rounded to a multiple of eight, at least eight."""
    return max(8, round(channels * multiplier / 8) * 8)


def he_init(net: nn.Module) -> None:
    """Normal weights of deviation √(2 / fan out) in every convolution.

    Source: He et al. 2015 (1502.01852), eq. 14.
    """
    for module in net.modules():
        if isinstance(module, PictureConv | nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.weight.shape[0] / module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)


class Stage(nn.Module):
    """Blocks one after the other; the first one takes the stride.

    Args:
        blocks: each called with a map and its frames.
        stride: of the first block.
    """

    def __init__(self, blocks: Sequence[nn.Module], stride: int):
        super().__init__()
        self.blocks, self.stride = nn.ModuleList(blocks), stride

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, F, L], lengths [B] in frames of x -> [B, C', ceil(F / s), ceil(L / s)]."""
        after = None if lengths is None else -(-lengths // self.stride)
        for i, block in enumerate(self.blocks):
            x = block(x, after if i else lengths)
        return x


class Staged(nn.Module):
    """A stem, then stages: picture [B, C, F, L] -> features [B, D, F / stride, L / stride].

    Stem and stages are each called with a map and its frames, and blank the padding before every
    spatial convolution, so that a picture gives the same features alone and in a batch with
    longer ones. What they give beyond the frames of the output means nothing.

    Args:
        stem: the first layers.
        stages: the rest.
        channels: after the stem and after every stage.
        strides: of the stem and of every stage.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
    ):
        super().__init__()
        self.stem, self.stages = stem, nn.ModuleList(stages)
        self.stage_channels, self.stage_strides = tuple(channels), tuple(strides)
        self.out_channels, self.stride = self.stage_channels[-1], math.prod(strides)
        he_init(self)

    def forward(self, picture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """picture [B, C, F, L], lengths [B] in frames -> [B, D, ceil(F / s), ceil(L / s)]."""
        x = picture
        for stride, part in zip(self.stage_strides, (self.stem, *self.stages), strict=True):
            x = part(x, lengths)
            lengths = None if lengths is None else -(-lengths // stride)
        return x

    def lengths(self, lengths: Tensor) -> Tensor:
        """Frames [B] of a picture -> frames [B] of its features."""
        for stride in self.stage_strides:
            lengths = -(-lengths // stride)
        return lengths
