"""Activations that are learned, and the gate of highway networks.

Sources: Goodfellow et al. 2013 (1302.4389), section 2; Agostinelli et al. 2014 (1412.6830),
equation 1; Srivastava et al. 2015 (1505.00387), equation 3.
"""

import torch
from torch import Tensor, nn


class Maxout(nn.Module):
    """The largest of several maps: a convex function that is learned, piece by piece.

    Args:
        layer: any layer with `pieces` times as many channels as are wanted.
        pieces: maps that compete; neighbours along the channels.
    """

    def __init__(self, layer: nn.Module, pieces: int = 2):
        super().__init__()
        self.layer, self.pieces = layer, pieces

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, ...] -> [B, C', ...], channels of the layer / pieces."""
        y: Tensor = self.layer(x)
        if y.shape[1] % self.pieces:
            raise ValueError(f"pieces={self.pieces}: expected a divisor of {y.shape[1]} channels")
        return y.reshape(len(y), -1, self.pieces, *y.shape[2:]).amax(dim=2)


class PiecewiseLinear(nn.Module):
    """max(0, x) + Σ a_s max(0, b_s - x), with hinges of its own for every channel.

    Args:
        channels: C.
        hinges: S; 0 is ReLU.
    """

    def __init__(self, channels: int, hinges: int = 1):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(hinges, channels))
        self.hinge = nn.Parameter(torch.rand(hinges, channels) - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, ...] -> [B, C, ...]."""
        ones = [1] * (x.ndim - 2)
        y = torch.relu(x)
        for slope, hinge in zip(self.slope, self.hinge, strict=True):
            y = y + slope.view(-1, *ones) * torch.relu(hinge.view(-1, *ones) - x)
        return y


class Highway(nn.Module):
    """H(x) T(x) + x (1 - T(x)): a gate decides, place by place, whether the layer is passed.

    Args:
        layer: H, from x to the shape of x.
        gate: from x to the shape of x, before the sigmoid that makes it T.
        bias: that the gate begins with; negative values carry the input on, -1 to -3 in the paper.
    """

    def __init__(self, layer: nn.Module, gate: nn.Module, bias: float = -1.0):
        super().__init__()
        self.layer, self.gate = layer, gate
        if isinstance(getattr(gate, "bias", None), nn.Parameter):
            nn.init.constant_(gate.bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, ...] -> [B, C, ...]."""
        share = torch.sigmoid(self.gate(x))
        y: Tensor = torch.lerp(x, self.layer(x), share)
        return y
