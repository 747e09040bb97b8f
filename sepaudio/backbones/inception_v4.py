"""Inception v4, Inception-ResNet v1 and v2, PolyNet.

Sources: Szegedy et al. 2016 (1602.07261), figures 3 to 9 for v4 and 10 to 19 for the residual
networks; Zhang et al. 2016 (1611.05725), section 4 for PolyNet.

Differs: the residual networks' branches are scaled by 0.17, 0.10 and 0.20 and their widths are
    those of the public code; v2 begins as v1 does. PolyNet scales the branches of its units by
    their chance to survive in training, as the published weights do.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from ..layers import PolyUnit
from .graph import graph
from .heads import EmbeddingHead
from .network import Network, head_of
from .steps import Conv, Fork, Layer, Pool, Size, Step, Steps
from .table import deep, register, wide

N = partial(Conv, eps=1e-3)
V = partial(N, padding="valid")
MEAN, HALVE = Pool("mean", 3, 1, 1, count_padding=False), Pool("max", 3, 2)


@dataclass(frozen=True, kw_only=True)
class RepeatedCfg:
    """What a network is made of whose stages repeat one module.

    Attributes:
        stem: the first steps.
        before: steps before the repeated ones, stage by stage.
        repeated: the modules that are repeated.
        blocks: how often.
        after: steps after the last stage.
        dropout: before the last layer.
        embedding: of the head; 0 for none.
    """

    stem: Steps
    before: tuple[Steps, ...]
    repeated: tuple[Steps, ...]
    blocks: tuple[int, ...] = deep()
    after: Steps = ()
    dropout: float = 0.0
    embedding: int = wide(0)


def build(cfg: RepeatedCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features, about 1/32 of a side."""
    stages = [
        (*before, *repeated * n)
        for before, repeated, n in zip(cfg.before, cfg.repeated, cfg.blocks, strict=True)
    ]
    stages[-1] += cfg.after

    def head(channels: int) -> nn.Module | None:
        if cfg.embedding and n_classes:
            return EmbeddingHead(channels, cfg.embedding, n_classes, cfg.dropout, eps=1e-3)
        return head_of(channels, n_classes, cfg.dropout)

    return graph(cfg.stem, stages, in_channels, head)


def v4_stem(conv: partial[Conv], first: tuple[int, int], pool_first: bool = True) -> Steps:
    """Convolutions and pools side by side, down to an eighth of a side."""
    valid = partial(conv, padding="valid")
    pooled, strided = (HALVE,), (valid(192, 3, 2),)
    return (
        *(valid(32, 3, 2), valid(32, 3), conv(64, 3)),
        Fork(((HALVE,), (valid(96, 3, 2),))),
        Fork(
            (
                (conv(64), valid(96, 3)),
                (conv(64), conv(64, first), conv(64, first[::-1]), valid(96, 3)),
            )
        ),
        Fork((pooled, strided) if pool_first else (strided, pooled)),
    )


def inception_v4() -> RepeatedCfg:
    """Modules A, B and C, fourteen in all, and two reductions."""
    row, column = (1, 7), (7, 1)
    a = Fork(
        (
            (N(96),),
            (N(64), N(96, 3)),
            (N(64), N(96, 3), N(96, 3)),
            (MEAN, N(96)),
        )
    )
    b = Fork(
        (
            (N(384),),
            (N(192), N(224, row), N(256, column)),
            (N(192), N(192, column), N(224, row), N(224, column), N(256, row)),
            (MEAN, N(128)),
        )
    )
    both = Fork(((N(256, (1, 3)),), (N(256, (3, 1)),)))
    c = Fork(
        (
            (N(256),),
            (N(384), both),
            (N(384), N(448, (3, 1)), N(512, (1, 3)), both),
            (MEAN, N(256)),
        )
    )
    to_b = Fork(((V(384, 3, 2),), (N(192), N(224, 3), V(256, 3, 2)), (HALVE,)))
    to_c = Fork(
        (
            (N(192), V(192, 3, 2)),
            (N(256), N(256, row), N(320, column), V(320, 3, 2)),
            (HALVE,),
        )
    )
    return RepeatedCfg(
        stem=v4_stem(N, row, pool_first=False),
        before=((), (to_b,), (to_c,)),
        repeated=((a,), (b,), (c,)),
        blocks=(4, 7, 3),
        dropout=0.2,
    )


def residual(*branches: Steps, scale: float, act: str = "relu") -> Fork:
    """Branches, and a 1x1 convolution back to the trunk, which it is added to."""
    back = Conv(norm="none", act="none")
    return Fork(((), (Fork(branches), back)), "add", scale=scale, act=act)


RESIDUAL_STEM = (
    *(V(32, 3, 2), V(32, 3), N(64, 3), HALVE),
    *(N(80), V(192, 3)),
)


