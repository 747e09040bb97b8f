"""Losses of separation and extraction: differentiable, in dB, lower is better.

What they give where a signal is silent (E is the energy of the estimate, eps is 1e-8):

| target | estimate | neg_si_snr, neg_snr |
| --- | --- | --- |
| silent | silent | 0 dB |
| silent | not | 10 log10((E + eps) / eps): the louder, the worse |
| not | silent | 0 dB |

All are finite with finite gradients there, and for a single sample.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from .layers import mask_time

EPS = 1e-8
MOST = 8  # sources; more have too many orders to try
Pairwise = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def neg_si_snr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> -SI-SNR [B, ...] in dB.

    The means are removed first; the target is the source scaled to fit the estimate best.

    Source: Luo & Mesgarani 2019 (1809.07454), eq. 7 and 8.
    """
    return _scale_invariant(_centred(estimate, lengths), _centred(source, lengths))


def neg_si_sdr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The same without removing the means: Le Roux et al. 2018 (1811.02508), eq. 3."""
    return _scale_invariant(mask_time(estimate, lengths), mask_time(source, lengths))


def neg_snr(estimate: Tensor, source: Tensor, lengths: Tensor | None = None) -> Tensor:
    """estimate, source [B, ..., T], lengths [B] -> -SNR [B, ...] in dB: the level counts too."""
    source = mask_time(source, lengths)
    return _ratio(source, mask_time(estimate, lengths) - source)


LOSSES: dict[str, Pairwise] = {
    "si_snr": neg_si_snr,
    "si_sdr": neg_si_sdr,
    "snr": neg_snr,
}


def pit(
    estimates: Tensor,
    sources: Tensor,
    lengths: Tensor | None = None,
    loss: Pairwise = neg_si_snr,
) -> tuple[Tensor, Tensor]:
    """The loss of the best assignment of estimates to sources, per mixture.

    Args:
        estimates: [B, S, ..., T]
        sources: [B, S, ..., T]
        lengths: [B] in samples.
        loss: of one estimate and one source; axes beyond the batch's are averaged.

    Returns:
        The mean loss over the sources [B], and the order [B, S]: estimate order[b, i] is of
        source i, as `reorder` takes it.

    Raises:
        ValueError: shapes differ, or there are more than eight sources.

    Source: Kolbæk et al. 2017 (1703.06284), utterance-level permutation-invariant training.
    """
    n = sources.shape[1]
    if estimates.shape != sources.shape:
        raise ValueError(
            f"estimates have shape {list(estimates.shape)}: expected that of the sources, "
            f"{list(sources.shape)}"
        )
    if n > MOST:
        raise ValueError(f"{n} sources: expected at most {MOST}")
    pairs = torch.stack(
        [
            torch.stack([_flat(loss(estimates[:, j], sources[:, i], lengths)) for j in range(n)], 1)
            for i in range(n)
        ],
        dim=1,
    )  # [B, source, estimate]
    orders = torch.tensor(list(permutations(range(n))), device=pairs.device)  # [P, S]
    totals = pairs[:, torch.arange(n, device=pairs.device), orders].mean(dim=2)  # [B, P]
    best = totals.argmin(dim=1)
    return totals.gather(1, best[:, None])[:, 0], orders[best]


def reorder(estimates: Tensor, order: Tensor) -> Tensor:
    """estimates [B, S, ..., T], order [B, S] -> the estimates in the order of the sources."""
    index = order.view(*order.shape, *[1] * (estimates.ndim - 2)).expand_as(estimates)
    return estimates.gather(1, index)


def absent(estimate: Tensor, mixture: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Loss where the enrolled speaker does not talk: level of the estimate [dB], [B, ...].

    0 dB is an estimate as loud as the mixture, -60 dB is the least it can reach: silence enough.

    Args:
        estimate: [B, ..., T]
        mixture: [B, ..., T]
        lengths: [B] in samples.
    """
    energy = mask_time(estimate, lengths).square().sum(dim=-1)
    whole = mask_time(mixture, lengths).square().sum(dim=-1)
    return 10 * torch.log10((energy + 1e-6 * whole + EPS) / (whole + EPS))


def _scale_invariant(estimate: Tensor, source: Tensor) -> Tensor:
    power = source.square().sum(dim=-1, keepdim=True)
    target = (estimate * source).sum(dim=-1, keepdim=True) / (power + EPS) * source
    return _ratio(target, estimate - target)


def _ratio(target: Tensor, error: Tensor) -> Tensor:
    """-10 log10 of the energies' ratio; equal to 0 where both are silent."""
    return 10 * torch.log10(
        (error.square().sum(dim=-1) + EPS) / (target.square().sum(dim=-1) + EPS)
    )


def _centred(x: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return x - x.mean(dim=-1, keepdim=True)
    n = lengths.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    x = mask_time(x, lengths)
    return mask_time(x - x.sum(dim=-1, keepdim=True) / n, lengths)


def _flat(x: Tensor) -> Tensor:
    """The mean over all axes but the first: [B, ...] -> [B]."""
    return x.flatten(1).mean(dim=1) if x.ndim > 1 else x
