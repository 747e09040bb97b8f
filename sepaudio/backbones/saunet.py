"""SAUNet: a U-Net of dual attention on DenseNet, and a stream of shapes that finds edges beside it.

Features have the size of the picture: a map per class is `net.head.maps(net.features(picture))`,
of which the logits are the means. The stream's edges are `net.stages[0].both(picture)[1]`.

Source: Sun et al. 2020 (2001.07645), figure 2; sizes and order of operations from the authors'
code (shape-attentive-unet, commit 1110ab8), whose edges of the picture by Canny are gradients here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import (
    ConvUnit,
    DualAttention,
    MaskedBatchNorm,
    ShapeGate,
    basic,
    doubling,
    fitted,
    residual,
    ridges,
)
from .densenet import DenseNetCfg, block, compressed
from .heads import MapHead
from .network import Network
from .steps import Conv, Layer, Norm, Pool, Steps, least, sequence
from .table import register, wide


@dataclass(frozen=True, kw_only=True)
class SAUNetCfg:
    """What SAUNet is made of.

    Attributes:
        encoder: the dense blocks.
        center: channels between encoder and decoder.
        decoder: channels of the steps up.
        narrow: channels between the last of them and the last doubling.
        last: channels of the features, and of what edges are expanded to.
        shape: channels of the stream of shapes.
    """

    encoder: DenseNetCfg = field(default_factory=lambda: DenseNetCfg(layers=(6, 12, 24, 16)))
    center: int = wide(512)
    decoder: tuple[int, ...] = wide((512, 256, 128, 64))
    narrow: int = wide(48)
    last: int = wide(32)
    shape: tuple[int, ...] = wide((64, 32, 16, 8))

    def __post_init__(self) -> None:
        steps = (len(self.encoder.layers), len(self.decoder), len(self.shape))
        if steps != (4, 4, 4) or self.encoder.partial or self.encoder.small_pictures:
            raise ValueError(
                f"encoder of {steps[0]} blocks, decoder of {steps[1]} steps, shape of {steps[2]}: "
                "expected 4 of each, and a plain encoder for large pictures"
            )


def encoder(cfg: DenseNetCfg) -> list[tuple[Steps, int]]:
    """Steps of the five parts of the encoder, and the channels that each gives."""
    parts: list[tuple[Steps, int]] = [((Conv(cfg.stem, 7, 2, act="none"),), cfg.stem)]
    for n, layers in enumerate(cfg.layers):
        dense = parts[-1][1] + layers * cfg.growth
        steps: Steps = (Layer(partial(block, layers, cfg), dense),)
        if n + 1 < len(cfg.layers):
            channels = compressed(dense, cfg)
            conv = Conv(channels, order="norm act conv", bias=False)
            parts.append(((*steps, conv, Pool("mean", 2, 2)), channels))
        else:
            parts.append(((*steps, Norm()), dense))
    return parts


class ShapeStream(nn.Module):
    """From the encoder's maps to where the edges are.

    Args:
        channels: of its own, from wide to narrow.
        first: channels of the encoder's map that it begins with.
        coarse: of those that gate it.
    """

    def __init__(self, channels: tuple[int, ...], first: int, coarse: tuple[int, ...]):
        super().__init__()
        pairs = list(pairwise(channels))
        self.enter = nn.Conv2d(first, channels[0], 1)
        self.blocks = nn.ModuleList(residual(i, basic(i)) for i, _ in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in pairs)
        self.coarse = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in coarse)
        self.gates = nn.ModuleList(ShapeGate(o) for _, o in pairs)
        self.leave = nn.Conv2d(channels[-1], 1, 1, bias=False)

    def forward(self, first: Tensor, coarse: list[Tensor], size: torch.Size) -> Tensor:
        """First [B, C, F', L'], coarser maps, size (F, L) -> edges [B, 1, F, L] from 0 to 1."""
        x = fitted(self.enter(first), size)
        steps = zip(self.blocks, self.narrow, self.coarse, self.gates, coarse, strict=True)
        for residue, narrow, judge, gate, below in steps:
            x = gate(narrow(residue(x)), fitted(judge(below), size))
        return torch.sigmoid(self.leave(x))


class SAUNet(nn.Module):
    """Both streams: picture [B, C, F, L] -> features [B, last, F, L].

    Args:
        cfg: its sizes.
        in_channels: of the picture.
    """

    def __init__(self, cfg: SAUNetCfg, in_channels: int):
        super().__init__()
        parts, before = encoder(cfg.encoder), in_channels
        self.encoder = nn.ModuleList()
        for steps, channels in parts:
            self.encoder.append(sequence(steps, before)[0])
            before = channels
        skips = [channels for _, channels in parts]
        self.shape = ShapeStream(cfg.shape, skips[1], tuple(skips[2:]))
        self.weigh = nn.Conv2d(2, 1, 1, bias=False)
        self.expand = ConvUnit(1, cfg.last, bias=True)
        self.center = ConvUnit(before, cfg.center, 3, bias=True)
        self.decoder, deep = nn.ModuleList(), cfg.center
        for skip, channels in zip(skips[:0:-1], cfg.decoder, strict=True):
            self.decoder.append(DualAttention(deep, skip, channels))
            deep = channels
        self.narrow = ConvUnit(deep, cfg.narrow, 3, bias=True)
        self.up = doubling(cfg.narrow, cfg.last, 4)
        self.up_norm = MaskedBatchNorm(cfg.last)
        self.mix = ConvUnit(2 * cfg.last, cfg.last, 3, bias=True)

    def both(self, picture: Tensor, edges: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """picture [B, C, F, L] -> features [B, last, F, L], its edges [B, 1, F, L] from 0 to 1.

        Args:
            picture: what is heard.
            edges: of the picture itself [B, 1, F, L]; by default `ridges`.
        """
        size, maps = picture.shape[2:], [picture]
        for part in self.encoder:
            maps.append(part(maps[-1]))
        _, first, second, *coarse = maps
        found = self.shape(second, coarse, size)
        seen = ridges(picture) if edges is None else edges
        edge = self.expand(torch.sigmoid(self.weigh(torch.cat([found, seen], dim=1))))
        x = self.center(F.max_pool2d(maps[-1], 2))
        sizes = (maps[-1], coarse[0], second, first)
        for step, skip, like in zip(self.decoder, maps[:1:-1], sizes, strict=True):
            x = step(x, fitted(skip, like.shape[2:]))
        x = fitted(F.relu(self.up_norm(self.up(self.narrow(x)))), size)
        return self.mix(torch.cat([x, edge], dim=1)), found

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> features [B, last, F, L]."""
        return self.both(picture)[0]


