"""Which anchor stands for which box in training.

Source: Liu et al. 2015 (1512.02325), section 2.2, "matching strategy"; Ren et al. 2015
(1506.01497), section 3.1.2, for anchors that stand for neither.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .boxes import overlap

NOTHING, UNSURE = -1, -2


def matched(anchors: Tensor, boxes: Tensor, shared: float, unsure: float | None = None) -> Tensor:
    """Anchors [N, 4], boxes [M, 4] of a picture -> for every anchor [N] the number of its box.

    An anchor's box is the one that it shares most with, if that is enough; NOTHING (-1) for none.
    Besides, every box has the anchor that shares most with it, however little that is.

    Args:
        anchors: of any number.
        boxes: perhaps none.
        shared: what is enough, of `overlap`.
        unsure: an anchor that shares less than `shared`, but this or more, is neither a box's nor
            nothing: UNSURE (-2).
    """
    if not len(boxes):
        return torch.full((len(anchors),), NOTHING, device=anchors.device)
    table = overlap(boxes, anchors)  # [M, N]
    most, whose = table.max(dim=0)
    least = shared if unsure is None else unsure
    whose = torch.where(most >= shared, whose, torch.where(most < least, NOTHING, UNSURE))
    best = table.argmax(dim=1)
    whose[best] = torch.arange(len(boxes), device=whose.device)
    return whose
