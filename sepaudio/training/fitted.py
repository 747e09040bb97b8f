"""What no gradient finds, measured on the valid split once the network is trained.

The level of the estimates, which scale-invariant losses leave open, and how likely it is that the
enrolled speaker is there at all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..losses import pit, reorder
from ..metrics.signal import EPS
from .draws import Batch, Source, batches, lengths_of
from .presence import PER_ITEM, Presence, fit_presence, heard_to_fit
from .recipe import MixtureRecipeCfg
from .start import held
from .survey import say


def fit_rest(
    model: Any,
    valid: Source,
    cfg: MixtureRecipeCfg,
    presence: Presence | None,
    quiet: bool,
) -> None:
    """What no gradient finds, measured when all else is learned, but for parts that are frozen."""
    if model.task == "speaker":
        return
    items, batch = cfg.data.valid_items, cfg.optim.batch
    decoder = [f"decoder.{name}" for name in model.decoder.state_dict()]
    if not any(held(name, cfg.freeze) for name in decoder):
        fit_level(model, valid, items, batch)
    if presence is not None:
        if not quiet:
            n = heard_to_fit(presence, PER_ITEM * items)
            say(f"presence: {n} mixtures of {model.cfg.presence:g} s and more are heard to fit it")
        fit_presence(model, presence, PER_ITEM * items, batch)


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
