"""FractalNet, and Fractal of FractalNet: depth without residuals, columns that can play alone.

Sources: Larsson et al. 2016 (1605.07648), section 4; Smith & Topin 2016 (1611.00847), as released.
"""

from dataclasses import dataclass

from torch import nn

from ..layers import FractalBlock, FractalPaths
from .graph import graph
from .heads import DenseHead
from .network import Network, head_of
from .steps import Conv, Dropout, Fork, Layer, Norm, Pool, Steps, sequence
from .table import register, wide

JOINS = ("mean", "freeze", "freeze fixed")
HALVE = Pool("max", 2, 2)


def fractal(
    width: int,
    paths: FractalPaths,
    dropout: float = 0.0,
    column: int | None = None,
    plain: bool = False,
) -> Layer:
    """Columns of 3x3 convolutions with dropout, norm and ReLU after each.

    `plain`: biases for the convolutions, no gain and bias for the norms.
    """
    steps: Steps = (
        Conv(width, 3, norm="none", act="none", bias=plain),
        Dropout(dropout),
        Norm("batch_plain" if plain else "batch", "relu"),
    )

    def block(channels: int) -> FractalBlock:
        def unit(first: bool) -> nn.Module:
            return sequence(steps, channels if first else width)[0]

        return FractalBlock(paths.columns, unit, paths, column)

    return Layer(block, width)


@dataclass(frozen=True, kw_only=True)
class FractalNetCfg:
    """What FractalNet is made of.

    Attributes:
        widths: of the blocks; a 2x2 pool follows each.
        columns: of each block.
        column: the one that is built alone, 0 for the shallowest; None for all. Weights of the
            whole network fit under their names.
        large: begin with 7x7 of 64 channels and a pool, as for ImageNet.
        dropout: of the blocks, one after the other; (0, 0.1, 0.2, 0.3, 0.4) in the paper.
        drop_path: share of a join's inputs that training drops; 0.15 in the paper.
    """

    widths: tuple[int, ...] = wide((64, 128, 256, 512, 512))
    columns: int = 3
    column: int | None = None
    large: bool = False
    dropout: tuple[float, ...] = ()
    drop_path: float = 0.0


@register(
    FractalNetCfg,
    fractalnet=FractalNetCfg(),
    fractalnet_narrow=FractalNetCfg(widths=(16, 32, 64, 128, 128)),
    fractalnet_34=FractalNetCfg(widths=(128, 256, 512, 1024), columns=4, large=True),
)
def fractalnet(cfg: FractalNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features, 1/32 of a side; 1/64 where it begins with a pool."""
    if cfg.column is not None and not 0 <= cfg.column < cfg.columns:
        raise ValueError(f"column={cfg.column}: expected 0 to {cfg.columns - 1}, or None for all")
    paths = FractalPaths(cfg.columns, cfg.drop_path)
    drops = cfg.dropout or (0.0,) * len(cfg.widths)
    blocks: list[Steps] = [
        (fractal(width, paths, drop, cfg.column), HALVE)
        for width, drop in zip(cfg.widths, drops, strict=True)
    ]
    first = (Conv(64, 7, 2), Pool("max", 3, 2, 1)) if cfg.large else blocks.pop(0)
    stem = (Layer(lambda channels: paths), *first)
    return graph(stem, blocks, in_channels, lambda channels: head_of(channels, n_classes))


@dataclass(frozen=True, kw_only=True)
class FractalOfFractalCfg:
    """What Fractal of FractalNet is made of: FractalNet's blocks as units of an outer fractal.

    Attributes:
        widths: after a quarter, a half, three quarters of the depth, and at the end.
        columns: of each block.
        join: how outer branches meet, one of JOINS: their mean, or a `FrozenSum`, whose b is drawn
            or fixed (freeze-drop-path).
        outer: outer columns that are built, the deepest first; 1 is FractalNet.
        drop_path: share of an inner join's inputs that training drops.
    """

    widths: tuple[int, int, int, int] = wide((64, 128, 256, 512))
    columns: int = 3
    join: str = "mean"
    outer: int = 3
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise ValueError(f"join={self.join!r}: expected one of {', '.join(JOINS)}")


@register(FractalOfFractalCfg, fractal_of_fractalnet=FractalOfFractalCfg())
def fractal_of_fractalnet(cfg: FractalOfFractalCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 512, F / 16, L / 16]."""
    paths = FractalPaths(cfg.columns, cfg.drop_path)

    def path(channels: int, halvings: int) -> Steps:
        return (fractal(channels, paths, plain=True), *(HALVE,) * halvings)

    def join(*branches: Steps) -> Steps:
        kept = branches[: max(1, cfg.outer - 1)] if len(branches) > 1 else branches
        return (Fork(kept, cfg.join),) if len(kept) > 1 else kept[0]

    a, b, c, d = cfg.widths
    early = join((*path(a, 1), *path(b, 1)), path(b, 2))
    late = join((*path(c, 1), *path(d, 1)), path(d, 2))
    whole: Steps = (*early, *late)
    if cfg.outer > 2:
        whole = (Fork((whole, path(d, 4)), cfg.join),)

    def head(channels: int) -> nn.Module | None:
        return DenseHead(channels, (2, 2), (), n_classes) if n_classes else None

    return graph((Layer(lambda channels: paths),), [whole], in_channels, head)
