"""What detectors share: boxes that are told, boxes that are found, and the loss between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.boxes import clipped, encode, suppress
from ..layers.matching import matched

SHIFTS = (10.0, 5.0)  # weights of deltas, which are then about as large as logits


class Truth(NamedTuple):
    """Boxes [M, 4] of a picture, (start, end, low, high) in frames and bins; labels [M] from 0."""

    boxes: Tensor
    labels: Tensor


class Detections(NamedTuple):
    """What is found in a picture, best first: boxes [N, 4], labels [N] from 0, scores [N]."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


class Told(NamedTuple):
    """What a detector says of each anchor, before anything is chosen.

    Attributes:
        logits: [B, N, K + 1]; the first is that of nothing.
        deltas: [B, N, 4], see `encode`.
        anchors: [N, 4]
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor


@dataclass(frozen=True, kw_only=True)
class ChoiceCfg:
    """Which boxes are given out.

    Attributes:
        least: probability of a box.
        candidates: boxes per label that are looked at, the most probable ones.
        shared: share above which one of two boxes of a label is left out, see `suppress`.
        most: boxes of a picture.
    """

    least: float = 0.05
    candidates: int = 300
    shared: float = 0.55
    most: int = 100


def choose(boxes: Tensor, logits: Tensor, size: tuple[int, int], cfg: ChoiceCfg) -> Detections:
    """The boxes of one picture that are worth telling.

    Args:
        boxes: [N, 4]
        logits: [N, K + 1]; the first is that of nothing.
        size: (F, L) of the picture.
        cfg: what is worth it.
    """
    probabilities = logits.softmax(dim=-1)[:, 1:]
    scores, which = probabilities.topk(min(cfg.candidates, len(probabilities)), dim=0)  # [n, K]
    labels = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    good = scores > cfg.least
    found, labels, scores = clipped(boxes[which[good]], size), labels[good], scores[good]
    stays = suppress(found, scores, cfg.shared, labels)[: cfg.most]
    return Detections(found[stays], labels[stays], scores[stays])


def multibox_loss(
    told: Told, truths: Sequence[Truth], shared: float = 0.5, negatives: int = 3
) -> Tensor:
    """How far off a detector is: cross entropy, and the smooth distance of the boxes' deltas.

    Of anchors that are no box's, only those count that are most wrongly taken for something, so
    many for each anchor that is a box's. The sum is divided by the number of the latter.

    Source: Liu et al. 2015 (1512.02325), equations 1 to 3 and "hard negative mining".

    Args:
        told: of pictures.
        truths: one for each of them.
        shared: see `matched`.
        negatives: that count, per anchor of a box.
    """
    total, n = told.logits.new_zeros(()), 0
    for logits, deltas, truth in zip(told.logits, told.deltas, truths, strict=True):
        whose = matched(told.anchors, truth.boxes, shared)
        some = whose >= 0
        wanted = torch.zeros_like(whose)
        wanted[some] = truth.labels[whose[some]] + 1
        wrong = F.cross_entropy(logits, wanted, reduction="none")
        count = int(some.sum())
        hardest = wrong[~some].topk(min(negatives * count, int((~some).sum()))).values
        goal = encode(truth.boxes[whose[some]], told.anchors[some], SHIFTS)
        far = F.smooth_l1_loss(deltas[some], goal, reduction="sum")
        total = total + wrong[some].sum() + hardest.sum() + far
        n += count
    return total / max(n, 1)
