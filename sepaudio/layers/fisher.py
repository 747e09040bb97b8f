"""The Fisher vector: how a recording would have a mixture of Gaussians change to fit it better.

Source: Perronnin & Dance 2007; Perronnin, Sánchez & Mensink 2010 for the improved form. Frames are
averaged; the gradient is whitened by the analytic, diagonal approximation of the Fisher matrix.
scikit-image's function of that name gives the variances' part with the opposite sign.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .gmm import GMM, scatter, statistics


def fisher_size(components: int, dim: int) -> int:
    """Numbers in the vector of a mixture: a weight, D means and D variances a Gaussian.

    >>> fisher_size(3, 4)
    27
    """
    return components * (2 * dim + 1)


def fisher_vector(
    mixture: GMM, x: Tensor, counted: Tensor | None = None, *, improved: bool = True
) -> Tensor:
    """Frames x [B, D, L] -> vectors [B, C (2 D + 1)]: weights, means, variances.

    Args:
        mixture: a diagonal one.
        x: frames; their order changes nothing.
        counted: [B, L] which frames are taken; None is all. A recording needs one at least.
        improved: the signed square root of every number, then length one.

    Raises:
        ValueError: the mixture is not diagonal.
    """
    if mixture.covariance != "diagonal":
        raise ValueError(
            f"a mixture with covariance={mixture.covariance!r}: expected 'diagonal', for which the "
            "Fisher matrix is known"
        )
    shares = mixture.posteriors(x)
    if counted is not None:
        shares = shares * counted[:, None]
    of, squares = statistics(shares, x), scatter(shares, x, "diagonal")
    n = of.counts.sum(dim=-1)  # frames, [B]
    weights, means = mixture.log_weights.double().exp(), mixture.means.double()
    roots = mixture.roots.double()
    counts = of.counts / n[:, None]  # [B, C]
    sums, squares = of.sums / n[:, None, None], squares / n[:, None, None]  # [B, C, D]
    shift = (sums - counts[..., None] * means) * roots
    about = squares - 2 * means * sums + counts[..., None] * means.square()
    spread = about * roots.square() - counts[..., None]
    scale = weights.sqrt()
    parts = (
        (counts - weights) / scale,
        (shift / scale[:, None]).flatten(1),
        (spread / (scale[:, None] * 2**0.5)).flatten(1),
    )
    found = torch.cat(parts, dim=1)
    if improved:
        found = found.sign() * found.abs().sqrt()
        found = found / found.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return found.to(x.dtype)
