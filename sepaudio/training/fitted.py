"""What no gradient finds, measured on the valid split once the network is trained.

The level of the estimates, which scale-invariant losses leave open, and how likely it is that the
enrolled speaker is there at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.mixing import load
from ..losses import neg_si_snr, pit, reorder
from ..metrics.signal import EPS
from .draws import Batch, Source, batches, lengths_of, placed
from .recipe import MixtureRecipeCfg
from .start import held
from .survey import say

# What silence may cost those who are there [dB]: a quarter of the 0.2 that are bearable, since it
# costs other voices more than those that the threshold was chosen by.
COST = 0.05
# And how many of them may fall silent: of a network that has learned little silence costs nothing.
MISSES = 0.05
PER_ITEM = 16  # mixtures that presence is calibrated on, for each that validates
MORE = 4  # times as many mixtures are learned from as calibrated on
SMALL = 1e-3  # of the regression, see `logistic`
# What presence is fitted on: two voices, which as those of one recording share a microphone.
HALF: dict[str, Any] = {
    "absent": 0.5,
    "n_src": (2, 2),
    "same_origin": 1.0,
    "noise": 0.0,
    "music": 0.0,
}


@dataclass(frozen=True)
class Presence:
    """Mixtures of several kinds that presence is learned from, and calibrated on."""

    train: list[Source]
    valid: list[Source]


def presence_of(model: Any, cfg: MixtureRecipeCfg) -> Presence | None:
    """What presence is fitted on after training; None where the model judges none, or keeps it.

    Raises:
        ValueError: a split has too few speakers for mixtures that lack one.
    """
    data, presence = cfg.data, getattr(model.cfg, "presence", 0.0)
    if not presence or held("evidence", cfg.freeze) or data.lists.files:
        return None
    of_two = replace(data.mixing, seconds=presence, **HALF)
    alone = replace(of_two, n_src=(1, 1), noise=data.mixing.noise, music=data.mixing.music)
    kinds = [of_two, *([alone] if alone.noise or alone.music else [])]

    def made(split: str, manifests: Sequence[str]) -> list[Source]:
        mixers = [load(kind, manifests, split, data.shelf, data.on_bad) for kind in kinds]
        return placed(mixers, data.mix_on)

    try:
        return Presence(
            made("train", data.manifests),
            made("valid", data.manifests[: data.presence_manifests or None]),
        )
    except ValueError as error:
        raise ValueError(f"presence cannot be fitted: {error}; or set model.presence=0") from error


def fit_rest(
    model: Any,
    valid: Source,
    cfg: MixtureRecipeCfg,
    presence: Presence | None,
    quiet: bool,
) -> None:
    """What no gradient finds, measured when all else is learned, but for parts that are frozen."""
    items, batch = cfg.data.valid_items, cfg.optim.batch
    decoder = [f"decoder.{name}" for name in model.decoder.state_dict()]
    if not any(held(name, cfg.freeze) for name in decoder):
        fit_level(model, valid, items, batch)
    if presence is not None:
        if not quiet:
            n = (1 + MORE) * PER_ITEM * items * len(presence.valid)
            say(f"presence: {n} mixtures of {model.cfg.presence:g} s are heard to fit it")
        fit_presence(model, presence.train, presence.valid, PER_ITEM * items, batch)


def fit_level(model: Any, mixer: Source, items: int, batch: int) -> float:
    """Make estimates as loud as their sources; returns the gain, which the decoder takes up.

    Scale-invariant losses leave the level open. It differs little from mixture to mixture, so the
    median of the gains that fit best on the valid split sets it.
    """
    gains = []
    for made in batches(mixer, 0, items, batch, model):
        with torch.inference_mode():
            estimates, sources = _paired(model, made)
        power = estimates.square().sum(-1)
        fits = (estimates * sources).sum(-1) / power.clamp_min(EPS)
        gains.append(fits[(power > EPS) & (sources.square().sum(-1) > EPS)])
    gain = float(torch.cat(gains).median())
    if not gain > 0:  # nothing was learned: no level to speak of
        return 1.0
    with torch.no_grad():
        for values in model.decoder.state_dict().values():
            values.mul_(gain)
    return gain


def fit_presence(
    model: Any, train: Sequence[Source], valid: Sequence[Source], items: int, batch: int
) -> None:
    """Find and calibrate an extractor's presence, on mixtures half of which lack the speaker.

    A logistic regression on the hints of training mixtures, and another one on what it says of
    mixtures of the valid split, whose speakers the extractor has never heard: this sets how sure
    it is. Then the cfg's `least_presence`: the most that silences on average no more than `COST`
    dB of what is heard of those who are there, and `MISSES` of them, of whatever kind the
    mixtures are.

    Source of the second regression: Platt 1999, "Probabilistic outputs for support vector
    machines", section 2.

    Args:
        model: an extractor whose cfg has `presence`.
        train: draw mixtures of that length, of one kind each.
        valid: the same of the valid split.
        items: how many of each on the valid split; `MORE` times as many of each are learned from.
        batch: how many at once.
    """
    found = [listen(model, mixer, MORE * items, batch) for mixer in train]
    hints, here, _ = (torch.cat(parts) for parts in zip(*found, strict=True))
    weight, bias = logistic(hints, here, SMALL)
    kinds = [listen(model, mixer, items, batch) for mixer in valid]
    x, y = torch.cat([x for x, _, _ in kinds]), torch.cat([y for _, y, _ in kinds])
    scale, shift = logistic((x @ weight + bias)[:, None], y)
    with torch.no_grad():
        model.evidence.weight.copy_((weight * scale)[None])
        model.evidence.bias.copy_(bias * scale + shift)
    least = min(affordable(_told(model, x[y > 0]), heard) for x, y, heard in kinds)
    model.cfg = replace(model.cfg, least_presence=least)


def logistic(x: Tensor, y: Tensor, small: float = 0.0) -> tuple[Tensor, Tensor]:
    """Weights [D] and bias [1] of the logistic regression that tells y [N] from x [N, D].

    Args:
        x: float64.
        y: 0 or 1.
        small: weight of the sum of squares of the weights, those of hints of deviation 1; with it
            hints that part the two wholly stay finite.
    """
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    head = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([head], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = (x - mean) / deviation @ head[:-1] + head[-1]
        loss = F.binary_cross_entropy_with_logits(logits, y) + small * head[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = head.detach()
    weight = found[:-1] / deviation
    return weight, found[-1:] - weight @ mean


def listen(model: Any, mixer: Source, items: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Hints [N, D] of mixtures, whether the speaker is there [N], and SI-SNR of those who are [M].

    Args:
        model: an extractor whose cfg has `presence`.
        mixer: draws the mixtures.
        items: how many (N).
        batch: how many at once.
    """
    hints, here, heard = [], [], []
    for made in batches(mixer, 1, items, batch, model):
        there = made["target"] >= 0
        with torch.inference_mode():
            embedding = model.speaker(made["enrollment"], made["enrollment_lengths"])
            told, estimate = model.hints(made["mixture"], embedding)
            hints.append(told.double().cpu())
            target = made["sources"][there, made["target"][there]]
            heard.append(-neg_si_snr(estimate[there], target).double().cpu())
        here.append(there.double().cpu())
    return torch.cat(hints).clone(), torch.cat(here), torch.cat(heard).clone()


