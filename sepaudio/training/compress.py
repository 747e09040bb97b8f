"""Smaller models: weights of low rank, of few values, or zero, which stay so in training.

Each step changes the weights of a model in place and holds what it did: by hooks on gradients that
leave only what keeps a weight zero, of a rank, or equal to others. So any training may follow, of
the model itself: what it decays or averages keeps these properties too.

Source: Han et al. 2015 (1510.00149), sections 2 and 3; for low rank Denton et al. 2014
(1404.0736), section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..packed import Factors

SMALLEST = 256  # weights of a tensor that is worth a codebook
EXACT = 1e-5  # singular values below this share of the largest are rounding


def weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The filters and matrices of a model that learn and are worth it, by name."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.ndim > 1 and weight.numel() >= SMALLEST:
            yield name, weight


@torch.no_grad()
def prune(model: nn.Module, share: float) -> None:
    """Make the smallest weights zero, and keep them so.

    Small is meant beside the root mean square of a weight's own tensor, so that one threshold of
    that kind serves all of them.

    Args:
        model: changed in place.
        share: of the weights, from 0 to below 1.

    Raises:
        ValueError: the share is none, or the model has no weights that are worth it.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share}: expected a share from 0 to below 1")
    own = _some(model)
    sizes = [w.abs() / w.square().mean().sqrt().clamp_min(1e-12) for w in own.values()]
    every = torch.cat([size.flatten() for size in sizes])
    gone = round(share * len(every))
    mask = torch.ones_like(every)
    mask[every.argsort(stable=True)[:gone]] = 0
    parts = torch.split(mask, [size.numel() for size in sizes])
    for weight, part in zip(own.values(), parts, strict=True):
        _mask(weight, part.reshape(weight.shape))


@torch.no_grad()
def share(model: nn.Module, bits: int) -> None:
    """Give each tensor 2^bits different values at most, by k-means, and keep equal ones equal.

    What is zero stays zero, which then is one of the values. Centres start evenly from the
    smallest to the largest weight, the best of the paper's three ways. In training a centre moves
    by the mean gradient of its weights.

    Differs: the paper takes their sum; adaptive optimisers do the same with both, but a sum would
    be cut by a limit on the gradient's norm.

    Args:
        model: changed in place.
        bits: 1 to 8.

    Raises:
        ValueError: other bits, or the model has no weights that are worth it.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits={bits}: expected 1 to 8")
    for weight in _some(model).values():
        flat = weight.flatten()
        lives = flat != 0
        zeros = bool((~lives).any())
        values, numbers = _clustered(flat[lives], 2**bits - zeros)
        index = torch.full(flat.shape, len(values), device=flat.device)
        index[lives] = numbers
        book = torch.cat([values, values.new_zeros(1)])
        weight.copy_(book[index].reshape(weight.shape))
        _tie(weight, index, len(values))


@torch.no_grad()
def low_rank(model: nn.Module, energy: float) -> None:
    """Replace matrices by those of a low rank where two factors are smaller, and hold them.

    A filter is a row of the matrix. The rank is the lowest that keeps a share of the sum of the
    squared singular values. Training afterwards moves all else.

    Args:
        model: changed in place.
        energy: that share, above 0, up to 1.

    Raises:
        ValueError: the share is none, or the model has no weights that are worth it.
    """
    if not 0 < energy <= 1:
        raise ValueError(f"energy={energy}: expected a share above 0, up to 1")
    for weight in _some(model).values():
        parts = torch.linalg.svd(weight.flatten(1).double(), full_matrices=False)
        power = parts.S.square().cumsum(0)
        rank = int((power < (energy - 1e-12) * power[-1]).sum()) + 1
        if _pays(weight, rank):
            first, second = _factors(parts, rank)
            weight.copy_((first @ second).reshape(weight.shape))
            _hold(weight, torch.zeros_like)


def factors(model: nn.Module) -> dict[str, Factors]:
    """The matrices of a rank so low that two factors are smaller, by name: [O, R] and [R, I]."""
    found = {}
    for name, weight in weights(model):
        parts = torch.linalg.svd(weight.detach().flatten(1).double(), full_matrices=False)
        rank = max(1, int((parts.S / parts.S[0].clamp_min(1e-300) > EXACT).sum()))
        if _pays(weight, rank):
            first, second = _factors(parts, rank)
            found[name] = first.to(weight.dtype), second.to(weight.dtype)
    return found


def _some(model: nn.Module) -> dict[str, nn.Parameter]:
    found = dict(weights(model))
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no tensor of {SMALLEST} weights or more: expected a model "
            "that is worth compressing"
        )
    return found


def _hold(weight: nn.Parameter, hook: Callable[[Tensor], Tensor]) -> None:
    """Pass every gradient of a weight through a hook."""
    weight.register_hook(hook)  # type: ignore[no-untyped-call]


def _mask(weight: nn.Parameter, mask: Tensor) -> None:
    weight.masked_fill_(mask == 0, 0.0)  # a product would leave -0.0
    _hold(weight, lambda gradient: gradient * mask.to(gradient.device))


def _tie(weight: nn.Parameter, index: Tensor, n: int) -> None:
    """Hold the weights [n] that an index [N] has; those of number n are zero and stay so."""
    counts = torch.bincount(index, minlength=n + 1).clamp_min(1)

    def tied(gradient: Tensor) -> Tensor:
        here = index.to(gradient.device)
        sums = gradient.new_zeros(n + 1).index_add(0, here, gradient.flatten())
        means = sums / counts.to(sums)
        means[n] = 0
        return means[here].reshape(gradient.shape)

    _hold(weight, tied)


def _clustered(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Values [N] -> centres [n or fewer], number of the centre of each [N]."""
    from sklearn.cluster import KMeans

    known, places = np.unique(x.cpu().numpy(), return_inverse=True)
    if len(known) <= n:
        return torch.from_numpy(known).to(x), torch.from_numpy(places).to(x.device)
    start = np.linspace(known[0], known[-1], n)[:, None]
    found = KMeans(n, init=start, n_init=1, tol=0.0).fit(x.double().cpu().numpy()[:, None])
    centres = torch.from_numpy(found.cluster_centers_[:, 0]).to(x)
    return centres, torch.from_numpy(found.labels_.astype(np.int64)).to(x.device)


def _pays(weight: Tensor, rank: int) -> bool:
    rows = weight.shape[0]
    return rank * (rows + weight.numel() // rows) < weight.numel()


def _factors(parts: tuple[Tensor, Tensor, Tensor], rank: int) -> Factors:
    """The factors of a rank, between which the singular values are halved."""
    u, s, v = parts
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]
