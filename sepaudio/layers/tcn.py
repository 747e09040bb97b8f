"""Stacks of dilated depthwise-separable blocks, and the plan of which weights play where.

Source: Luo & Mesgarani 2019 (1809.07454), section 2.3 and figure 1; sharing: Tuan et al. 2019
(1912.03884). A block knows neither its dilation nor its past, so the same weights can play at
many places; sharing is nothing but a repeated index in the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from .condition import condition
from .conv import TimeConv
from .norm import norm
from .pool import mask_time

GROUPS = ("input", "depthwise", "residual", "skip", "norm", "act")
SHARING = ("none", "stack", "dilation", "both", "mitas")


class Place(NamedTuple):
    """One depth of the network: a dilation and, per group of weights, the number that plays."""

    dilation: int
    stack: int
    first: bool  # of its stack
    input: int
    depthwise: int
    residual: int
    skip: int
    norm: int
    act: int


def plan(
    n_blocks: int,
    n_repeats: int,
    sharing: str = "none",
    private: Collection[str] = (),
    everywhere: Collection[str] = (),
) -> tuple[Place, ...]:
    """The places of a network of `n_repeats` stacks with dilations 1, 2, ... 2^(n_blocks - 1).

    | sharing | weights of block x in stack r |
    | --- | --- |
    | none | its own |
    | stack | x: those of the same position in every stack |
    | dilation | r: one block a stack, played at all its dilations |
    | both | one block everywhere |
    | mitas | depthwise r, pointwise x, norm and activation its own |

    Args:
        n_blocks: X, a stack.
        n_repeats: R, stacks.
        sharing: a row of the table.
        private: groups that are shared by nobody.
        everywhere: groups of which there is one for the whole network.

    Raises:
        ValueError: a name is not known, or a group is asked to be both.

    >>> [place.input for place in plan(2, 2, "stack")]
    [0, 1, 0, 1]
    """
    if n_blocks < 1 or n_repeats < 1:
        raise ValueError(f"n_blocks={n_blocks}, n_repeats={n_repeats}: expected at least 1 of each")
    if sharing not in SHARING:
        raise ValueError(f"sharing={sharing!r}: expected one of {', '.join(SHARING)}")
    for name, groups in (("private", private), ("everywhere", everywhere)):
        for group in groups:
            if group not in GROUPS:
                raise ValueError(f"{name}={group!r}: expected groups out of {', '.join(GROUPS)}")
    if both := set(private) & set(everywhere):
        raise ValueError(f"{min(both)!r} is in private and in everywhere: expected in one of them")

    def index(group: str, r: int, x: int) -> int:
        own = r * n_blocks + x
        if group in private:
            return own
        if group in everywhere:
            return 0
        if sharing == "mitas":
            return {"depthwise": r, "norm": own, "act": own}.get(group, x)
        return {"none": own, "stack": x, "dilation": r, "both": 0}[sharing]

    return tuple(
        Place(
            dilation=2**x,
            stack=r,
            first=x == 0,
            **{group: index(group, r, x) for group in GROUPS},
        )
        for r in range(n_repeats)
        for x in range(n_blocks)
    )


@dataclass(frozen=True, kw_only=True)
class TCNCfg:
    """What a stack of blocks is made of; the papers' letters in brackets.

    Attributes:
        bottleneck: channels that pass from block to block (B).
        hidden: channels inside a block (H).
        skip: channels of the skip outputs (Sc); 0 for none, then the last block's output counts.
        conv_kernel: taps of the depthwise convolution (P).
        n_blocks: a stack (X).
        n_repeats: stacks (R).
        norm: global, cumulative, channel or batch.
        eps: of the norms.
        causal: no frame depends on a later one.
        sharing: see `plan`.
        private: see `plan`.
        everywhere: see `plan`.
    """

    bottleneck: int = 128
    hidden: int = 512
    skip: int = 128
    conv_kernel: int = 3
    n_blocks: int = 8
    n_repeats: int = 3
    norm: str = "global"
    eps: float = 1e-8
    causal: bool = False
    sharing: str = "none"
    private: tuple[str, ...] = ()
    everywhere: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("bottleneck", "hidden", "conv_kernel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected 1 or more")
        if self.norm == "batch" and self.sharing != "none":
            raise ValueError(
                f"norm='batch' with sharing={self.sharing!r}: the running statistics of places "
                "that share weights differ; use 'global', 'cumulative' or 'channel'"
            )


# of a block: 1x1, activation, norm, depthwise, activation, norm
Inside: TypeAlias = tuple[nn.Module, nn.Module, nn.Module, nn.Module, nn.Module, nn.Module]
# residual, skip, and what meets a condition
Heads: TypeAlias = tuple[nn.Module | None, nn.Module | None, nn.Module | None]


class TCN(nn.Module):
    """The blocks of a plan: 1x1, PReLU, norm, depthwise, PReLU, norm, then residual and skip.

    Weights lie in one list per group; the plan says which of them play at a place. So every
    shared weight exists, is counted and is saved once, and each place has a past of its own.

    Args:
        cfg: see `TCNCfg`.
        embedding: length of the vectors that condition it; 0 for none.
        how: a key of CONDITIONS.
        fused: stacks whose first block is conditioned. The columns for the embedding go with the
            1x1 convolution they widen: where it is shared, so are they.
    """

    def __init__(
        self,
        cfg: TCNCfg,
        embedding: int = 0,
        how: str = "concat",
        fused: Collection[int] = (),
    ):
        super().__init__()
        self.cfg = cfg
        self.plan = plan(cfg.n_blocks, cfg.n_repeats, cfg.sharing, cfg.private, cfg.everywhere)
        wide, narrow, causal = cfg.hidden, cfg.bottleneck, cfg.causal

        def many(group: str, make: object) -> nn.ModuleList:
            n = 1 + max(getattr(place, group) for place in self.plan)
            return nn.ModuleList(make() for _ in range(n))  # type: ignore[operator]

        def conv(i: int, o: int) -> TimeConv:
            return TimeConv(i, o, 1, causal=causal)

        self.inputs = many("input", lambda: conv(narrow, wide))
        self.depthwise = many(
            "depthwise",
            lambda: TimeConv(wide, wide, cfg.conv_kernel, groups=wide, causal=causal),
        )
        self.residuals = many("residual", lambda: conv(wide, narrow))
        self.skips = many("skip", lambda: conv(wide, cfg.skip)) if cfg.skip else nn.ModuleList()
        self.norms_in = many("norm", lambda: norm(cfg.norm, wide, causal, cfg.eps))
        self.norms_out = many("norm", lambda: norm(cfg.norm, wide, causal, cfg.eps))
        self.acts_in = many("act", nn.PReLU)
        self.acts_out = many("act", nn.PReLU)
        self.fused = frozenset(fused) if embedding else frozenset()
        widened = {p.input for p in self.plan if p.first and p.stack in self.fused}
        self.conditions = nn.ModuleDict(
            {str(i): condition(how, embedding, narrow, wide) for i in sorted(widened)}
        )
        reach = sum((cfg.conv_kernel - 1) * place.dilation for place in self.plan)
        self.receptive_frames = 1 + reach
        self.fused_by: Callable[..., Any] | None = None  # see `fuse`

    def forward(
        self,
        x: Tensor,
        embeddings: dict[int, Tensor] | None = None,
        context: Context = WHOLE,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """x [B, bottleneck, L] -> sum of the skips [B, skip, L], or the last output without them.

        Args:
            x: features.
            embeddings: per fused stack, vectors [B, E].
            context: silence around x, or a stream.
            lengths: [B] in frames; what comes out beyond them means nothing.
        """
        total: Tensor | None = None
        last = len(self.plan) - 1
        for i, place in enumerate(self.plan):
            v = embeddings[place.stack] if embeddings and self._conditioned(place) else None
            skip = self.skips[place.skip] if self.skips else None
            ends = skip is not None and i == last  # nobody would hear what goes on
            residual = None if ends else self.residuals[place.residual]
            heads = residual, skip, None if v is None else self.conditions[str(place.input)]
            block = self.played if context.streaming else self.fused_by or self.played
            x, y = block(
                self._modules_at(place), heads, x, v, place.dilation, context.at(i), lengths
            )
            if y is not None:
                total = y if total is None else total + y
        return x if total is None else total

    def fuse(self, **options: Any) -> None:
        """Compile the arithmetic of a block, once for all blocks that differ in weights alone.

        Streams are played as before.

        Args:
            options: of torch.compile.
        """
        self.fused_by = torch.compile(self.played, **options)

    def dead_parameters(self) -> tuple[str, ...]:
        """Weights that published counts include and no output depends on.

        With skips, the residual of the last block; unless it also plays elsewhere.
        """
        number = self.plan[-1].residual
        if not self.skips or any(place.residual == number for place in self.plan[:-1]):
            return ()
        return (f"residuals.{number}.weight", f"residuals.{number}.bias")

    def load_places(self, other: TCN) -> None:
        """Take the weights that play in `other` at each place, whatever either shares.

        Un-tying is exact: every place plays what it played. Where places with different weights
        are tied, the weight becomes their mean.

        Raises:
            ValueError: the two differ in more than what is shared.
        """
        for kind, group in _KINDS.items():
            mine, theirs = getattr(self, kind), getattr(other, kind)
            for number, module in enumerate(mine):
                places = zip(self.plan, other.plan, strict=True)
                played = {getattr(o, group) for p, o in places if getattr(p, group) == number}
                _mean_of(module, [theirs[n] for n in sorted(played)])
        for key, module in self.conditions.items():
            places = zip(self.plan, other.plan, strict=True)
            played = {o.input for p, o in places if p.input == int(key) and self._conditioned(p)}
            _mean_of(module, [other.conditions[str(n)] for n in sorted(played)])

    def _conditioned(self, place: Place) -> bool:
        return place.first and place.stack in self.fused

    def _modules_at(self, place: Place) -> Inside:
        """What plays at a place up to both heads."""
        return (
            self.inputs[place.input],
            self.acts_in[place.act],
            self.norms_in[place.norm],
            self.depthwise[place.depthwise],
            self.acts_out[place.act],
            self.norms_out[place.norm],
        )

    @staticmethod
    def played(
        inside: Inside,
        heads: Heads,
        x: Tensor,
        v: Tensor | None,
        dilation: int,
        here: Context,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """What a block does with x [B, bottleneck, L]: the next x, and its skip [B, skip, L].

        Nothing in here depends on where the block is: weights come with the call.
        """
        conv, act_in, norm_in, depthwise, act_out, norm_out = inside
        residual, skip, meets = heads
        y = conv(x) if meets is None else meets(x, v, conv)
        y = norm_in(act_in(y), here.at("norm_in"), lengths)
        y = mask_time(y, lengths)  # after the end there is silence, as for a signal alone
        y = act_out(depthwise(y, dilation, here.at("depthwise")))
        y = norm_out(y, here.at("norm_out"), lengths)
        aside = None if skip is None else skip(y)
        return x if residual is None else x + residual(y), aside


_KINDS = {
    "inputs": "input",
    "depthwise": "depthwise",
    "residuals": "residual",
    "skips": "skip",
    "norms_in": "norm",
    "norms_out": "norm",
    "acts_in": "act",
    "acts_out": "act",
}


@torch.no_grad()
def _mean_of(module: nn.Module, others: list[nn.Module]) -> None:
    states = [other.state_dict() for other in others]
    module.load_state_dict(
        {
            key: torch.stack([state[key] for state in states]).mean(dim=0)
            if len(states) > 1 and states[0][key].is_floating_point()
            else states[0][key]
            for key in module.state_dict()
        }
    )
