"""Channel shuffle, and the units of ShuffleNet v1 and v2 that need it.

Sources: Zhang et al. 2017 (1707.01083), figures 1 and 2; Ma et al. 2018 (1807.11164), figure 3.
"""

import torch
from torch import Tensor, nn

from .unit import ConvUnit


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """x [B, C, ...] -> the same, channels dealt out among the groups: AABB becomes ABAB.

    The inverse is a shuffle with C / groups groups. Any number of axes may follow the channels.

    Raises:
        ValueError: the groups do not divide the channels.
    """
    if x.shape[1] % groups:
        raise ValueError(f"groups={groups}: expected a divisor of the {x.shape[1]} channels")
    b, c, *rest = x.shape
    return x.reshape(b, groups, c // groups, *rest).transpose(1, 2).reshape(x.shape)


class ChannelShuffle(nn.Module):
    """`channel_shuffle` as a layer.

    Args:
        groups: of channels that are mixed.
    """

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, ...] -> [B, C, ...]."""
        return channel_shuffle(x, self.groups)


class GroupShuffleUnit(nn.Module):
    """The unit of ShuffleNet v1: 1x1 in groups, shuffle, depthwise 3x3, 1x1 in groups; plus input.

    Where the unit has a stride, the input is averaged over 3x3 and set beside the result.

    Args:
        in_channels: channels in.
        out_channels: channels out; a quarter of them lies between.
        stride: 1, or 2, which widens.
        groups: of the 1x1 convolutions.
        first_groups: of the first of them; 1 at the narrow end of the stem.
        shuffles: mix the groups; without it they stay strangers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        groups: int = 1,
        first_groups: int | None = None,
        shuffles: bool = True,
    ):
        super().__init__()
        if stride == 1 and in_channels != out_channels:
            raise ValueError(
                f"out_channels={out_channels} with stride=1: expected the {in_channels} that come "
                "in, which are added"
            )
        if stride > 1 and out_channels <= in_channels:
            raise ValueError(
                f"out_channels={out_channels} with stride={stride}: expected more than the "
                f"{in_channels} that come in, which stand beside the result"
            )
        inner = out_channels // 4
        made = out_channels if stride == 1 else out_channels - in_channels
        first = groups if first_groups is None else first_groups
        self.squeeze = ConvUnit(in_channels, inner, groups=first)
        self.shuffle = ChannelShuffle(groups) if shuffles else nn.Identity()
        self.depthwise = ConvUnit(inner, inner, 3, stride, groups=inner, act="none")
        self.expand = ConvUnit(inner, made, groups=groups, act="none")
        self.shortcut = nn.AvgPool2d(3, stride, 1) if stride > 1 else None
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y = self.expand(self.depthwise(self.shuffle(self.squeeze(x))))
        both = x + y if self.shortcut is None else torch.cat([y, self.shortcut(x)], dim=1)
        total: Tensor = self.act(both)
        return total


class SplitShuffleUnit(nn.Module):
    """The unit of ShuffleNet v2: half the channels pass untouched, half go through three layers.

    Where the unit has a stride, all channels go both ways, one of them through two layers.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        stride: 1, or 2, which may widen.
        kernel_size: of the depthwise convolutions; 5 in the trunks of ThunderNet.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, *, kernel_size: int = 3
    ):
        super().__init__()
        if stride == 1 and in_channels != out_channels:
            raise ValueError(
                f"out_channels={out_channels} with stride=1: expected the {in_channels} that come "
                "in, half of which pass untouched"
            )
        half = out_channels // 2
        given = in_channels if stride > 1 else half

        def depthwise(channels: int) -> ConvUnit:
            return ConvUnit(channels, channels, kernel_size, stride, groups=channels, act="none")

        self.splits = stride == 1
        self.shortcut = (
            nn.Identity() if self.splits else nn.Sequential(depthwise(given), ConvUnit(given, half))
        )
        self.branch = nn.Sequential(ConvUnit(given, half), depthwise(half), ConvUnit(half, half))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        left, right = x.chunk(2, dim=1) if self.splits else (x, x)
        return channel_shuffle(torch.cat([self.shortcut(left), self.branch(right)], dim=1), 2)
