"""How the embedding of a speaker meets the features of a mixture.

| name | what happens to x [B, C, L] given v [B, E] |
| --- | --- |
| concat | v beside every frame, then the widened 1x1 convolution [H, C + E] |
| add | x + W v + b |
| multiply | x * (W v + b) |
| film | x * (1 + W v + b) + (W' v + b') |

Sources: concat: Xu et al. 2019 (2004.14762) and the later systems of the same authors; multiply:
Zmolikova et al. 2019, SpeakerBeam; FiLM: Perez et al. 2017 (1709.07871).

The residual of a block is always its input before the condition. Because v is constant over
time, the widened convolution equals the plain one plus one bias per utterance, W_v v: that is
how `Concat` is computed, at no cost per frame.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .conv import TimeConv


class Concat(nn.Module):
    """The columns that a 1x1 convolution gains when v is concatenated to its input.

    Args:
        embedding: E, length of v.
        channels: C, of the features; unused, as these columns do not touch them.
        hidden: H, outputs of the convolution.
    """

    def __init__(self, embedding: int, channels: int, hidden: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, embedding))
        bound = (channels + embedding) ** -0.5  # as torch draws the widened convolution
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor, v: Tensor, conv: TimeConv) -> Tensor:
        """x [B, C, L], v [B, E] -> conv(x and v at every frame) [B, H, L]."""
        y: Tensor = conv(x) + (v @ self.weight.T)[..., None]
        return y

    def widened(self, conv: TimeConv) -> Tensor:
        """The weight [H, C + E, 1] that gives the same when v is really concatenated."""
        return torch.cat([conv.weight, self.weight[..., None]], dim=1)


class Add(nn.Module):
    """x + W v + b, then the convolution."""

    def __init__(self, embedding: int, channels: int, hidden: int):
        super().__init__()
        self.shift = nn.Linear(embedding, channels)

    def forward(self, x: Tensor, v: Tensor, conv: TimeConv) -> Tensor:
        """x [B, C, L], v [B, E] -> [B, H, L]."""
        y: Tensor = conv(x + self.shift(v)[..., None])
        return y


class Multiply(nn.Module):
    """x * (W v + b), then the convolution."""

    def __init__(self, embedding: int, channels: int, hidden: int):
        super().__init__()
        self.gain = nn.Linear(embedding, channels)
        nn.init.ones_(self.gain.bias)  # an untrained condition lets everything pass

    def forward(self, x: Tensor, v: Tensor, conv: TimeConv) -> Tensor:
        """x [B, C, L], v [B, E] -> [B, H, L]."""
        y: Tensor = conv(x * self.gain(v)[..., None])
        return y


class FiLM(nn.Module):
    """x * (1 + W v + b) + (W' v + b'), then the convolution."""

    def __init__(self, embedding: int, channels: int, hidden: int):
        super().__init__()
        self.both = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, v: Tensor, conv: TimeConv) -> Tensor:
        """x [B, C, L], v [B, E] -> [B, H, L]."""
        gain, shift = self.both(v)[..., None].chunk(2, dim=1)
        y: Tensor = conv(x * (1 + gain) + shift)
        return y


CONDITIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "concat": Concat,
    "add": Add,
    "multiply": Multiply,
    "film": FiLM,
}


def condition(name: str, embedding: int, channels: int, hidden: int) -> nn.Module:
    """The condition called `name`, for a convolution from `channels` to `hidden`.

    Raises:
        ValueError: no condition has that name.
    """
    if name not in CONDITIONS:
        raise ValueError(f"condition={name!r}: expected one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name](embedding, channels, hidden)
