"""Differentiable search for a network: weights and architecture learn in turn, by gradient.

Source: Wu et al. 2018 (1812.03443): section 3.2 for the loss, section 3.3 for weights of the
candidates and their latency.

Differs: the paper draws networks from what was learned and trains each. Here, of those that meet
a latency, the smallest is taken among the ones that a held-out share of the clips cannot tell from
the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..layers import choices
from .latency import LatencyTable
from .loop import Draw, Objective
from .optim import OptimCfg, factor
from .optimizers import optimizer_of

Lesson = tuple[Draw, Objective]
Judge = Callable[[Any], float]  # model -> accuracy, from 0 to 1


@dataclass(frozen=True, kw_only=True)
class SearchCfg:
    """How a network is searched for; the defaults are the paper's where it names them.

    Attributes:
        steps: of the weights.
        every: steps of the weights for one of the architecture.
        alone: share of the steps before the architecture learns at all.
        hot: temperature of the first step of the architecture.
        cold: of the last one; it falls by the same factor every step.
        hard: weights learn with one candidate a place, which takes a fraction of the time, instead
            of a weighted sum of all; the architecture learns with sums in any case.
        lr: of the architecture, by Adam.
        weight_decay: of the architecture.
        alpha: of the loss, see `priced`.
        beta: of the loss.
        drawn: networks that are drawn and judged at the end, for each latency.
    """

    steps: int = 2000
    every: int = 4
    alone: float = 0.1
    hot: float = 5.0
    cold: float = 0.1
    hard: bool = False
    lr: float = 0.01
    weight_decay: float = 5e-4
    alpha: float = 0.2
    beta: float = 0.6
    drawn: int = 24

    def __post_init__(self) -> None:
        if self.steps < 1 or self.every < 1 or self.drawn < 0 or not 0 <= self.alone < 1:
            raise ValueError(
                f"steps={self.steps}, every={self.every}, drawn={self.drawn}, alone={self.alone}: "
                "expected 1 or more, 1 or more, 0 or more, and a share from 0 to below 1"
            )
        if not 0 < self.cold <= self.hot:
            raise ValueError(f"hot={self.hot}, cold={self.cold}: expected hot >= cold > 0")

    def temperature(self, step: int) -> float:
        """Of a step of the weights."""
        begin = round(self.alone * self.steps)
        share = max(0, step - begin) / max(1, self.steps - 1 - begin)
        return float(self.hot * (self.cold / self.hot) ** share)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A network of one candidate in each place.

    Attributes:
        picks: number of the candidate in each place.
        names: of these candidates.
        ms: its latency by the table [ms].
        parameters: of its candidates, without all else.
        accuracy: on the held-out clips, with the weights that all networks share.
        likeliest: whether none is likelier among those that are as fast.
    """

    picks: tuple[int, ...]
    names: tuple[str, ...]
    ms: float
    parameters: int
    accuracy: float
    likeliest: bool


def priced(loss: Tensor, ms: Tensor, alpha: float = 0.2, beta: float = 0.6) -> Tensor:
    """Loss [], latency [ms] -> loss · α log(latency in µs)^β.

    Source: section 3.2.
    """
    return loss * alpha * (1000 * ms).log() ** beta