def borders(labels: Tensor) -> Tensor:
    """Labels [B, F, L] of places -> [B, 1, F, L] of 0 and 1: where a neighbour has another one."""
    edge = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        n = labels.shape[axis] - 1
        other = labels.narrow(axis, 0, n) != labels.narrow(axis, 1, n)
        edge.narrow(axis, 0, n).logical_or_(other)
        edge.narrow(axis, 1, n).logical_or_(other)
    return edge[:, None].float()


def streams_loss(
    maps: Tensor,
    edges: Tensor,
    labels: Tensor,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Tensor:
    """How far off both streams are: cross entropy and Dice of the maps, cross entropy of the edges.

    Dice is one less the share that probabilities and labels have in common, the mean over the
    classes; an absent class that is given no probability costs nothing.

    Source: Sun et al. 2020 (2001.07645), section 2.3; Milletari et al. 2016 (1606.04797), for Dice.

    Args:
        maps: logits [B, K, F, L].
        edges: [B, 1, F, L] from 0 to 1.
        labels: of places [B, F, L].
        weights: of the three.
    """
    found = maps.softmax(dim=1)
    true = F.one_hot(labels, maps.shape[1]).movedim(-1, 1).to(found)
    common, both = (x.sum(dim=(0, 2, 3)) for x in (2 * found * true, found + true))
    smooth = 1e-6
    dice = 1 - ((common + smooth) / (both + smooth)).mean()
    plain = F.cross_entropy(maps, labels)
    edge = F.binary_cross_entropy(edges, borders(labels).to(edges))
    return weights[0] * plain + weights[1] * dice + weights[2] * edge


@register(SAUNetCfg, saunet=SAUNetCfg())
def saunet(cfg: SAUNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, last, F, L]."""
    down = tuple(step for steps, _ in encoder(cfg.encoder) for step in steps)
    size = tuple(least((*down, Pool("max", 2, 2)), axis=axis) for axis in (0, 1))
    head = MapHead(cfg.last, n_classes, act="none") if n_classes else None
    return Network(
        nn.Identity(),
        [SAUNet(cfg, in_channels)],
        [in_channels, cfg.last],
        [1, 1],
        head,
        minimum_size=(size[0], size[1]),
    )
