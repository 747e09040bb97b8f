"""Gradients held to a share of what they change: adaptive gradient clipping."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def adaptive_clip(parameters: Iterable[nn.Parameter], ratio: float, eps: float = 1e-3) -> None:
    """Shorten the gradient of every filter to `ratio` of the filter's norm, in place.

    A filter is a row of a weight, all that one output channel is made with; of a tensor with one
    axis, such as a bias, it is the whole.

    Source: Brock et al. 2021 (2102.06171), eq. 3; ratio 0.01 for batches of 4096, more for less.

    Args:
        parameters: those that learn; the paper leaves out the last linear layer.
        ratio: λ.
        eps: least norm that is assumed of a filter, so that zeros can grow.
    """
    for parameter in parameters:
        if parameter.grad is None:
            continue
        most = _norms(parameter.detach()).clamp_min(eps) * ratio
        norms = _norms(parameter.grad)
        parameter.grad.copy_(
            torch.where(
                norms < most, parameter.grad, parameter.grad * (most / norms.clamp_min(1e-6))
            )
        )


def _norms(x: Tensor) -> Tensor:
    rows = tuple(range(1, x.ndim)) if x.ndim > 1 else None
    norms: Tensor = torch.linalg.vector_norm(x, dim=rows, keepdim=True)
    return norms
