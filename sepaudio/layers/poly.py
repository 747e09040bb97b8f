"""PolyNet's unit of several orders: one set of convolutions, applied again and again.

Source: Zhang et al. 2016 (1611.05725), section 3.2, equation 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .activation import activation
from .conv import PictureConv
from .norm import MaskedBatchNorm


class _Shared(nn.Module):
    """A convolution that every order shares, with a norm of each order's own."""

    def __init__(self, channels: int, out: int, kernel: int | tuple[int, int], order: int):
        super().__init__()
        self.conv = PictureConv(channels, out, kernel, bias=False)
        self.norms = nn.ModuleList(MaskedBatchNorm(out) for _ in range(order))

    def forward(self, x: Tensor, turn: int) -> Tensor:
        y: Tensor = self.norms[turn](self.conv(x))
        return y


class PolyUnit(nn.Module):
    """x + s·(F(x) + F(F(x)) + ...): branches of convolutions F that are evaluated once per order.

    The convolutions within the branches are the same for every order, their norms and the 1x1
    convolution that leads back to the trunk are not.

    Args:
        channels: in and out.
        branches: each a list of (channels, kernel) of convolutions one after the other.
        order: how often F is applied; 2 is poly-2 and 3 is poly-3 of the paper.
        scale: s.
        act: of the convolutions, between the orders, and of the sum.
    """

    def __init__(
        self,
        channels: int,
        branches: Sequence[Sequence[tuple[int, int | tuple[int, int]]]],
        order: int = 3,
        scale: float = 1.0,
        act: str = "relu",
    ):
        super().__init__()
        self.branches = nn.ModuleList()
        for branch in branches:
            widths = (channels, *(width for width, _ in branch))
            self.branches.append(
                nn.ModuleList(
                    _Shared(before, width, kernel, order)
                    for before, (width, kernel) in zip(widths, branch, strict=False)
                )
            )
        joined = sum(branch[-1][0] for branch in branches)
        self.back = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(joined, channels, 1, bias=False),
                MaskedBatchNorm(channels),
            )
            for _ in range(order)
        )
        self.scale, self.act = scale, activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F, L]."""
        total = x
        for turn, back in enumerate(self.back):
            x = back(torch.cat([self._branch(branch, x, turn) for branch in self.branches], 1))
            total = torch.add(total, x, alpha=self.scale)
            x = self.act(x)
        y: Tensor = self.act(total)
        return y

    def _branch(self, units: nn.Module, x: Tensor, turn: int) -> Tensor:
        for unit in units:  # type: ignore[attr-defined]
            x = self.act(unit(x, turn))
        return x
