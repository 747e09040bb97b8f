"""What a map says inside of boxes, as small maps of one size.

Sources: He et al. 2017 (1703.06870), section 3, for the sampling without rounding; Dai et al. 2016
(1605.06409), section 3, and Li et al. 2017 (1711.07264) for bins that read channels of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def points(boxes: Tensor, stride: float, bins: int, samples: int, size: torch.Size) -> Tensor:
    """Where bins are sampled, boxes [R, 4] -> [R, bins, samples, bins, samples, 2] in [-1, 1].

    The last axis holds (time, frequency), as grid_sample wants them.
    """
    parts = (torch.arange(bins * samples, device=boxes.device) + 0.5).to(boxes) / (bins * samples)
    start, end, low, high = (boxes / stride).unbind(-1)
    long = start[:, None] + (end - start)[:, None] * parts - 0.5  # centres of places are whole
    tall = low[:, None] + (high - low)[:, None] * parts - 0.5
    scaled = [
        2 * at.clamp(0, n - 1) / max(n - 1, 1) - 1 for at, n in ((long, size[1]), (tall, size[0]))
    ]
    n = bins * samples
    grid = torch.stack(
        [scaled[0][:, None, :].expand(-1, n, n), scaled[1][:, :, None].expand(-1, n, n)], dim=-1
    )
    return grid.view(-1, bins, samples, bins, samples, 2)


def roi_align(x: Tensor, boxes: Tensor, stride: float, bins: int = 7, samples: int = 2) -> Tensor:
    """Map x [C, F, L] of one picture, boxes [R, 4] -> [R, C, bins, bins].

    A bin is the mean of samples² points, each a bilinear mean of four places. Beyond the map its
    edge goes on.

    Args:
        x: a map.
        boxes: in frames and bins of the picture.
        stride: of the map.
        bins: along each side of a box.
        samples: in each direction of a bin.
    """
    grid = points(boxes, stride, bins, samples, x.shape[1:]).reshape(1, -1, bins * samples, 2)
    y = F.grid_sample(x[None], grid, padding_mode="border", align_corners=True)
    y = y.view(len(x), len(boxes), bins, samples, bins, samples)
    return y.mean(dim=(3, 5)).transpose(0, 1)


def psroi_align(x: Tensor, boxes: Tensor, stride: float, bins: int = 7, samples: int = 2) -> Tensor:
    """Map x [C · bins², F, L] of one picture, boxes [R, 4] -> [R, C, bins, bins].

    As `roi_align`, but every bin reads C channels of its own: of output c, the bin in row i and
    column j reads channel (c · bins + i) · bins + j.

    Raises:
        ValueError: the channels are no multiple of bins².
    """
    if len(x) % bins**2:
        raise ValueError(f"{len(x)} channels: expected a multiple of {bins**2}, {bins} x {bins}")
    grid = points(boxes, stride, bins, samples, x.shape[1:])
    grid = grid.permute(1, 3, 0, 2, 4, 5).reshape(bins**2, len(boxes), samples**2, 2)
    own = x.view(-1, bins**2, *x.shape[1:]).transpose(0, 1)  # [bins², C, F, L]
    y = F.grid_sample(own, grid, padding_mode="border", align_corners=True).mean(dim=-1)
    return y.permute(2, 1, 0).reshape(len(boxes), len(x) // bins**2, bins, bins)
