"""A network of inverted residuals whose blocks are open: what a search chooses from.

Source: Wu et al. 2018 (1812.03443), section 3.1 and table 2: kernels of 3 and 5, expansions of 1,
3 and 6, groups of 2 with an expansion of 1, or no block at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from torch import nn

from ..layers import Choice
from .inverted import Blocks, InvertedCfg, blocks_of, inverted
from .network import Network, he_init
from .table import register

# (kernel, expansion, groups)
FBNET = tuple((k, e, g) for k in (3, 5) for e, g in ((1, 1), (1, 2), (3, 1), (6, 1)))


@dataclass(frozen=True, kw_only=True)
class SuperCfg:
    """A network that is open in the kernel, the expansion and the groups of each block.

    Attributes:
        base: stem, widths, strides, numbers of blocks, activations and excitations; a block that
            changes no shape may also vanish.
        options: (kernel, expand, groups) of each candidate.
    """

    base: InvertedCfg
    options: tuple[tuple[int, int, int], ...] = FBNET

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("options=(): expected one candidate (kernel, expand, groups) or more")

    def places(self) -> list[list[tuple[int, dict[str, Blocks | None]]]]:
        """By stage and block: channels that come in, and the candidates by their names."""
        before = self.base.stem_blocks[-1].channels if self.base.stem_blocks else self.base.stem
        stages = []
        for stage in self.base.stages:
            here = []
            for run in stage:
                for n in range(run.blocks):
                    here.append((before, self._candidates(run, before, 1 if n else run.stride)))
                    before = run.channels
            stages.append(here)
        return stages

    def _candidates(self, run: Blocks, before: int, stride: int) -> dict[str, Blocks | None]:
        one = replace(run, blocks=1, stride=stride)
        found: dict[str, Blocks | None] = {
            f"k{k} e{e} g{g}": replace(one, kernel=k, expand=float(e), groups=g)
            for k, e, g in self.options
        }
        return {**found, "skip": None} if stride == 1 and before == run.channels else found

    def found(self, names: Sequence[str]) -> InvertedCfg:
        """The plain network of one candidate in each place.

        Args:
            names: of the candidates, in the order of the places.

        Raises:
            ValueError: their number is not that of the places, or one is not known there.
        """
        count = sum(map(len, self.places()))
        if len(names) != count:
            raise ValueError(f"{len(names)} names: expected one for each of {count} places")
        left, stages = iter(names), list[tuple[Blocks, ...]]()
        for places in self.places():
            kept = []
            for _, known in places:
                name = next(left)
                if name not in known:
                    raise ValueError(f"{name!r}: expected one of {', '.join(known)}")
                kept.append(known[name])
            stages.append(tuple(block for block in kept if block is not None))
        return replace(self.base, stages=tuple(stages))


@register(SuperCfg)
def supernet(cfg: SuperCfg, in_channels: int, n_classes: int) -> Network:
    """Picture -> features, as the base network, with a `Choice` in the place of each block."""
    net = inverted(cfg.base, in_channels, n_classes)
    for stage, places in zip(net.stages, cfg.places(), strict=False):  # a last layer stays
        assert isinstance(stage, nn.Sequential)
        for i, (before, known) in enumerate(places):
            stage[i] = Choice(
                {
                    name: nn.Identity()
                    if run is None
                    else blocks_of(cfg.base, (run,), before, repeat(0.0))[1][0]
                    for name, run in known.items()
                }
            )
    he_init(net)
    return net
