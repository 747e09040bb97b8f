"""Layers of networks without norms: convolutions with standardised weights, activations with gains.

Sources: Brock et al. 2021 (2101.08692), section 4; 2021 (2102.06171), section 2 and appendix C.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import PADDING, convolve

# One over the deviation of act(x), x normal with deviation one
GAINS = {
    "none": 1.0,
    "relu": 1.7139588594436646,
    "gelu": 1.7015043497085571,
    "swish": 1.7881293296813965,
}


class ScaledConv(nn.Module):
    """`PictureConv` whose filters have mean zero and, before their gains, fan-in times variance 1.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number.
        stride: the same of the step.
        groups: groups of channels that do not mix.
        padding: one of PADDING.
        act_gain: of the activation before it, where that has none itself.
        first: what the learned gain of each filter starts with.
        bias: add a bias per output channel.
        eps: added to the variance of a filter.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        padding: str = "same",
        act_gain: float = 1.0,
        first: float = 1.0,
        bias: bool = True,
        eps: float = 1e-5,
    ):
        super().__init__()
        if padding not in PADDING:
            raise ValueError(f"padding={padding!r}: expected one of {', '.join(PADDING)}")
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.groups, self.padding, self.act_gain, self.eps = groups, padding, act_gain, eps
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, groups=groups, bias=bias)
        self.weight, self.bias = conv.weight, conv.bias
        self.gain = nn.Parameter(torch.full((out_channels, 1, 1, 1), first))
        nn.init.normal_(self.weight, std=self.weight[0].numel() ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def standardized(self) -> Tensor:
        """The filters that are convolved with: mean 0, variance (gains)² / fan-in."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        scale = self.gain * self.act_gain * self.weight[0].numel() ** -0.5
        weight: Tensor = (self.weight - mean) * ((variance + self.eps).rsqrt() * scale)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        weight = self.standardized()
        return convolve(x, weight, self.bias, self.stride, groups=self.groups, padding=self.padding)


class Scale(nn.Module):
    """x times a fixed factor, and times a learned one that starts at `first` where that is given.

    Source: De & Smith 2020 (2002.10444), SkipInit, for the learned one.
    """

    def __init__(self, factor: float = 1.0, first: float | None = None):
        super().__init__()
        self.factor = factor
        self.gain = None if first is None else nn.Parameter(torch.tensor(first))

    def forward(self, x: Tensor) -> Tensor:
        """Any x -> the same shape."""
        return x * self.factor if self.gain is None else x * (self.gain * self.factor)
