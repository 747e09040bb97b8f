"""What training leaves out or starts small: whole branches, and the size of branches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MODES = ("row", "batch")


class DropPath(nn.Module):
    """Leaves out a branch at random in training (stochastic depth).

    Mode "row" draws for every row of the batch, "batch" once for all of it; a branch that is left
    out for all is not run. What is kept is divided by the share that is kept, so that evaluation
    changes nothing; with `rescale=False` evaluation multiplies by the share instead, as the paper
    does. The mean over all draws is the same.

    Sources: Huang et al. 2016 (1603.09382), eq. 2 and 5, per batch; the rest is common use.

    Args:
        rate: share of draws that leave out.
        mode: "row" or "batch".
        rescale: in training; False for the paper's rule.
    """

    def __init__(self, rate: float = 0.0, mode: str = "row", rescale: bool = True):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate={rate}: expected a share below 1")
        if mode not in MODES:
            raise ValueError(f"mode={mode!r}: expected one of {', '.join(MODES)}")
        self.rate, self.mode, self.rescale = rate, mode, rescale

    def extra_repr(self) -> str:
        """What torch prints."""
        return f"rate={self.rate:g}, mode={self.mode}"

    def forward(self, x: Tensor) -> Tensor:
        """The output of a branch, x [B, ...] -> [B, ...], zero where it is left out."""
        if not self.rate:
            return x
        kept = 1 - self.rate
        if not self.training:
            return x if self.rescale else x * kept
        rows = len(x) if self.mode == "row" else 1
        drawn = torch.bernoulli(x.new_full((rows, *[1] * (x.ndim - 1)), kept))
        return x * (drawn / kept if self.rescale else drawn)

    def of(self, branch: nn.Module, x: Tensor) -> Tensor | float:
        """What `branch` adds to a sum; 0 where it is left out for the whole batch."""
        if not (self.rate and self.training and self.mode == "batch"):
            out: Tensor = self(branch(x))
            return out
        kept = 1 - self.rate
        if torch.rand(()) >= kept:
            return 0.0
        y: Tensor = branch(x)
        return y / kept if self.rescale else y


def drop_rates(last: float, blocks: int) -> list[float]:
    """Rates that rise in a line over all blocks of a network, l / L of the last one's.

    Source: Huang et al. 2016 (1603.09382), eq. 4.
    """
    return [last * (n + 1) / blocks for n in range(blocks)]


class LayerScale(nn.Module):
    """A gain per channel, small at first.

    Source: Touvron et al. 2021 (2103.17239), section 2.
    """

    def __init__(self, channels: int, first: float = 1e-6):
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels,), first))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] or [B, C, L] -> the same shape."""
        return x * self.gain.view(-1, *[1] * (x.ndim - 2))
