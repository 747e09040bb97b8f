"""Region proposals: boxes of something, whatever it is, from the maps of a trunk.

Source: Ren et al. 2015 (1506.01497), section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .anchors import Shape, anchors
from .boxes import clipped, decode, encode, sides, suppress
from .matching import matched
from .unit import ConvUnit


class Said(NamedTuple):
    """What is said of every anchor.

    Attributes:
        logits: [B, N] of something.
        deltas: [B, N, 4], see `encode`.
        anchors: [N, 4]
        counts: anchors of every map, finest first; N in sum.
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ProposalCfg:
    """Which boxes are proposed.

    Attributes:
        before: of every map, the likeliest, that are looked at.
        after: that are proposed at most.
        shared: share above which one of two boxes of a map is left out, see `suppress`.
        smallest: side of a box [frames and bins].
    """

    before: int = 1000
    after: int = 200
    shared: float = 0.7
    smallest: float = 1e-3


class RPN(nn.Module):
    """Anchors around every place, the likelihood that they hold something, and where its edges are.

    Args:
        channels: of the maps.
        shapes: of the anchors of every map, of as many for each.
        body: what the maps pass first; by default a 3x3 convolution and ReLU.
        width: channels behind it.
        centre: where in its step a place has its anchors' centre.
    """

    def __init__(
        self,
        channels: int,
        shapes: Sequence[Sequence[Shape]],
        body: nn.Module | None = None,
        width: int | None = None,
        centre: float = 0.5,
    ):
        super().__init__()
        each = {len(here) for here in shapes}
        if len(each) != 1:
            raise ValueError(f"{sorted(each)} anchors a place: expected as many for every map")
        wide, n = width or channels, each.pop()
        self.shapes, self.centre = [list(here) for here in shapes], centre
        self.body = body or ConvUnit(channels, wide, 3, norm="none")
        self.something, self.edges = nn.Conv2d(wide, n, 1), nn.Conv2d(wide, 4 * n, 1)
        for layer in (self.something, self.edges):
            nn.init.normal_(layer.weight, std=0.01)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> tuple[Said, list[Tensor]]:
        """Maps [B, C, F', L'], finest first, size (F, L) of the picture -> what is said, features.

        The features [B, C', F', L'] are what the body gives, as others may want to hear them.
        """
        heard, logits, deltas, around = list[Tensor](), [], [], []
        for shapes, x in zip(self.shapes, maps, strict=True):
            y = self.body(x)
            heard.append(y)
            logits.append(self.something(y).movedim(1, -1).flatten(1))
            deltas.append(self.edges(y).movedim(1, -1).reshape(len(x), -1, 4))
            places = (x.shape[2], x.shape[3])
            step = (size[0] / places[0], size[1] / places[1])
            around.append(anchors(shapes, places, step, x, self.centre))
        counts = tuple(len(found) for found in around)
        said = Said(torch.cat(logits, 1), torch.cat(deltas, 1), torch.cat(around), counts)
        return said, heard


@torch.no_grad()
def proposals(
    said: Said, size: tuple[int, int], cfg: ProposalCfg | None = None
) -> list[tuple[Tensor, Tensor]]:
    """What is said of anchors -> of each picture boxes [R, 4], and likelihoods [R], best first.

    Args:
        said: of pictures.
        size: of them (F, L).
        cfg: what is proposed.
    """
    cfg, found = cfg or ProposalCfg(), []
    for logits, deltas in zip(said.logits, said.deltas, strict=True):
        which, levels, first = [], [], 0
        for level, (count, here) in enumerate(
            zip(said.counts, logits.split(said.counts), strict=True)
        ):
            best = here.topk(min(cfg.before, count)).indices + first
            which.append(best)
            levels.append(torch.full_like(best, level))
            first += count
        some, level_of = torch.cat(which), torch.cat(levels)
        boxes = clipped(decode(deltas[some], said.anchors[some]), size)
        large = torch.stack(sides(boxes)).amin(dim=0) >= cfg.smallest
        boxes, scores = boxes[large], logits[some][large].sigmoid()
        stays = suppress(boxes, scores, cfg.shared, level_of[large])[: cfg.after]
        found.append((boxes[stays], scores[stays]))
    return found


def rpn_loss(
    said: Said, boxes: Sequence[Tensor], shared: float = 0.7, unsure: float = 0.3, n: int = 256
) -> Tensor:
    """How far off proposals are: cross entropy of something, and the smooth distance of its edges.

    Of every picture n anchors are drawn, at most half of which are a box's.

    Args:
        said: of pictures.
        boxes: true ones [M, 4] of each of them.
        shared: see `matched`.
        unsure: the same.
        n: anchors that count.
    """
    total = said.logits.new_zeros(())
    for logits, deltas, true in zip(said.logits, said.deltas, boxes, strict=True):
        whose = matched(said.anchors, true, shared, unsure)
        some, none = _drawn(whose >= 0, n // 2), _drawn(whose == -1, n)
        none = none[: n - len(some)]
        both = torch.cat([some, none])
        wanted = torch.zeros_like(logits[both])
        wanted[: len(some)] = 1
        total = total + F.binary_cross_entropy_with_logits(logits[both], wanted)
        goal = encode(true[whose[some]], said.anchors[some])
        far = F.smooth_l1_loss(deltas[some], goal, beta=1 / 9, reduction="sum")
        total = total + far / len(both)
    return total / len(boxes)


def _drawn(among: Tensor, n: int) -> Tensor:
    """Indices of at most n that are true, at random."""
    found = among.nonzero()[:, 0]
    return found[torch.randperm(len(found), device=found.device)[:n]]
