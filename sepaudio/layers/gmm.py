"""Densities: mixtures of Gaussians over frames, and how their means move from speaker to speaker.

Every Gaussian is kept as its mean and its root, the matrix that whitens it (rootᵀ root is the
inverse covariance): nothing has to be derived after loading, and no covariance is inverted twice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

COVARIANCES = ("diagonal", "full")
TILE = 1 << 22  # numbers in the largest intermediate result


class Statistics(NamedTuple):
    """What frames say to a mixture: counts [..., C] and sums of frames [..., C, D], float64."""

    counts: Tensor
    sums: Tensor


def statistics(posteriors: Tensor, x: Tensor) -> Statistics:
    """posteriors [..., C, L] and frames x [..., D, L] -> statistics of order zero and one."""
    p = posteriors.double()
    return Statistics(p.sum(dim=-1), p @ x.double().mT)


def scatter(posteriors: Tensor, x: Tensor, covariance: str = "full") -> Tensor:
    """Sums of x xᵀ [C, D, D], or of x² [C, D], of frames x [D, L], in float64."""
    p, x = posteriors.double(), x.double()
    if covariance == "diagonal":
        return p @ x.square().mT
    total = x.new_zeros(len(p), len(x), len(x))
    for some in _tiles(x.shape[-1], p.numel() // max(p.shape[-1], 1) * len(x)):
        total += (p[:, None, some] * x[:, some]) @ x[:, some].mT
    return total


def _tiles(n: int, cost: int) -> list[slice]:
    """Slices of n frames, each frame needing `cost` numbers."""
    size = max(TILE // max(cost, 1), 1)
    return [slice(i, i + size) for i in range(0, n, size)]


def roots_of(covariances: Tensor) -> Tensor:
    """Roots of covariances [..., D, D]: lower triangular, with rootᵀ root their inverse."""
    return _inverse(torch.linalg.cholesky(covariances))


def _inverse(lower: Tensor) -> Tensor:
    """Of lower triangular matrices [..., D, D]."""
    eye = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
    found: Tensor = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    return found


def apply_roots(roots: Tensor, x: Tensor) -> Tensor:
    """Whiten vectors x [..., C, D], one per Gaussian, by roots [C, D] or [C, D, D]."""
    if roots.ndim == 2:
        return roots * x
    return (roots @ x[..., None])[..., 0]


class GMM(nn.Module):
    """A mixture of Gaussians over frames; its numbers are buffers, found by EM, not by gradient.

    Untrained, the means are random and the covariances the identity.

    Args:
        components: Gaussians (C).
        dim: numbers in a frame (D).
        covariance: "full" or "diagonal".
    """

    log_weights: Tensor  # [C]
    means: Tensor  # [C, D]
    roots: Tensor  # [C, D, D], or [C, D] where diagonal

    def __init__(self, components: int, dim: int, covariance: str = "full"):
        super().__init__()
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance={covariance!r}: expected one of {', '.join(COVARIANCES)}")
        if components < 1 or dim < 1:
            raise ValueError(f"components={components}, dim={dim}: expected at least 1")
        self.components, self.dim, self.covariance = components, dim, covariance
        self.register_buffer("log_weights", torch.full((components,), -math.log(components)))
        self.register_buffer("means", torch.randn(components, dim))
        eye = torch.ones(dim) if covariance == "diagonal" else torch.eye(dim)
        self.register_buffer("roots", eye.expand(components, *eye.shape).clone())

    def assign(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Take weights [C], means [C, D] and covariances [C, D, D] or, diagonal, [C, D]."""
        self.log_weights.copy_(weights.clamp(min=1e-30).log())
        self.means.copy_(means)
        diagonal = self.covariance == "diagonal"
        self.roots.copy_(covariances.rsqrt() if diagonal else roots_of(covariances))

    def covariances(self) -> Tensor:
        """[C, D, D], or [C, D] where diagonal."""
        if self.covariance == "diagonal":
            return self.roots.square().reciprocal()
        factor = _inverse(self.roots)
        return factor @ factor.mT

    def log_densities(self, x: Tensor) -> Tensor:
        """frames x [..., D, L] -> log of weight and density [..., C, L].

        Raises:
            ValueError: the frames have another size.
        """
        if x.ndim < 2 or x.shape[-2] != self.dim:
            raise ValueError(
                f"frames have shape {list(x.shape)}: expected [..., {self.dim}, L], time last"
            )
        middle = self.means.mean(dim=0)  # an offset common to all would cost digits
        frames = x.movedim(-2, 0).flatten(1) - middle[:, None]  # [D, N]
        means = self.means - middle
        diagonal = self.covariance == "diagonal"
        spread = self.roots if diagonal else self.roots.diagonal(dim1=-2, dim2=-1)
        constant = spread.log().sum(-1) + self.log_weights - self.dim / 2 * math.log(2 * math.pi)
        white_means = apply_roots(self.roots, means)
        found = []
        for some in _tiles(frames.shape[1], self.components * self.dim):
            part = frames[:, some]
            if diagonal:
                slope, curve = self.roots * white_means, self.roots.square() / 2
                scores = (
                    slope @ part - curve @ part.square() - white_means.square().sum(-1)[:, None] / 2
                )
            else:
                white = (self.roots.flatten(0, 1) @ part).view(*means.shape, -1)
                scores = -(white - white_means[..., None]).square().sum(dim=1) / 2
            found.append(constant[:, None] + scores)
        y = torch.cat(found, dim=1) if found else frames.new_zeros(self.components, 0)
        return y.view(self.components, *x.shape[:-2], x.shape[-1]).movedim(0, -2)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """frames x [..., D, L] -> log density of each [..., L]."""
        return self.log_densities(x).logsumexp(dim=-2)

    def posteriors(self, x: Tensor, top: int | None = None, prune: float = 0.0) -> Tensor:
        """frames x [..., D, L] -> the share of each Gaussian in each frame [..., C, L].

        Args:
            x: the frames.
            top: only so many Gaussians, the likeliest, share a frame; None is all.
            prune: smaller shares become zero, the largest excepted; the rest still add up to 1.
        """
        scores = self.log_densities(x)
        if top is not None and top < self.components:
            if top < 1:
                raise ValueError(f"top={top}: expected at least 1")
            least = scores.topk(top, dim=-2).values[..., -1:, :]
            scores = scores.masked_fill(scores < least, float("-inf"))
        shares = scores.softmax(dim=-2)
        if prune > 0:
            line = shares.amax(dim=-2, keepdim=True).clamp(max=prune)
            shares = shares.where(shares >= line, 0)
            shares = shares / shares.sum(dim=-2, keepdim=True)
        return shares


