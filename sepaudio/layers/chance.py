"""Layers that draw in training and take the expectation after it, and a pool that is learned.

Sources: Wan et al. 2013, section 3 (DropConnect); Zeiler & Fergus 2013 (1301.3557), section 3;
Lee et al. 2015 (1509.08985), section 3.1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DropConnect(nn.Module):
    """A linear layer that leaves out weights, not outputs: every sample draws its own.

    Differs: evaluation uses the mean weights; the paper fits a normal distribution before the
    activation.

    Args:
        in_features: numbers in.
        out_features: numbers out.
        share: of the weights that training leaves out.
    """

    def __init__(self, in_features: int, out_features: int, share: float = 0.5):
        super().__init__()
        self.linear, self.share = nn.Linear(in_features, out_features), share

    def forward(self, x: Tensor) -> Tensor:
        """x [B, D] -> [B, D']."""
        if not self.training or not self.share:
            y: Tensor = self.linear(x)
            return y
        weight = self.linear.weight.expand(len(x), -1, -1)
        kept = F.dropout(weight, self.share)  # divides by the share that is kept
        return torch.einsum("boi,bi->bo", kept, x) + self.linear.bias


def _windows(x: Tensor, size: int) -> Tensor:
    """x [B, C, F, L] -> [B, C, F', L', size²], without what is left over at the far edges."""
    return x.unfold(2, size, size).unfold(3, size, size).flatten(-2)


class StochasticPool(nn.Module):
    """One value of each window, drawn as often as it is large; their expectation in evaluation.

    Args:
        size: of the windows, which do not overlap; the inputs are not negative.
    """

    def __init__(self, size: int = 2):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F / size, L / size]."""
        window = _windows(x, self.size)
        weights = window.clamp_min(0) + torch.finfo(x.dtype).tiny  # a silent window draws evenly
        share = weights / weights.sum(dim=-1, keepdim=True)
        if not self.training:
            return (share * window).sum(dim=-1)
        drawn = torch.multinomial(share.flatten(0, -2), 1).view(*share.shape[:-1], 1)
        return window.gather(-1, drawn)[..., 0]


class MixedPool(nn.Module):
    """a max + (1 - a) mean of each window, the share a learned.

    Args:
        size: of the windows.
        stride: from one to the next; by default they do not overlap.
    """

    def __init__(self, size: int = 2, stride: int | None = None):
        super().__init__()
        self.size, self.stride = size, stride or size
        self.balance = nn.Parameter(torch.zeros(()))  # a = 1/2

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F', L']."""
        mean = F.avg_pool2d(x, self.size, self.stride)
        largest = F.max_pool2d(x, self.size, self.stride)
        return torch.lerp(mean, largest, torch.sigmoid(self.balance))
