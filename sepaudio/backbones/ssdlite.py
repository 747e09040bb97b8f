"""SSDLite: boxes from maps of six sizes, told by separable convolutions, on any trunk.

Sources: Liu et al. 2015 (1512.02325), figure 2; Sandler et al. 2018 (1801.04381), section 6.2;
Howard et al. 2019 (1905.02244), section 6.3, for the trunks whose last stage is halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ..layers import ConvUnit, InvertedResidual
from ..layers.anchors import anchors, ssd_shapes
from ..layers.boxes import decode
from .detect import SHIFTS, ChoiceCfg, Detections, Told, Truth, choose, multibox_loss
from .network import Network, he_init
from .table import backbone, scaled, wide

UNIT = partial(ConvUnit, act="relu6", eps=1e-3)


@dataclass(frozen=True, kw_only=True)
class SSDLiteCfg:
    """What SSDLite is made of.

    Attributes:
        trunk: name of an image network.
        further: channels of the maps beyond the trunk's, each of half the size of the one before.
        ratios: of anchors, the longer to the shorter side.
        least: size of the anchors of the finest map, as a part of the picture.
        most: of those of the coarsest.
        choice: which boxes are given out.
    """

    trunk: str = "mobilenet_v2"
    further: tuple[int, ...] = wide((512, 256, 256, 128))
    ratios: tuple[float, ...] = (2.0, 3.0)
    least: float = 0.2
    most: float = 0.95
    choice: ChoiceCfg = field(default_factory=ChoiceCfg)


NAMES = {
    "ssdlite_mobilenet_v1": SSDLiteCfg(trunk="mobilenet_v1"),
    "ssdlite_mobilenet_v2": SSDLiteCfg(),
    "ssdlite_mobilenet_v3_large": SSDLiteCfg(trunk="mobilenet_v3_large_reduced"),
    "ssdlite_mobilenet_v3_small": SSDLiteCfg(trunk="mobilenet_v3_small_reduced"),
    "ssdlite_mnasnet_a1": SSDLiteCfg(trunk="mnasnet_a1"),
}


class Taps(nn.Module):
    """A trunk's maps before and behind its last halving, such as strides 16 and 32.

    The former is what the first block behind the halving widens to, where it is an inverted
    residual, else what the stage before gives.

    Args:
        trunk: its head is left out.

    Raises:
        ValueError: the trunk halves nowhere behind its stem.
    """

    def __init__(self, trunk: Network):
        super().__init__()
        halvings = [n for n, stride in enumerate(trunk.stage_strides[1:]) if stride > 1]
        if not halvings:
            raise ValueError("a trunk without halvings behind its stem: expected one with some")
        self.trunk, self.at = trunk, halvings[-1]
        self.stride = prod(trunk.stage_strides[: self.at + 1])  # of the finer map
        self.channels = (trunk.stage_channels[self.at], trunk.out_channels)
        stage = trunk.stages[self.at]
        if isinstance(stage, nn.Sequential) and isinstance(stage[0], InvertedResidual):
            self.channels = (stage[0].project.in_channels, trunk.out_channels)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """picture [B, C, F, L] -> two maps, the finer first."""
        trunk = self.trunk
        trunk.check(picture)
        x = trunk.stem(picture)
        for stage in trunk.stages[: self.at]:
            x = stage(x)
        fine, halving = x, trunk.stages[self.at]
        if isinstance(halving, nn.Sequential) and isinstance(halving[0], InvertedResidual):
            fine = halving[0].expand(x)
            x = halving[1:](halving[0].narrowed(fine, x))
        else:
            x = halving(x)
        for stage in trunk.stages[self.at + 1 :]:
            x = stage(x)
        return [fine, x]


class SSDLite(nn.Module):
    """Boxes of K labels in a picture.

    Args:
        cfg: what it is made of.
        in_channels: of the picture.
        n_classes: labels (K).
        multiplier: scales all widths.
    """

    def __init__(
        self, cfg: SSDLiteCfg, in_channels: int = 3, n_classes: int = 1, multiplier: float = 1.0
    ):
        super().__init__()
        cfg = scaled(cfg, width=multiplier)
        self.cfg, self.n_classes = cfg, n_classes
        self.taps = Taps(backbone(cfg.trunk, in_channels, multiplier))
        widths = [*self.taps.channels, *cfg.further]
        self.further = nn.ModuleList(
            nn.Sequential(
                UNIT(i, o // 2), UNIT(o // 2, o // 2, 3, 2, groups=o // 2), UNIT(o // 2, o)
            )
            for i, o in pairwise(widths[1:])
        )
        self.shapes = ssd_shapes(len(widths), cfg.ratios, cfg.least, cfg.most)

        def told(each: int) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(UNIT(c, c, 3, groups=c), nn.Conv2d(c, each * len(here), 1))
                for c, here in zip(widths, self.shapes, strict=True)
            )

        self.labels, self.places = told(n_classes + 1), told(4)
        for part in (self.further, self.labels, self.places):
            he_init(part)

    def maps(self, picture: Tensor) -> list[Tensor]:
        """picture [B, C, F, L] -> maps [B, C', F', L'], finest first."""
        maps: list[Tensor] = self.taps(picture)
        for layer in self.further:
            maps.append(layer(maps[-1]))
        return maps

    def anchors(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps and size (F, L) of the picture -> anchors [N, 4] of all maps, finest first."""
        found = []
        for shapes, x in zip(self.shapes, maps, strict=True):
            places = (x.shape[2], x.shape[3])
            real = [(long * size[1], high * size[0]) for long, high in shapes]
            step = (size[0] / places[0], size[1] / places[1])
            found.append(anchors(real, places, step, x))
        return torch.cat(found)

    def forward(self, picture: Tensor) -> Told:
        """picture [B, C, F, L] -> what is said of every anchor.

        Raises:
            ValueError: the picture is smaller than the trunk can take.
        """
        maps = self.maps(picture)
        logits, deltas = (
            torch.cat([_each(head(x), n) for head, x in zip(heads, maps, strict=True)], dim=1)
            for heads, n in ((self.labels, self.n_classes + 1), (self.places, 4))
        )
        return Told(logits, deltas, self.anchors(maps, (picture.shape[2], picture.shape[3])))

    @torch.no_grad()
    def detect(self, picture: Tensor) -> list[Detections]:
        """picture [B, C, F, L] -> what is found in each; in evaluation mode."""
        told, size = self(picture), (picture.shape[2], picture.shape[3])
        boxes = decode(told.deltas, told.anchors, SHIFTS)
        pairs = zip(boxes, told.logits, strict=True)
        return [choose(these, logits, size, self.cfg.choice) for these, logits in pairs]

    def loss(self, picture: Tensor, truths: Sequence[Truth]) -> Tensor:
        """picture [B, C, F, L] and what is in each -> how far off, see `multibox_loss`."""
        return multibox_loss(self(picture), truths)


def _each(x: Tensor, n: int) -> Tensor:
    """x [B, A · n, F, L] -> [B, F · L · A, n]."""
    return x.movedim(1, -1).reshape(len(x), -1, n)
