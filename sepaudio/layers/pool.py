"""From many frames to one, and the mask that keeps padding out of it."""

from collections.abc import Callable

import torch
from torch import Tensor


def mask_time(x: Tensor, lengths: Tensor | None, fill: float = 0.0) -> Tensor:
    """x [B, ..., L] with everything from frame lengths[b] on replaced by `fill`.

    Args:
        x: any map whose first axis is the batch and whose last is time.
        lengths: [B] in frames of x; None changes nothing.
        fill: what the padding becomes.
    """
    if lengths is None:
        return x
    outside = torch.arange(x.shape[-1], device=x.device) >= lengths[:, None]  # [B, L]
    return x.masked_fill(outside.view(len(x), *[1] * (x.ndim - 2), -1), fill)


def _mean(x: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return x.mean(dim=-1)
    n = lengths.to(x.dtype).view(-1, *[1] * (x.ndim - 2))
    return mask_time(x, lengths).sum(dim=-1) / n


def _max(x: Tensor, lengths: Tensor | None) -> Tensor:
    return mask_time(x, lengths, float("-inf")).amax(dim=-1)


def _last(x: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return x[..., -1]
    index = (lengths - 1).view(-1, *[1] * (x.ndim - 1)).expand(*x.shape[:-1], 1)
    return x.gather(-1, index)[..., 0]


POOLS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "mean": _mean,
    "max": _max,
    "last": _last,
}


def vote_time(scores: Tensor, counted: Tensor) -> Tensor:
    """Scores of frames [B, K, L], which of them count [B, L] -> log shares of the votes [B, K].

    Every frame votes for its best class; half a vote each is added, so that no share is zero.
    """
    k, n = scores.shape[1], counted.sum(dim=-1, keepdim=True)
    numbers = torch.arange(k, device=scores.device)[:, None]
    votes = ((numbers == scores.argmax(dim=1)[:, None]) & counted[:, None]).sum(dim=-1)
    shares: Tensor = (votes + 0.5).to(scores.dtype) / (n + 0.5 * k)
    return shares.log()


def pool_time(x: Tensor, kind: str = "mean", lengths: Tensor | None = None) -> Tensor:
    """x [B, ..., L] -> [B, ...], over the frames before lengths[b].

    Raises:
        ValueError: `kind` is none of mean, max, last.
    """
    if kind not in POOLS:
        raise ValueError(f"pool={kind!r}: expected one of {', '.join(POOLS)}")
    return POOLS[kind](x, lengths)


def pool_statistics(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """x [B, C, L] -> [B, 2 C]: mean and deviation over the frames before lengths[b].

    Source: statistics pooling of Snyder et al. 2018 (10.1109/ICASSP.2018.8461375), section 2.1.
    """
    mean = _mean(x, lengths)
    variance = _mean((x - mean[..., None]).square(), lengths)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)
