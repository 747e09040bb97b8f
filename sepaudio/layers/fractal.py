"""Columns of convolutions that join again and again, and what training drops of them.

Sources: Larsson et al. 2016 (1605.07648), figure 1 and section 3.1; Smith & Topin 2016
(1611.00847), freeze-drop-path, for the frozen sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from .dense import statistics_held


class FractalPaths(nn.Module):
    """Which columns play in a forward pass; one for all blocks of a network, at its beginning.

    In training, half of the mini-batches hear one column through the whole network (global), the
    others lose inputs of each join, but never all (local). Otherwise all columns play.

    Args:
        columns: how many.
        share: of a join's inputs that are dropped; 0 for no drop-path, local or global.
    """

    def __init__(self, columns: int, share: float = 0.0):
        super().__init__()
        self.columns, self.share = columns, share
        self.column: int | None = None  # the one that plays alone

    def forward(self, x: Tensor) -> Tensor:
        """x as it is; draws for this mini-batch."""
        self.column = None
        if self.training and self.share and torch.rand(()) < 0.5:
            self.column = int(torch.randint(self.columns, ()))
        return x

    def survivors(self, joining: Sequence[int]) -> list[int]:
        """Those of the columns that play into a join, of those that could."""
        if not (self.training and self.share):
            return list(joining)
        if self.column is not None:
            return [j for j in joining if j == self.column]
        kept = [j for j in joining if torch.rand(()) >= self.share]
        return kept or [joining[int(torch.randint(len(joining), ()))]]


class FractalBlock(nn.Module):
    """C columns side by side, of 1, 2, 4 ... units, counted from 0, the shallowest.

    Wherever columns end a unit together they join: the mean of those that play goes on in each.

    Args:
        columns: C.
        unit: a unit's module, by whether it is its column's first.
        paths: what training drops.
        column: the only one that is built; None for all. Its weights have the names that they have
            among all.
    """

    def __init__(
        self,
        columns: int,
        unit: Callable[[bool], nn.Module],
        paths: FractalPaths,
        column: int | None = None,
    ):
        super().__init__()
        self.columns, self.paths, self.rows = columns, paths, nn.ModuleList()
        for row in range(1, 2 ** (columns - 1) + 1):
            units = nn.ModuleDict()
            for c in reversed(range(columns)):  # the deepest first, as published weights have it
                length = 2 ** (columns - 1 - c)  # rows that a unit of this column spans
                if row % length == 0 and column in (None, c):
                    units[str(c)] = unit(row == length)
            self.rows.append(units)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F, L]."""
        heard, joined = [x] * self.columns, x
        for row in self.rows:
            assert isinstance(row, nn.ModuleDict)
            joining = [int(c) for c in row]
            playing = self.paths.survivors(joining) if joining else []
            if playing:
                joined = sum_of(row[str(c)](heard[c]) for c in playing) / len(playing)
            for c in joining:
                heard[c] = joined
        return joined


def sum_of(pictures: Iterable[Tensor]) -> Tensor:
    """The sum of one or more."""
    first, *others = pictures
    for other in others:
        first = first + other
    return first


class FrozenSum(nn.Module):
    """A sum of branches of which training knows the first b, and teaches the b-th only.

    b is drawn with a chance that grows as b², or taken from a fixed round of the same proportions.
    Evaluation adds all branches.

    Args:
        branches: the cheapest first.
        fixed: take b from the round 1, 2, 2, 2, 2, 3 ...
    """

    turn: Tensor

    def __init__(self, branches: Iterable[nn.Module], *, fixed: bool = False):
        super().__init__()
        self.branches, self.fixed = nn.ModuleList(branches), fixed
        self.round = [i for i in range(len(self.branches)) for _ in range((i + 1) ** 2)]
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        last = len(self.branches) - 1
        if self.training:
            turn = int(self.turn) if self.fixed else int(torch.randint(len(self.round), ()))
            last = self.round[turn % len(self.round)]
            self.turn += 1
        y: Tensor = self.branches[last](x)
        for branch in self.branches[:last]:
            if not self.training:
                y = y + branch(x)
                continue
            with torch.no_grad(), statistics_held(branch):
                known = branch(x)
            y = y + known
        return y
