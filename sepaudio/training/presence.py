"""How likely it is that the enrolled speaker is there at all, fitted after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.mixing import BEDS, MixingCfg, load
from ..data.presence import lasting, silenced, windows
from ..losses import neg_si_snr
from .colours import Colours
from .draws import Batch, Source, batches, placed
from .process import together
from .recipe import MixtureRecipeCfg
from .start import held

Array = NDArray[Any]

# What silence may cost those who are there [dB], on the mean over mixtures.
COST = 0.2
# And how many of them may fall silent: of a network that has learned little silence costs nothing.
MISSES = 0.05
SURE = 1.645  # standard errors to spare: 95 %, were mixtures of few speakers independent
PER_ITEM = 16  # mixtures that presence is calibrated on, for each that validates
MORE = 4  # times as many mixtures are learned from as calibrated on
LONGER = 2.0  # times as long are those that silence is tried on: as recordings, of several windows
LEAST = tuple(step / 100 for step in range(100))  # probabilities that silence is tried with
SMALL = 1e-3  # of the regression, see `logistic`
# What presence is fitted on: two voices, which as those of one recording share a microphone.
HALF: dict[str, Any] = {
    "absent": 0.5,
    "n_src": (2, 2),
    "shares": (),
    "same_origin": 1.0,
    "noise": 0.0,
    "music": 0.0,
    "manners": 0.0,
}
# And what silence is tried on: all who are there were enrolled in another manner, as one mostly is.
THERE: dict[str, Any] = {"absent": 0.0, "manners": 1.0}


@dataclass(frozen=True)
class Presence:
    """Mixtures of several kinds that presence is found by.

    Attributes:
        train: what it is learned from; as long as a window, half of them without the speaker.
        valid: what it is calibrated on; the same of the valid split.
        longer: what silence is tried on; of the valid split, with the speaker, who is enrolled in
            another manner (`MixingCfg.manners`).
        colours: what enrollments come through where presence is learned, if they did so where the
            network learned.
    """

    train: list[Source]
    valid: list[Source]
    longer: list[Source]
    colours: nn.Module | None = None


def heard_to_fit(presence: Presence, items: int) -> int:
    """How many mixtures `fit_presence` hears with so many `items`."""
    return items * (MORE * len(presence.train) + len(presence.valid) + len(presence.longer))


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

    nothing: dict[str, Any] = dict.fromkeys(BEDS, 0.0)  # each bed apart: one may pay for the other
    beds = [nothing | {bed: 1.0} for bed in BEDS if getattr(alone, bed)]
    apart = [of_two, *(replace(alone, **bed) for bed in beds)]
    longer = [replace(kind, seconds=LONGER * presence, **THERE) for kind in apart]
    calibrated = data.manifests[: data.presence_manifests or None]
    # what is calibrated on lies by itself, or it would take the place of all that validates
    aside = Path(data.shelf) / "presence" if calibrated != data.manifests else Path(data.shelf)

    def made(kinds: Sequence[MixingCfg], split: str, manifests: Sequence[str]) -> list[Source]:
        place = aside if split == "valid" else data.shelf
        mixers = [load(kind, manifests, split, place, data.on_bad) for kind in kinds]
        return placed(mixers, data.mix_on)

    try:
        return Presence(
            made(kinds, "train", data.manifests),
            made(kinds, "valid", calibrated),
            made(longer, "valid", calibrated),
            Colours(data.mixing.sample_rate, cfg.colours) if cfg.colours else None,
        )
    except ValueError as error:
        raise ValueError(f"presence cannot be fitted: {error}; or set model.presence=0") from error


def fit_presence(model: Any, presence: Presence, items: int, batch: int) -> None:
    """Find and calibrate an extractor's presence, and what probability of it becomes silence.

    A logistic regression on the hints of training mixtures, and another one on what it says of
    mixtures of the valid split, whose speakers the extractor has never heard: this sets how sure
    it is. Then the cfg's `least_presence`: the most that silences on average no more than `COST`
    dB of what is heard of those who are there, and `MISSES` of them, beside another voice, over
    noise and over music alike, with what chance may hide (`surely`). For this they are heard as
    a recording is, window by window, and enrolled in another manner: with another stretch of the
    same recording, as a collection may offer alone, silence by mistake would be rarer than it is
    in use. The processes of a run hear a part each.

    Source of the second regression: Platt 1999, "Probabilistic outputs for support vector
    machines", section 2.

    Args:
        model: an extractor whose cfg has `presence`.
        presence: the mixtures.
        items: how many of each kind; `MORE` times as many of each are learned from.
        batch: how many at once.
    """
    more = MORE * items, batch, presence.colours
    found = [listen(model, mixer, *more) for mixer in presence.train]
    hints, here = (torch.cat(parts) for parts in zip(*found, strict=True))
    weight, bias = logistic(hints, here, SMALL)
    found = [listen(model, mixer, items, batch) for mixer in presence.valid]
    x, y = (torch.cat(parts) for parts in zip(*found, strict=True))
    scale, shift = logistic((x @ weight + bias)[:, None], y)
    with torch.no_grad():
        model.evidence.weight.copy_((weight * scale)[None])
        model.evidence.bias.copy_(bias * scale + shift)
    least = min(affordable(*tried(model, kind, items, batch)) for kind in presence.longer)
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


def listen(
    model: Any, mixer: Source, items: int, batch: int, colours: nn.Module | None = None
) -> tuple[Tensor, Tensor]:
    """Hints [N, D] of mixtures, and whether the speaker is there [N].

    Args:
        model: an extractor whose cfg has `presence`.
        mixer: draws the mixtures.
        items: how many (N).
        batch: how many at once.
        colours: what the enrollments come through, if anything.
    """

    def find(part: int, parts: int) -> list[tuple[Tensor, Tensor]]:
        found = []
        for made in batches(mixer, 1, items, batch, model, part, parts):
            enrollment = made["enrollment"]
            if colours is not None:
                enrollment = colours.to(enrollment.device)(enrollment)
            with torch.inference_mode():
                embedding = model.speaker(enrollment, made["enrollment_lengths"])
                hints = model.hints(made["mixture"], embedding)[0].double().cpu()
            found.append((hints, (made["target"] >= 0).double().cpu()))
        return found

    hints, here = zip(*together(find), strict=True)
    return torch.cat(hints), torch.cat(here)


def tried(model: Any, mixer: Source, items: int, batch: int) -> tuple[Array, Array]:
    """What silence costs [dB, N, 100], and whether all falls silent [N, 100], for each of `LEAST`.

    Silence has an SI-SNR of 0 dB.

    Args:
        model: an extractor whose cfg has `presence`.
        mixer: draws mixtures with the speaker, longer than a window.
        items: how many (N).
        batch: how many at once.
    """

    def find(part: int, parts: int) -> list[tuple[list[Any], list[Any]]]:
        every = batches(mixer, 1, items, batch, model, part, parts)
        return [_tried(model, made) for made in every]

    costs, silences = zip(*together(find), strict=True)
    return np.concatenate(costs), np.concatenate(silences)


def _tried(model: Any, made: Batch) -> tuple[list[Any], list[Any]]:
    rate, mixture = int(model.sample_rate), made["mixture"]
    n, size = mixture.shape[1], round(model.cfg.presence * rate)
    with torch.inference_mode():
        embedding = model.speaker(made["enrollment"], made["enrollment_lengths"])
        estimates = model(mixture, embedding).float().cpu().numpy()
        told = [model.presence(mixture[:, s : s + size], embedding) for s in windows(n, size)]
    alone = torch.stack(told, dim=1).float().cpu().numpy()
    rows = torch.arange(len(mixture), device=mixture.device)
    targets = made["sources"][rows, made["target"]].cpu()
    costs, silences = [], []
    for estimate, target, each in zip(estimates, targets, alone, strict=True):
        found = lasting(each, n, size, rate)
        kept = _heard(estimate, target)
        # only these thresholds make a difference: everything between two of them is the same
        after = {
            count: _heard(silenced(estimate, found, size, rate, above), target)
            for count, above in enumerate([*np.sort(found), 2.0])
        }
        below = [int((found < least).sum()) for least in LEAST]
        costs.append([kept - after[count] for count in below])
        silences.append([count == len(found) for count in below])
    return costs, silences


def _heard(estimate: Array, target: Tensor) -> float:
    return -float(neg_si_snr(torch.from_numpy(estimate)[None], target[None]))


def affordable(costs: Array, silences: Array, cost: float = COST, misses: float = MISSES) -> float:
    """The largest of `LEAST` below which silence surely costs no more than is bearable.

    Args:
        costs: [N, 100] of silence, where the speaker is there [dB].
        silences: [N, 100] whether all falls silent.
        cost: on the mean over all of them [dB].
        misses: share of them that fall silent.
    """
    bearable = (surely(costs) <= cost) & (surely(silences) <= misses)
    return max((least for least, fine in zip(LEAST, bearable, strict=True) if fine), default=0.0)


def surely(found: Array) -> Array:
    """The most that the mean of all may well be, by values [N, 100] of some."""
    return np.asarray(found.mean(0) + SURE * found.std(0) / len(found) ** 0.5)