def search(
    model: nn.Module,
    lesson: Lesson,
    held: Lesson,
    table: LatencyTable,
    optim: OptimCfg,
    cfg: SearchCfg,
    seed: int = 0,
    tell: Callable[[int, float, float], None] | None = None,
) -> None:
    """Learn weights from `lesson` and the probabilities of candidates from `held`.

    Args:
        model: with `Choice` in it; trained in place.
        lesson: batches of a step, and what is minimised.
        held: the same of clips that the weights never learn from.
        table: latencies of the candidates.
        optim: how the weights learn; its steps are those of `cfg`.
        cfg: see `SearchCfg`.
        seed: of every draw.
        tell: called after a step of the architecture: step, loss, expected latency [ms].

    Raises:
        ValueError: the model has no `Choice`.
    """
    places = list(choices(model).values())
    if not places:
        raise ValueError("nothing to search for: expected a model with Choice in it")
    logits = [place.logits for place in places]
    for x in logits:  # out of the weights' optimiser
        x.requires_grad_(False)
    optim = replace(optim, steps=cfg.steps)
    weights = optimizer_of(model, optim)
    learning = [p for p in model.parameters() if p.requires_grad]
    schedule = torch.optim.lr_scheduler.LambdaLR(weights, lambda step: factor(optim, step))
    architecture = torch.optim.Adam(logits, cfg.lr, weight_decay=cfg.weight_decay)
    model.train()
    for step in range(cfg.steps):
        temperature = cfg.temperature(step)
        torch.manual_seed((seed << 32) + 2 * step)
        for place in places:
            place.draw(temperature, cfg.hard)
        loss = lesson[1](model, lesson[0](step, 0, 1))
        weights.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learning, optim.clip_norm)
        weights.step()
        schedule.step()
        if step < cfg.alone * cfg.steps or (step + 1) % cfg.every:
            continue
        torch.manual_seed((seed << 32) + 2 * step + 1)
        for x, place in zip(logits, places, strict=True):
            x.requires_grad_(True)
            place.draw(temperature)
        said = held[1](model, held[0](step // cfg.every, 0, 1))
        ms = table.expected([place.weights for place in places if place.weights is not None])
        gradients = torch.autograd.grad(priced(said, ms, cfg.alpha, cfg.beta), logits)
        for x, gradient in zip(logits, gradients, strict=True):
            x.requires_grad_(False)
            x.grad = gradient
        architecture.step()
        if tell is not None:
            tell(step, float(said.detach()), float(ms.detach()))
    for place in places:
        place.weights = None


def likeliest(scores: Sequence[Tensor], ms: Sequence[Tensor], limit: float) -> tuple[int, ...]:
    """The picks of the largest sum of scores whose times add up to `limit` at most.

    Exact but for times that are rounded up to a microsecond: of all ways to spend so many on the
    first places the best one is kept.

    Args:
        scores: of the candidates of each place [N].
        ms: their times [N].
        limit: [ms].

    Raises:
        ValueError: no network is so fast; the fastest is told.
    """
    costs = [[math.ceil(1000 * x - 1e-3) for x in one.tolist()] for one in ms]
    most = math.floor(1000 * limit + 1e-3)
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for values, own in zip(scores, costs, strict=True):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for spent, (value, picks) in best.items():
            for i, (score, cost) in enumerate(zip(values.tolist(), own, strict=True)):
                key, new = spent + cost, (value + score, (*picks, i))
                if key <= most and (key not in longer or longer[key][0] < new[0]):
                    longer[key] = new
        best = _front(longer)
    if not best:
        raise ValueError(
            f"no network takes {limit:.3f} ms or less: expected "
            f"{sum(map(min, costs)) / 1000:.3f} ms or more for the places together"
        )
    return max(best.values())[1]


def _front(
    known: dict[int, tuple[float, tuple[int, ...]]],
) -> dict[int, tuple[float, tuple[int, ...]]]:
    """Without what is slower and no better than another."""
    kept: dict[int, tuple[float, tuple[int, ...]]] = {}
    top = -math.inf
    for spent in sorted(known):
        if known[spent][0] > top:
            kept[spent], top = known[spent], known[spent][0]
    return kept


@torch.no_grad()
def networks(
    model: nn.Module, table: LatencyTable, limit: float, drawn: int, seed: int = 0
) -> list[tuple[int, ...]]:
    """Networks that meet a latency: the likeliest, then others drawn by their probabilities.

    Args:
        model: what `search` trained.
        table: latencies of the candidates.
        limit: of the whole network [ms].
        drawn: how many of the others at most; there are fewer where few are fast enough.
        seed: of the draws.

    Raises:
        ValueError: no network is so fast.
    """
    logits = [place.logits.cpu() for place in choices(model).values()]
    scores = [x.log_softmax(dim=0) for x in logits]
    try:
        first = likeliest(scores, table.ms, limit - table.rest)
    except ValueError as error:
        raise ValueError(
            f"{error}; {table.rest:.3f} ms of {limit:g} ms are spent on all else"
        ) from None
    random = torch.Generator().manual_seed(seed)
    draws = torch.stack(
        [torch.multinomial(x.exp(), 10000, replacement=True, generator=random) for x in scores]
    )
    ms = table.rest + torch.stack([own[i] for own, i in zip(table.ms, draws, strict=True)]).sum(0)
    fast = map(tuple, draws[:, ms <= limit].T.tolist())
    return list(dict.fromkeys([first, *fast]))[: drawn + 1]


def judged(
    model: nn.Module, table: LatencyTable, picks: Iterable[tuple[int, ...]], judge: Judge
) -> list[Found]:
    """What networks are worth with the weights that they share; the first is the likeliest."""
    places, found = choices(model), []
    for n, own in enumerate(picks):
        size = 0
        for i, place in zip(own, places.values(), strict=True):
            place.choose(i)
            size += sum(p.numel() for p in place.options[i].parameters())
        names = tuple(place.names[i] for i, place in zip(own, places.values(), strict=True))
        found.append(
            Found(
                picks=own, names=names, ms=table.of(own), parameters=size,
                accuracy=judge(model), likeliest=n == 0,
            )
        )  # fmt: skip
    for place in places.values():
        place.weights = None
    return found


def smallest(found: Sequence[Found], clips: int) -> Found:
    """The smallest network within one standard error of the best accuracy.

    Args:
        found: one network or more.
        clips: that the accuracies come from.
    """
    top = max(one.accuracy for one in found)
    error = math.sqrt(top * (1 - top) / clips)
    return min(
        (one for one in found if one.accuracy >= top - error), key=lambda one: one.parameters
    )