def inception_resnet_v1() -> RepeatedCfg:
    """Inception modules as residual branches; the smaller one, often used for faces."""
    c = (N(192),), (N(192), N(192, (1, 3)), N(192, (3, 1)))
    to_b = Fork(((V(384, 3, 2),), (N(192), N(192, 3), V(256, 3, 2)), (HALVE,)))
    to_c = Fork(
        (
            (N(256), V(384, 3, 2)),
            (N(256), V(256, 3, 2)),
            (N(256), N(256, 3), V(256, 3, 2)),
            (HALVE,),
        )
    )
    return RepeatedCfg(
        stem=(*RESIDUAL_STEM, V(256, 3, 2)),
        before=((), (to_b,), (to_c,)),
        repeated=(
            (residual((N(32),), (N(32), N(32, 3)), (N(32), *(N(32, 3),) * 2), scale=0.17),),
            (residual((N(128),), (N(128), N(128, (1, 7)), N(128, (7, 1))), scale=0.10),),
            (residual(*c, scale=0.20),),
        ),
        blocks=(5, 10, 5),
        after=(residual(*c, scale=1.0, act="none"),),
        dropout=0.6,
        embedding=512,
    )


def inception_resnet_v2() -> RepeatedCfg:
    """The same, wider and twice as deep."""
    c = (N(192),), (N(192), N(224, (1, 3)), N(256, (3, 1)))
    to_a = Fork(
        (
            (N(96),),
            (N(48), N(64, 5)),
            (N(64), N(96, 3), N(96, 3)),
            (MEAN, N(64)),
        )
    )
    to_b = Fork(((V(384, 3, 2),), (N(256), N(256, 3), V(384, 3, 2)), (HALVE,)))
    to_c = Fork(
        (
            (N(256), V(384, 3, 2)),
            (N(256), V(288, 3, 2)),
            (N(256), N(288, 3), V(320, 3, 2)),
            (HALVE,),
        )
    )
    return RepeatedCfg(
        stem=(*RESIDUAL_STEM, HALVE),
        before=((to_a,), (to_b,), (to_c,)),
        repeated=(
            (residual((N(32),), (N(32), N(32, 3)), (N(32), N(48, 3), N(64, 3)), scale=0.17),),
            (residual((N(192),), (N(128), N(160, (1, 7)), N(192, (7, 1))), scale=0.10),),
            (residual(*c, scale=0.20),),
        ),
        blocks=(10, 20, 9),
        after=(residual(*c, scale=1.0, act="none"), N(1536)),
    )


@dataclass(frozen=True, kw_only=True)
class PolyNetCfg:
    """What PolyNet is made of.

    Attributes:
        widths: of a unit's long branch, stage by stage.
        kernels: of that branch.
        ones: of the 1x1 convolution that is the other branch.
        first: of the branch between them that the first stage has.
        blocks: units of each stage; all but the first have a poly-3 and a 2-way module each.
        survival: scale of the last module, to which scales fall from 1 in equal steps.
        dropout: before the last layer.
    """

    widths: tuple[tuple[int, ...], ...] = wide(((32, 48, 64), (128, 160, 192), (192, 224, 256)))
    kernels: tuple[tuple[Size, ...], ...] = ((1, 3, 3), (1, (1, 7), (7, 1)), (1, (1, 3), (3, 1)))
    ones: tuple[int, ...] = wide((32, 192, 192))
    first: tuple[int, ...] = wide((32, 32))
    blocks: tuple[int, ...] = deep((10, 10, 5))
    survival: float = 0.7
    dropout: float = 0.2


def polynet(cfg: PolyNetCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features [B, 2048, F / 32, L / 32]."""
    conv, valid = partial(Conv), partial(Conv, padding="valid")
    to_b = Fork(((conv(256), conv(256, 3), valid(384, 3, 2)), (valid(384, 3, 2),), (HALVE,)))
    to_c = Fork(
        (
            (conv(256), conv(256, 3), valid(256, 3, 2)),
            (conv(256), valid(256, 3, 2)),
            (conv(256), valid(384, 3, 2)),
            (HALVE,),
        )
    )
    n_modules = cfg.blocks[0] + 2 * sum(cfg.blocks[1:])
    falls = (1 - cfg.survival) / max(1, n_modules - 1)
    scales = (round(1 - falls * i, 6) for i in range(n_modules))
    stages = list[Steps]()
    rows = zip(cfg.widths, cfg.ones, cfg.kernels, cfg.blocks, ((), (to_b,), (to_c,)), strict=True)
    for widths, one, kernels, n, before in rows:
        long = tuple(conv(*pair) for pair in zip(widths, kernels, strict=True))
        middle = () if stages else ((conv(cfg.first[0]), conv(cfg.first[1], 3)),)
        module = Fork((long, *middle, (conv(one),))), Conv(act="none")
        steps: list[Step] = [*before]
        for _ in range(n):
            if stages:
                branches = list(zip(widths, kernels, strict=True)), [(one, 1)]
                poly = partial(PolyUnit, branches=branches, order=3, scale=next(scales))
                steps.append(Layer(poly))
            steps.append(Fork(((), module, module), "add", scale=next(scales), act="relu"))
        stages.append(tuple(steps))
    return graph(
        v4_stem(conv, (7, 1)),
        stages,
        in_channels,
        lambda channels: head_of(channels, n_classes, cfg.dropout),
    )


register(
    RepeatedCfg,
    inception_v4=inception_v4(),
    inception_resnet_v1=inception_resnet_v1(),
    inception_resnet_v2=inception_resnet_v2(),
)(build)
register(PolyNetCfg, polynet=PolyNetCfg())(polynet)
