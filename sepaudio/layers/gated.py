"""Gated convolutions: half of the filters say what, the other half how much."""

import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from .conv import TimeConv
from .separable import SeparableConv1d


def gate(x: Tensor) -> Tensor:
    """x [B, 2C, ...] -> tanh(first half) * sigmoid(second half), [B, C, ...].

    Source: van den Oord et al. 2016 (1606.05328), eq. 1.
    """
    what, how_much = x.chunk(2, dim=1)
    return torch.tanh(what) * torch.sigmoid(how_much)


class GatedConv1d(nn.Module):
    """Convolution over time with `filters` filters, then the gate: filters / 2 channels out.

    Args:
        in_channels: channels in.
        filters: before the gate; even.
        kernel_size: [frames]
        separable: depthwise and pointwise instead of one dense convolution.
        causal: see `TimeConv`.
    """

    def __init__(
        self,
        in_channels: int,
        filters: int,
        kernel_size: int,
        *,
        separable: bool = False,
        causal: bool = True,
    ):
        super().__init__()
        if filters % 2:
            raise ValueError(f"filters={filters}: expected an even number; the gate halves it")
        conv = SeparableConv1d if separable else TimeConv
        self.conv = conv(in_channels, filters, kernel_size, causal=causal)

    def forward(self, x: Tensor, dilation: int = 1, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> [B, filters / 2, L]."""
        return gate(self.conv(x, dilation, context))
