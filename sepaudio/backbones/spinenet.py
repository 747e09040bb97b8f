"""SpineNet: blocks of any scale in any order, each of which hears two earlier ones of any scale.

Features are the mean of its five levels, brought to the size of the finest; the levels themselves,
P3 to P7 with strides 8 to 128, are `net.stages[0].levels(net.stem(picture))`.

Source: Du et al. 2019 (1912.05027), table 1 and figure 3a; resampling, widths and what joins an
output from the authors' code (tensorflow/models, commit 00b830c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import ConvUnit, basic, bottleneck, residual
from .network import Network, head_of
from .table import deep, register, wide

STEM = 2  # level of the stem; level L has a place for 2 ** L places of the picture
OUT = range(3, 8)  # levels that come out


@dataclass(frozen=True)
class Block:
    """A block: its level, its form, and which two before it it hears.

    Attributes:
        level: 2 to 7.
        wide: a bottleneck; else two 3x3 convolutions.
        parents: by number; none for those of the stem, which hear what came before them.
        out: it is an output.
    """

    level: int
    wide: bool
    parents: tuple[int, ...] = ()
    out: bool = False

    @property
    def kind(self) -> tuple[int, bool]:
        """Level and form: blocks of one kind give maps of one shape."""
        return self.level, self.wide


BLOCKS = (
    Block(2, True),  # the stem's
    Block(2, True),
    Block(2, True, (0, 1)),
    Block(4, False, (0, 1)),
    Block(3, True, (2, 3)),
    Block(4, True, (2, 4)),
    Block(6, False, (3, 5)),
    Block(4, True, (3, 5)),
    Block(5, False, (6, 7)),
    Block(7, False, (6, 8)),
    Block(5, True, (8, 9)),
    Block(5, True, (8, 10)),
    Block(4, True, (5, 10), True),
    Block(3, True, (4, 10), True),
    Block(5, True, (7, 12), True),
    Block(7, True, (5, 14), True),
    Block(6, True, (12, 14), True),
)


def joined(blocks: tuple[Block, ...] = BLOCKS) -> dict[int, list[int]]:
    """By number of an output: earlier blocks of its level and width that nothing else hears."""
    heard: set[int] = set()
    found = {}
    for n, block in enumerate(blocks):
        heard.update(block.parents)
        if block.out:
            alike = (i for i in range(n) if (blocks[i].level, blocks[i].wide) == block.kind)
            found[n] = [i for i in alike if i not in heard]
            heard.update(found[n])
    return found


@dataclass(frozen=True, kw_only=True)
class SpineNetCfg:
    """What SpineNet is made of.

    Attributes:
        stem: channels of the first convolution.
        widths: of the blocks of levels 2 to 7, where they are narrowest.
        out: channels of the levels that come out.
        resampled: share of a parent's width at which it changes its size.
        repeats: blocks in the place of one.
    """

    stem: int = wide(64)
    widths: tuple[int, ...] = wide((64, 128, 256, 256, 256, 256))
    out: int = wide(256)
    resampled: float = 0.5
    repeats: int = deep(1)

    def inner(self, block: Block) -> int:
        """Channels where a block is narrowest."""
        return self.widths[block.level - STEM]

    def outer(self, block: Block) -> int:
        """Channels that a block gives."""
        return self.inner(block) * (4 if block.wide else 1)


class Resample(nn.Module):
    """A parent's map for a block: 1x1 to fewer channels, to the block's size, 1x1 to its width.

    Args:
        cfg: sizes of the network.
        parent: whose map it is.
        block: that hears it.
    """

    def __init__(self, cfg: SpineNetCfg, parent: Block, block: Block):
        super().__init__()
        width = max(int(cfg.inner(parent) * cfg.resampled), 1)
        self.halvings = block.level - parent.level
        self.narrow = ConvUnit(cfg.outer(parent), width)
        self.down = ConvUnit(width, width, 3, 2) if self.halvings > 0 else None
        self.last = ConvUnit(width, cfg.outer(block), act="none")

    def forward(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """x [B, C, F, L], size (F', L') of the block's level -> [B, C', F', L']."""
        y = self.narrow(x)
        if self.down is not None:
            y = self.down(y)
            for _ in range(self.halvings - 1):
                y = F.max_pool2d(y, 3, 2, 1)
        elif self.halvings:
            y = F.interpolate(y, size=size, mode="nearest")
        z: Tensor = self.last(y)
        return z


class ScalePermuted(nn.Module):
    """All blocks: what the stem gives [B, C, F, L] -> the levels that come out, or their mean.

    Args:
        cfg: sizes of the network.
    """

    def __init__(self, cfg: SpineNetCfg):
        super().__init__()
        self.joined = joined()
        self.resample, self.blocks = nn.ModuleList(), nn.ModuleList()
        before = cfg.stem
        for block in BLOCKS:
            ways = (Resample(cfg, BLOCKS[parent], block) for parent in block.parents)
            self.resample.append(nn.ModuleList(ways))
            inner, outer = cfg.inner(block), cfg.outer(block)
            convs = bottleneck(inner, outer) if block.wide else basic(outer)
            first = before if not block.parents else outer
            self.blocks.append(
                nn.Sequential(*(residual(outer if n else first, convs) for n in range(cfg.repeats)))
            )
            before = outer
        outs = sorted((b for b in BLOCKS if b.out), key=lambda block: block.level)
        self.ends = nn.ModuleList(ConvUnit(cfg.outer(block), cfg.out) for block in outs)

    def levels(self, x: Tensor) -> list[Tensor]:
        """x [B, C, F, L] -> five of [B, D, F', L'], finest first: P3 to P7."""
        sizes = [tuple(x.shape[2:])]
        for _ in range(STEM, OUT[-1]):
            sizes.append(tuple(-(-places // 2) for places in sizes[-1]))
        maps, out = list[Tensor](), dict[int, Tensor]()
        for n, (block, ways, made) in enumerate(
            zip(BLOCKS, self.resample, self.blocks, strict=True)
        ):
            if block.parents:
                size = sizes[block.level - STEM]
                heard = [
                    way(maps[parent], size)
                    for way, parent in zip(ways, block.parents, strict=True)  # type: ignore[call-overload]
                ]
                heard += [maps[i] for i in self.joined.get(n, ())]
                x = F.relu(torch.stack(heard).sum(dim=0))
            x = made(x)
            maps.append(x)
            if block.out:
                out[block.level] = x
        return [end(out[level]) for end, level in zip(self.ends, OUT, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, D, F / 2, L / 2]."""
        levels = self.levels(x)
        size = levels[0].shape[2:]
        alike = [F.interpolate(level, size=size, mode="nearest") for level in levels]
        return torch.stack(alike).mean(dim=0)


def grown(factor: float, **more: Any) -> SpineNetCfg:
    """The published widths times a factor; that of the first convolution stays."""
    widths = SpineNetCfg().widths
    return SpineNetCfg(widths=tuple(int(width * factor) for width in widths), **more)


@register(
    SpineNetCfg,
    spinenet_49s=grown(0.65, out=128),
    spinenet_49=SpineNetCfg(),
    spinenet_96=SpineNetCfg(repeats=2),
    spinenet_143=SpineNetCfg(repeats=3, resampled=1.0),
    spinenet_190=grown(1.3, repeats=4, resampled=1.0, out=512),
)
def spinenet(cfg: SpineNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, out, F / 8, L / 8]."""
    stem = nn.Sequential(ConvUnit(in_channels, cfg.stem, 7, 2), nn.MaxPool2d(3, 2, 1))
    channels, strides = [cfg.stem, cfg.out], [4, 2]
    return Network(stem, [ScalePermuted(cfg)], channels, strides, head_of(cfg.out, n_classes))
