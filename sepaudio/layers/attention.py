"""Masks that a network computes for its own maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import PictureConv
from .norm import MaskedBatchNorm


class PoolAttention2d(nn.Module):
    """A mask in (0, 1) for what a stage gives, from what it was given.

    The stage's input is max-pooled to the size of its output, then a depthwise convolution, a
    1x1 convolution and a norm, and a sigmoid. Both convolutions have a bias. A kernel larger than
    the map keeps its outer weights, which then only meet padding.

    Source: Guzhov et al. 2020 (2004.07301), as in the first author's code.

    Args:
        in_channels: of the stage's input.
        out_channels: of its output.
        kernel_size: (frequency, time) of the depthwise convolution, odd numbers.
        norm_bias: the norm's initial bias: masks start about 0.5 with 0, about 0.73 with 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        norm_bias: float = 0.0,
    ):
        super().__init__()
        self.depthwise = PictureConv(in_channels, in_channels, kernel_size, groups=in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.norm = MaskedBatchNorm(out_channels)
        nn.init.constant_(self.norm.bias, norm_bias)

    def forward(self, given: Tensor, result: Tensor) -> Tensor:
        """given [B, C, F, L], result [B, C', F', L'] -> result times its mask.

        Where an output's share of the input begins and ends depends on both sizes: pictures of
        unequal length have to be cut to their own, not padded.
        """
        pooled = F.adaptive_max_pool2d(given, result.shape[-2:])
        return result * torch.sigmoid(self.norm(self.pointwise(self.depthwise(pooled))))
