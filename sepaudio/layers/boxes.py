"""Boxes in a picture: (start, end, low, high), along its frames and bins.

A place of a map of stride s stands for s frames and s bins. Boxes are measured in frames and bins
of the picture, as real numbers: the first frame is from 0 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)  # how much a box may outgrow its anchor, as a logarithm


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [..., 4] -> lengths [...] in frames, heights [...] in bins."""
    start, end, low, high = boxes.unbind(-1)
    return end - start, high - low


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Boxes a [N, 4], b [M, 4] -> what they share, as part of what they cover [N, M]; 0 for none.

    Also known as intersection over union, or the Jaccard index.
    """
    start, low = (torch.maximum(a[:, None, i], b[None, :, i]) for i in (0, 2))
    end, high = (torch.minimum(a[:, None, i], b[None, :, i]) for i in (1, 3))
    shared = (end - start).clamp(min=0) * (high - low).clamp(min=0)
    (long_a, high_a), (long_b, high_b) = sides(a), sides(b)
    covered = (long_a * high_a)[:, None] + (long_b * high_b)[None] - shared
    return shared / torch.where(covered > 0, covered, 1.0)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [..., 4] -> the same, cut to a picture of (F, L)."""
    start, end, low, high = boxes.unbind(-1)
    return torch.stack(
        [
            start.clamp(0, size[1]),
            end.clamp(0, size[1]),
            low.clamp(0, size[0]),
            high.clamp(0, size[0]),
        ],
        dim=-1,
    )


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Boxes [..., 4] as seen from anchors [..., 4] -> deltas [..., 4].

    They are the shifts of the centre in time and in frequency, as parts of the anchor's sides, and
    the logarithms of how much longer and higher the box is.

    Source: Girshick et al. 2013 (1311.2524), appendix C, equations 6 to 9.

    Args:
        boxes: with sides above 0.
        anchors: the same.
        weights: of the shifts and of the logarithms; (10, 5) in SSD.
    """
    (long, tall), (wide, high) = sides(boxes), sides(anchors)
    apart = boxes - anchors
    shift = (
        (apart[..., 0::2] + apart[..., 1::2]) / 2 / torch.stack([wide, high], dim=-1) * weights[0]
    )
    growth = torch.stack([(long / wide).log(), (tall / high).log()], dim=-1) * weights[1]
    return torch.cat([shift, growth], dim=-1)


def decode(deltas: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Deltas [..., 4] from anchors [..., 4] -> boxes [..., 4]; what `encode` did, undone.

    No box grows beyond 62.5 times its anchor.
    """
    size = torch.stack(sides(anchors), dim=-1)
    centre = (anchors[..., 0::2] + anchors[..., 1::2]) / 2 + deltas[..., :2] / weights[0] * size
    half = size * (deltas[..., 2:] / weights[1]).clamp(max=LARGEST).exp() / 2
    first, last = centre - half, centre + half
    return torch.stack([first, last], dim=-1).flatten(-2)


def suppress(
    boxes: Tensor, scores: Tensor, threshold: float, labels: Tensor | None = None
) -> Tensor:
    """Non-maximum suppression: boxes [N, 4], scores [N] -> indices of those that stay, best first.

    From the best box down, each that stays removes all below it with which it shares more than
    `threshold`. All are judged at once, again and again until nothing changes: a box is settled
    when those above it are.

    Args:
        boxes: of one picture.
        scores: of the boxes.
        threshold: of `overlap`.
        labels: [N]; a box removes those of its own label only. None for one label.
    """
    if labels is not None:  # apart, since the table of all with all may not fit into memory
        groups = [(labels == label).nonzero()[:, 0] for label in torch.unique(labels)]
        left = [rows[suppress(boxes[rows], scores[rows], threshold)] for rows in groups]
        stays = torch.cat([*left, labels.new_zeros(0, dtype=torch.long)])
        return stays[scores[stays].argsort(descending=True, stable=True)]
    order = scores.argsort(descending=True, stable=True)
    removes = (overlap(boxes[order], boxes[order]) > threshold).triu(1)
    stays = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    while True:
        now = ~(removes & stays[:, None]).any(dim=0)
        if torch.equal(now, stays):
            return order[stays]
        stays = now