class Subspace(nn.Module):
    """Means that move together: centre_c + root_c⁻¹ loading_c w, with w ~ N(0, I) per recording.

    The total variability model of i-vectors; loadings are kept whitened, root_c T_c in the
    paper's letters, so that posterior and likelihood need no covariance at all. Untrained, the
    loadings are random.

    Args:
        mixture: whose Gaussians move.
        rank: numbers in w (R).

    Source: Dehak et al. 2011 (Front-End Factor Analysis for Speaker Verification).
    """

    centres: Tensor  # [C, D]
    roots: Tensor  # as the mixture's
    loadings: Tensor  # [C, D, R]

    def __init__(self, mixture: GMM, rank: int):
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank={rank}: expected at least 1")
        self.rank = rank
        self.register_buffer("centres", mixture.means.clone())
        self.register_buffer("roots", mixture.roots.clone())
        loadings = torch.randn(*mixture.means.shape, rank, dtype=torch.float64) * 0.1
        self.register_buffer("loadings", loadings.to(mixture.means))

    def centred(self, of: Statistics) -> Tensor:
        """Sums [..., C, D] about the centres, whitened, float64."""
        sums = of.sums - of.counts[..., None] * self.centres.double()
        return apply_roots(self.roots.double(), sums)

    def posterior(self, of: Statistics) -> tuple[Tensor, Tensor]:
        """Statistics of B recordings -> mean of w [B, R], Cholesky factor of its precision.

        The factor [B, R, R] is lower triangular; both are float64.
        """
        return posterior(of.counts, self.centred(of), self.loadings.double())


def posterior(counts: Tensor, centred: Tensor, loadings: Tensor) -> tuple[Tensor, Tensor]:
    """The same from counts [B, C], whitened sums [B, C, D] and whitened loadings [C, D, R]."""
    rank = loadings.shape[-1]
    precision = torch.eye(rank, dtype=loadings.dtype, device=loadings.device)
    precision = precision.expand(len(counts), rank, rank).clone()
    for some in _tiles(len(loadings), rank * rank):
        products = loadings[some].mT @ loadings[some]  # [c, R, R]
        precision += (counts[:, some] @ products.flatten(1)).view(-1, rank, rank)
    factor = torch.linalg.cholesky(precision)
    pull = centred.flatten(1) @ loadings.flatten(0, 1)  # [B, R]
    return torch.cholesky_solve(pull[..., None], factor)[..., 0], factor
