"""Anchors: boxes of a few shapes around every place of a map, from which others are told.

Sources: Ren et al. 2015 (1506.01497), section 3.1.1; Liu et al. 2015 (1512.02325), section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Shape = tuple[float, float]  # length and height


def shapes(sizes: Sequence[float], ratios: Sequence[float]) -> list[Shape]:
    """All shapes of an area size² and a height that is `ratio` times the length.

    Args:
        sizes: [frames, or bins, of a square]
        ratios: of height to length.
    """
    return [(size / ratio**0.5, size * ratio**0.5) for ratio in ratios for size in sizes]


def ssd_shapes(
    levels: int, ratios: Sequence[float] = (2, 3), least: float = 0.2, most: float = 0.95
) -> list[list[Shape]]:
    """Shapes for every level, as parts of the picture, no side beyond its own.

    Sizes grow in a line from level to level. A level has a square of its size, one of the mean
    size of its own and the next, and for every ratio a long and a high shape.

    Source: Liu et al. 2015 (1512.02325), equation 4.

    Args:
        levels: how many.
        ratios: of the longer to the shorter side.
        least: size of the first level.
        most: size of the last level.
    """
    step = (most - least) / max(levels - 1, 1)
    sizes = [*(least + step * level for level in range(levels)), 1.0]
    found = []
    for size, following in pairwise(sizes):
        squares = [(side, side) for side in (size, math.sqrt(size * following))]
        long = [(size * ratio**0.5, size / ratio**0.5) for ratio in ratios]
        both = (pair for shape in long for pair in (shape, shape[::-1]))
        found.append([(min(a, 1.0), min(b, 1.0)) for a, b in (*squares, *both)])
    return found


def anchors(
    shapes: Sequence[Shape],
    places: tuple[int, int],
    step: tuple[float, float],
    like: Tensor,
    centre: float = 0.5,
) -> Tensor:
    """Boxes [F · L · A, 4] around every place of a map, from the lowest bin, frame by frame.

    Args:
        shapes: of the A boxes around a place, in frames and bins.
        places: of the map (F, L).
        step: bins and frames of the picture from one place to the next.
        like: of the dtype, but float32 at least, and on the device that the boxes shall have.
        centre: where in its step a place has its centre.
    """
    dtype, device = torch.promote_types(like.dtype, torch.float32), like.device
    half = torch.tensor(shapes, dtype=dtype, device=device) / 2  # [A, 2]
    high, long = (
        (torch.arange(n, dtype=dtype, device=device) + centre) * s
        for n, s in zip(places, step, strict=True)
    )
    grid = torch.stack(torch.meshgrid(high, long, indexing="ij")[::-1], dim=-1)  # [F, L, 2]
    middle = grid.reshape(-1, 1, 2)
    return torch.stack([middle - half, middle + half], dim=-1).reshape(-1, 4)
