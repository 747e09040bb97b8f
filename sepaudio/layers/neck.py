"""From the maps of a trunk to a pyramid of maps of one width, finest first.

Source: Lin et al. 2016 (1612.03144), figure 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import PictureConv

MORE = ("", "pool", "convolutions")


class FPN(nn.Module):
    """Every level hears all coarser ones: 1x1 to one width, added to the coarser level, then 3x3.

    Args:
        in_channels: of the trunk's maps, finest first.
        channels: of every level.
        more: coarser levels than the trunk's: "" for none; "pool" for one, every other place of
            the coarsest; "convolutions" for two, 3x3 of stride 2 from the trunk's last map, as in
            RetinaNet.

    Raises:
        ValueError: no such further levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256, more: str = ""):
        super().__init__()
        if more not in MORE:
            raise ValueError(f"more={more!r}: expected one of {', '.join(map(repr, MORE))}")
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(PictureConv(channels, channels, 3) for _ in in_channels)
        self.more, self.further = more, nn.ModuleList()
        if more == "convolutions":
            widths = (in_channels[-1], channels)
            self.further.extend(PictureConv(c, channels, 3, 2) for c in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [B, C, F, L], finest first -> levels [B, C', F, L], finest first."""
        levels, coarser = list[Tensor](), None
        for lateral, smooth, x in zip(
            reversed(self.lateral), reversed(self.smooth), reversed(maps), strict=True
        ):
            y = lateral(x)
            if coarser is not None:
                y = y + F.interpolate(coarser, size=y.shape[2:], mode="nearest")
            coarser = y
            levels.insert(0, smooth(y))
        if self.more == "pool":
            levels.append(F.max_pool2d(levels[-1], 1, 2))
        x = maps[-1]
        for n, layer in enumerate(self.further):
            x = layer(F.relu(x) if n else x)
            levels.append(x)
        return levels
