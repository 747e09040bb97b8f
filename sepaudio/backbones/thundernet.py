"""ThunderNet: two stages that are both small, on a trunk with a wide view.

Context enhancement sums a fine map, a coarse one and the mean of the coarse one; few proposals come
from a separable head, whose features also say which places of the map are foreground; every bin of
a proposal reads five channels of its own.

Source: Qin et al. 2019 (1903.11752), section 3 and figure 2. Boxes are suppressed, where the paper
lowers their scores; one set of deltas serves all labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import ConvUnit, MaskedBatchNorm
from ..layers.anchors import shapes
from ..layers.boxes import decode
from ..layers.roi import psroi_align
from ..layers.rpn import RPN, ProposalCfg, Said, proposals, rpn_loss
from .detect import SHIFTS, ChoiceCfg, Detections, Told, Truth, choose, multibox_loss
from .network import he_init
from .ssdlite import Taps
from .table import backbone, scaled, wide


@dataclass(frozen=True, kw_only=True)
class ThunderNetCfg:
    """What ThunderNet is made of.

    Attributes:
        trunk: name of an image network; what is read is its map before its last halving.
        bins: of a proposal, along each side.
        thin: channels that each bin reads.
        proposing: channels of the features that proposals come from.
        hidden: units between what is read and what is told.
        sizes: of the anchors [frames, or bins, of a square].
        ratios: of their height to their length.
        proposal: what is proposed.
        choice: which boxes are given out.
    """

    trunk: str = "snet49"
    bins: int = 7
    thin: int = 5
    proposing: int = wide(256)
    hidden: int = wide(1024)
    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    ratios: tuple[float, ...] = (0.5, 0.75, 1.0, 4 / 3, 2.0)
    proposal: ProposalCfg = field(default_factory=ProposalCfg)
    choice: ChoiceCfg = field(default_factory=ChoiceCfg)


NAMES = {f"thundernet_snet{n}": ThunderNetCfg(trunk=f"snet{n}") for n in (49, 146, 535)}


class Judged(NamedTuple):
    """What both stages say.

    Attributes:
        said: of every anchor.
        boxes: proposals of each picture, [R, 4].
        logits: of each picture's proposals, [R, K + 1]; the first is that of nothing.
        deltas: of each picture's proposals, [R, 4], see `encode`.
    """

    said: Said
    boxes: list[Tensor]
    logits: list[Tensor]
    deltas: list[Tensor]


class ContextEnhancement(nn.Module):
    """A fine map, the coarse one at its size and the coarse one's mean, 1x1 each, summed.

    Args:
        fine: channels of the fine map.
        coarse: channels of the coarse one.
        channels: out.
    """

    def __init__(self, fine: int, coarse: int, channels: int):
        super().__init__()
        self.fine = nn.Conv2d(fine, channels, 1)
        self.coarse = nn.Conv2d(coarse, channels, 1)
        self.whole = nn.Conv2d(coarse, channels, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fine [B, C, F, L], coarse [B, C', F', L'] -> [B, C'', F, L]."""
        near: Tensor = self.fine(fine)
        wider = F.interpolate(self.coarse(coarse), size=near.shape[2:], mode="nearest")
        mean: Tensor = self.whole(coarse.mean(dim=(2, 3), keepdim=True))
        return near + wider + mean


class SpatialAttention(nn.Module):
    """A map times a mask of its own size, which the features of proposals make.

    Args:
        features: channels of the features.
        channels: of the map.
    """

    def __init__(self, features: int, channels: int):
        super().__init__()
        self.mask = nn.Conv2d(features, channels, 1, bias=False)
        self.norm = MaskedBatchNorm(channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x [B, C, F, L], features [B, C', F, L] -> [B, C, F, L], nowhere larger than x."""
        return x * torch.sigmoid(self.norm(self.mask(features)))


class ThunderNet(nn.Module):
    """Boxes of K labels in a picture.

    Args:
        cfg: what it is made of.
        in_channels: of the picture.
        n_classes: labels (K).
        multiplier: scales all widths but those that bins read.
    """

    def __init__(
        self, cfg: ThunderNetCfg, in_channels: int = 3, n_classes: int = 1, multiplier: float = 1.0
    ):
        super().__init__()
        cfg = scaled(cfg, width=multiplier)
        self.cfg, self.n_classes = cfg, n_classes
        self.taps = Taps(backbone(cfg.trunk, in_channels, multiplier))
        read, wide = cfg.thin * cfg.bins**2, cfg.proposing
        self.context = ContextEnhancement(*self.taps.channels, read)
        body = nn.Sequential(
            ConvUnit(read, read, 5, groups=read), ConvUnit(read, wide, norm="none")
        )
        he_init(body)
        self.rpn = RPN(read, [shapes(cfg.sizes, cfg.ratios)], body, wide)
        self.attention = SpatialAttention(wide, read)
        self.hidden = nn.Linear(read, cfg.hidden)
        self.labels, self.places = nn.Linear(cfg.hidden, n_classes + 1), nn.Linear(cfg.hidden, 4)

    def forward(self, picture: Tensor, also: Sequence[Tensor] | None = None) -> Judged:
        """picture [B, C, F, L] -> what is said of anchors, and of the proposals among them.

        Args:
            picture: what is heard.
            also: boxes [M, 4] of each picture that are judged besides the proposals.

        Raises:
            ValueError: the picture is smaller than the trunk can take.
        """
        size = (picture.shape[2], picture.shape[3])
        x = self.context(*self.taps(picture))
        said, (features,) = self.rpn([x], size)
        found = [boxes for boxes, _ in proposals(said, size, self.cfg.proposal)]
        if also is not None:
            found = [torch.cat(pair) for pair in zip(found, also, strict=True)]
        x = self.attention(x, features)
        read = [
            psroi_align(y, boxes, self.taps.stride, self.cfg.bins).flatten(1)
            for y, boxes in zip(x, found, strict=True)
        ]
        hidden = [F.relu(self.hidden(y)) for y in read]
        logits, deltas = ([part(y) for y in hidden] for part in (self.labels, self.places))
        return Judged(said, found, logits, deltas)

    @torch.no_grad()
    def detect(self, picture: Tensor) -> list[Detections]:
        """picture [B, C, F, L] -> what is found in each; in evaluation mode."""
        judged, size = self(picture), (picture.shape[2], picture.shape[3])
        return [
            choose(decode(deltas, boxes, SHIFTS), logits, size, self.cfg.choice)
            for boxes, logits, deltas in zip(*judged[1:], strict=True)
        ]

    def loss(self, picture: Tensor, truths: Sequence[Truth]) -> Tensor:
        """picture [B, C, F, L] and what is in each -> how far off both stages are.

        True boxes are judged too; anchors are drawn at random, see `rpn_loss`.
        """
        true = [truth.boxes for truth in truths]
        judged = self(picture, true)
        second = [
            multibox_loss(Told(logits[None], deltas[None], boxes), [truth])
            for boxes, logits, deltas, truth in zip(*judged[1:], truths, strict=True)
        ]
        return rpn_loss(judged.said, true) + torch.stack(second).mean()
