"""Compound scaling: how much deeper and wider a network is, on how much finer a picture.

Source: Tan & Le 2019 (1905.11946), section 3.3, equation 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .table import build, scaled

Size = tuple[int, int]  # frequency [bins], time [frames]
LOWEST = 20.0  # doublings of the cost below which no network is looked for
STEP = 0.07  # doublings of the cost: 5 %


@dataclass(frozen=True, kw_only=True)
class Rates:
    """By what depth, width and resolution grow at every doubling of the cost.

    The defaults are those that the paper found for EfficientNet.

    Attributes:
        depth: the paper's alpha.
        width: beta; costs its square.
        resolution: gamma, of both sides of the picture; costs its square.
    """

    depth: float = 1.2
    width: float = 1.1
    resolution: float = 1.15

    @property
    def cost(self) -> float:
        """By what the multiply-adds grow; the paper wants about 2."""
        return self.depth * self.width**2 * self.resolution**2


@dataclass(frozen=True, kw_only=True)
class Compound:
    """A scaled network.

    Attributes:
        cfg: of the network.
        size: of its picture (F, L).
        factors: by what depth, width and resolution were multiplied.
        macs: measured multiply-adds for one picture.
    """

    cfg: Any
    size: Size
    factors: Rates
    macs: int


def macs(cfg: Any, size: Size, in_channels: int = 3) -> int:
    """Multiply-adds of a cfg's network for one picture, measured without computing anything."""
    with torch.device("meta"), torch.no_grad():
        net = build(cfg, in_channels).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, in_channels, *size))
    return int(counter.get_total_flops()) // 2


def grown(
    cfg: Any, size: Size, phi: float, rates: Rates | None = None, in_channels: int = 3
) -> Compound:
    """A network for about 2 ** phi times the cost; below 0 it shrinks."""
    rates = rates or Rates()
    by = Rates(depth=rates.depth**phi, width=rates.width**phi, resolution=rates.resolution**phi)
    larger = scaled(cfg, width=by.width, depth=by.depth)
    high, wide = (max(1, round(side * by.resolution)) for side in size)
    found = macs(larger, (high, wide), in_channels)
    return Compound(cfg=larger, size=(high, wide), factors=by, macs=found)


def within(
    cfg: Any, size: Size, budget: int, rates: Rates | None = None, in_channels: int = 3
) -> Compound:
    """The largest network of a family whose measured cost does not exceed a budget.

    Args:
        cfg: the network to start from; any registered cfg.
        size: of the picture it starts from.
        budget: [multiply-adds] for one picture.
        rates: what grows how fast.
        in_channels: of the picture.

    Raises:
        ValueError: nothing that small can be built.
    """
    rates = rates or Rates()

    def at(phi: float) -> Compound:
        return grown(cfg, size, phi, rates, in_channels)

    most = math.log(budget / macs(cfg, size, in_channels), rates.cost) + 1
    least = most - 2
    while (best := at(least)).macs > budget:  # widths have a floor
        most, least = least, least - 1
        if most < -LOWEST:
            raise ValueError(
                f"budget={budget}: expected at least {best.macs} multiply-adds; start from a "
                "smaller network or a smaller picture"
            )
    while most - least > STEP:
        middle = (least + most) / 2
        tried = at(middle)
        if tried.macs <= budget:
            best, least = tried, middle
        else:
            most = middle
    return best


def candidates(step: float = 0.05, most: float = 1.5, tolerance: float = 0.1) -> list[Rates]:
    """The paper's small grid: all rates from 1 to `most` that double the cost, or nearly."""
    values = [1 + i * step for i in range(round((most - 1) / step) + 1)]
    grid = (Rates(depth=d, width=w, resolution=r) for d, w, r in product(values, repeat=3))
    return [rates for rates in grid if abs(rates.cost - 2) <= tolerance]


def search(
    cfg: Any,
    size: Size,
    score: Callable[[Compound], float],
    among: list[Rates] | None = None,
    in_channels: int = 3,
) -> Rates:
    """The rates whose network of twice the cost scores best.

    Args:
        cfg: the network to start from.
        size: of its picture.
        score: higher is better, such as the accuracy after a short training.
        among: rates to try; by default `candidates()`.
        in_channels: of the picture.
    """
    tried = candidates() if among is None else among
    return max(tried, key=lambda rates: score(grown(cfg, size, 1.0, rates, in_channels)))