@torch.no_grad()
def _told(model: Any, hints: Tensor) -> Tensor:
    """hints [N, D] -> probability of presence [N]."""
    logits: Tensor = model.evidence(hints.to(model.evidence.weight))
    return logits[:, 0].sigmoid().cpu()


def affordable(told: Tensor, heard: Tensor, cost: float = COST, misses: float = MISSES) -> float:
    """The largest probability, in hundredths, below which silence costs no more than is bearable.

    Silence has an SI-SNR of 0 dB, so that what it costs is the SI-SNR of what it replaces.

    Args:
        told: [N] probability of presence where the speaker is there.
        heard: [N] SI-SNR of the estimates [dB].
        cost: on the mean over all of them [dB].
        misses: share of them that fall silent.
    """
    bearable = [0.0]
    for step in range(100):
        silent = told < step / 100
        spent, missed = float((heard * silent).mean()), float(silent.double().mean())
        if spent <= cost and missed <= misses:
            bearable.append(step / 100)
    return max(bearable)


def _paired(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Estimates and the sources they are of, [.., T] each."""
    lengths = lengths_of(batch)
    if model.task == "separation":
        estimates, sources = model(batch["mixture"], lengths=lengths), batch["sources"]
        return reorder(estimates, pit(estimates, sources, lengths)[1]), sources
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    here = batch["target"] >= 0
    estimates = model(batch["mixture"], embedding, lengths=lengths)[here]
    return estimates, batch["sources"][here, batch["target"][here]]
