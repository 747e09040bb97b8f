"""Gates of the two streams of SAUNet: where there is an edge, and what matters where.

Sources: Sun et al. 2020 (2001.07645), sections 2.1 and 2.2; Takikawa et al. 2019 (1907.05740),
equations 1 and 2, for the gate of the shape stream.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .inverted import SqueezeExcite
from .norm import MaskedBatchNorm
from .skip import doubling, fitted
from .unit import ConvUnit

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def ridges(picture: Tensor) -> Tensor:
    """How steep a picture is, picture [B, C, F, L] -> [B, 1, F, L] from 0 to 1, its steepest place.

    The length of the gradient of the mean over the channels, by 3x3 differences; a picture of one
    value has none. Where onsets and harmonics are, in a spectrogram.

    Source: Sobel & Feldman 1968.
    """
    along = picture.new_tensor(SOBEL)
    kernels = torch.stack([along, along.T])[:, None]
    grey = F.pad(picture.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    steep = F.conv2d(grey, kernels).square().sum(dim=1, keepdim=True).sqrt()
    most = steep.amax(dim=(2, 3), keepdim=True)
    return steep / torch.where(most > 0, most, 1.0)


class ShapeGate(nn.Module):
    """Features times one and a mask, which they and a map of coarser features make; then 1x1.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.norm = MaskedBatchNorm(channels + 1)
        self.mix = nn.Conv2d(channels + 1, channels + 1, 1)
        self.judge = nn.Conv2d(channels + 1, 1, 1)
        self.judge_norm = MaskedBatchNorm(1)
        self.last = nn.Conv2d(channels, channels, 1, bias=False)

    def mask(self, x: Tensor, coarse: Tensor) -> Tensor:
        """x [B, C, F, L], coarse [B, 1, F, L] -> [B, 1, F, L] from 0 to 1."""
        y = self.mix(self.norm(torch.cat([x, coarse], dim=1)))
        return torch.sigmoid(self.judge_norm(self.judge(F.relu(y))))

    def forward(self, x: Tensor, coarse: Tensor) -> Tensor:
        """x [B, C, F, L], coarse [B, 1, F, L] -> [B, C, F, L]."""
        y: Tensor = self.last(x * (1 + self.mask(x, coarse)))
        return y


class SpatialGate(nn.Module):
    """A mask over the places, the same for all channels.

    Args:
        channels: channels in.
        inner: channels between its two 1x1 convolutions.
    """

    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.squeeze = ConvUnit(channels, inner)
        self.judge = nn.Conv2d(inner, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, 1, F, L] from 0 to 1."""
        return torch.sigmoid(self.judge(self.squeeze(x)))


class DualAttention(nn.Module):
    """A step up of a decoder: a doubled map and a skip, mixed and weighed by channel and by place.

    Args:
        deep: channels from below.
        skip: channels of the skip.
        channels: channels out.
        reduction: of the squeeze-and-excitation.
    """

    def __init__(self, deep: int, skip: int, channels: int, reduction: int = 16):
        super().__init__()
        self.up = doubling(deep, deep, 4)
        self.up_norm = MaskedBatchNorm(deep)
        self.mix = ConvUnit(deep + skip, channels, 3, bias=True)
        self.place = SpatialGate(channels, max(channels // 4, 1))
        self.channel = SqueezeExcite(channels, max(channels // reduction, 1))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Deep [B, C, F', L'], skip [B, C', F, L], F of about 2 F' -> [B, C'', F, L]."""
        up = fitted(F.relu(self.up_norm(self.up(deep))), skip.shape[2:])
        x = self.mix(torch.cat([skip, up], dim=1))
        y: Tensor = self.channel(x) * (1 + self.place(x))
        return y
