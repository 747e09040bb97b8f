"""Branches of one input, and how their outputs meet.

Sources: Szegedy et al. 2014 (1409.4842), figure 2, for concatenation; Szegedy et al. 2016
(1602.07261), figure 20, for the scaled sum; Larsson et al. 2016 (1605.07648), section 3, for the
mean.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activation import activation
from .conv import tensorflow_pad

COMBINES = ("concat", "add", "mean")


class Branches(nn.Module):
    """Every branch hears the same input; their outputs are combined, and activated.

    Args:
        branches: an identity among them is a shortcut.
        combine: one of COMBINES.
        scale: "add" only: factor of all branches but the first, which is the trunk.
        act: a key of ACTIVATIONS.

    Raises:
        ValueError: no such way to combine.
    """

    def __init__(
        self,
        branches: Iterable[nn.Module],
        combine: str = "concat",
        *,
        scale: float = 1.0,
        act: str = "none",
    ):
        super().__init__()
        if combine not in COMBINES:
            raise ValueError(f"combine={combine!r}: expected one of {', '.join(COMBINES)}")
        self.branches = nn.ModuleList(branches)
        self.combine, self.scale, self.act = combine, scale, activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        heard = [branch(x) for branch in self.branches]
        if self.combine == "concat":
            y = torch.cat(heard, dim=1)
        elif self.combine == "mean":
            y = torch.stack(heard).mean(dim=0)
        else:
            y = heard[0]
            for more in heard[1:]:
                y = torch.add(y, more, alpha=self.scale)
        z: Tensor = self.act(y)
        return z


class SameMaxPool(nn.Module):
    """Maximum over a window, as many places out as from a convolution with padding "same".

    Where a reference takes the last window as it is, beyond the edge of an even picture, this is
    the same; an odd picture, which it cannot take, gives as many places as its other branches.

    Args:
        kernel: of the window.
        stride: of the window.
    """

    def __init__(self, kernel: int, stride: int):
        super().__init__()
        self.kernel, self.stride = (kernel, kernel), (stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, ceil(F / stride), ceil(L / stride)]."""
        padded = tensorflow_pad(x, self.kernel, self.stride, float("-inf"))
        return F.max_pool2d(padded, self.kernel, self.stride)


class WindowMeans(nn.Module):
    """Means over windows, which are stretched to at least so many places.

    Args:
        kernel: of the window.
        stride: of the window.
        least: places that come out at least, over frequency and over time.
    """

    def __init__(self, kernel: int, stride: int, least: int):
        super().__init__()
        self.kernel, self.stride, self.least = kernel, stride, least

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F', L']."""
        if min(x.shape[2:]) >= self.kernel:
            x = F.avg_pool2d(x, self.kernel, self.stride)
        high, wide = x.shape[2:]
        return F.adaptive_avg_pool2d(x, (max(high, self.least), max(wide, self.least)))
