"""Expectation maximisation: mixtures of Gaussians, and the subspace their means move in.

Both give the log-likelihood before every step and at the end, per frame; none is lower than the
one before it. Floors are fixed at the start and are the exact constrained optimum, a Gaussian
with too few frames keeps its shape, and a split that would lose likelihood is made smaller.

Source: section 4 of Dehak et al. 2011 (i-vectors); Kenny 2005 (joint factor analysis: theory and
algorithms) for the minimum-divergence step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers.gmm import GMM, Statistics, Subspace, apply_roots, posterior, roots_of, scatter

Report = Callable[[str, float], None]
LEAST = 10.0  # frames a Gaussian needs for a new shape
CHUNK = 64  # recordings at once


@dataclass(frozen=True, kw_only=True)
class MixtureCfg:
    """How a mixture is found.

    Attributes:
        components: Gaussians.
        covariance: "full" or "diagonal".
        half_steps: with half of the Gaussians, diagonal.
        diagonal_steps: with all of them, still diagonal.
        full_steps: with full covariances.
        floor: least variance, as a share of that of all frames.
        seed: of the first means.
    """

    components: int = 512
    covariance: str = "full"
    half_steps: int = 10
    diagonal_steps: int = 10
    full_steps: int = 4
    floor: float = 0.01
    seed: int = 0


def fit_mixture(
    frames: Tensor, cfg: MixtureCfg, report: Report | None = None
) -> tuple[GMM, list[float]]:
    """A mixture for frames [D, L], in float64, and the log-likelihoods on the way.

    Args:
        frames: at least as many as Gaussians.
        cfg: how.
        report: told the stage and the log-likelihood per frame at every step.

    Raises:
        ValueError: too few frames, frames that are not finite, or a feature that never changes.
    """
    dim, n = frames.shape
    if n < cfg.components:
        raise ValueError(
            f"{n} frames for components={cfg.components}: expected at least as many; "
            "give more speech or use fewer components"
        )
    if not torch.isfinite(frames).all():
        raise ValueError("the frames hold NaN or infinity: expected finite features")
    variance = frames.double().var(dim=1, correction=0)
    if not (variance > 0).all():
        raise ValueError("a feature is the same in all frames: expected speech that varies")
    generator = torch.Generator().manual_seed(cfg.seed)
    half = max(cfg.components // 2, 1)
    first = torch.randperm(n, generator=generator)[:half].to(frames.device)
    weights = variance.new_full((half,), 1 / half)
    mixture = _mixture(weights, frames[:, first].double().T, variance.expand(half, dim))
    run = _Run(frames, cfg.floor * variance, report, [])
    mixture = run.steps(mixture, cfg.half_steps, f"{half} Gaussians")
    while mixture.components < cfg.components:
        mixture = run.split(mixture, min(mixture.components, cfg.components - mixture.components))
    mixture = run.steps(mixture, cfg.diagonal_steps, f"{cfg.components} Gaussians")
    if cfg.covariance == "full":
        covariances = torch.diag_embed(mixture.covariances())
        mixture = _mixture(mixture.log_weights.exp(), mixture.means, covariances)
        mixture = run.steps(mixture, cfg.full_steps, "full covariances")
    run.note("end", run.expect(mixture, None)[0])
    return mixture, run.history


def _mixture(weights: Tensor, means: Tensor, covariances: Tensor) -> GMM:
    kind = "diagonal" if covariances.ndim == 2 else "full"
    mixture = GMM(len(means), means.shape[1], kind).to(means)
    mixture.assign(weights, means, covariances)
    return mixture


@dataclass
class _Run:
    """Frames, and what was seen of them."""

    frames: Tensor  # [D, L]
    floor: Tensor  # [D]
    report: Report | None
    history: list[float]

    def note(self, stage: str, value: float) -> None:
        self.history.append(value)
        if self.report is not None:
            self.report(stage, value)

    def expect(self, mixture: GMM, squares: str | None) -> tuple[float, Statistics, Tensor]:
        """Log-likelihood per frame, statistics, and sums of squares ("diagonal" or "full")."""
        n = self.frames.shape[1]
        total, counts, sums, second = 0.0, None, None, None
        for x in torch.split(self.frames, 4096, dim=1):
            x = x.double()
            scores = mixture.log_densities(x)
            heard = scores.logsumexp(dim=0)
            total += heard.sum().item()
            shares = (scores - heard).exp()
            now = shares.sum(dim=1), shares @ x.T
            square = scatter(shares, x, squares) if squares else now[0]
            if counts is None or sums is None or second is None:
                counts, sums, second = *now, square
            else:
                counts, sums, second = counts + now[0], sums + now[1], second + square
        assert counts is not None and sums is not None and second is not None
        return total / n, Statistics(counts, sums), second

    def steps(self, mixture: GMM, n: int, stage: str) -> GMM:
        for _ in range(n):
            value, (counts, sums), second = self.expect(mixture, mixture.covariance)
            self.note(stage, value)
            covariances, means = mixture.covariances(), mixture.means.clone()
            enough = counts >= LEAST
            means[enough] = (sums / counts[:, None])[enough]
            spread = second[enough] / counts[enough].view(-1, *[1] * (second.ndim - 1))
            m = means[enough]
            if mixture.covariance == "diagonal":
                covariances[enough] = torch.maximum(spread - m.square(), self.floor)
            else:
                covariances[enough] = _at_least(spread - m[:, :, None] * m[:, None], self.floor)
            mixture.assign(counts / counts.sum(), means, covariances)
        return mixture

    def split(self, mixture: GMM, n: int) -> GMM:
        """The n heaviest Gaussians become two, apart in the direction of most variance.

        Along it the frames vary more than a diagonal covariance says, so that a small step to
        both sides gains likelihood.
        """
        value, (counts, sums), second = self.expect(mixture, "full")
        self.note("split", value)
        chosen = counts.topk(n).indices
        weights, means = mixture.log_weights.exp(), mixture.means.clone()
        variances = mixture.covariances()
        m, s = means[chosen], variances[chosen].sqrt()
        middle = sums[chosen] / counts[chosen, None].clamp(min=1)
        spread = second[chosen] / counts[chosen, None, None].clamp(min=1)
        spread = spread - middle[:, :, None] * middle[:, None]
        spread = spread / (s[:, :, None] * s[:, None])
        most, directions = torch.linalg.eigh(spread)
        axis = directions[..., -1]  # whose sign is no library's to choose: which half comes first
        axis = axis * axis.gather(1, axis.abs().argmax(1, keepdim=True)).sign()
        step = s * axis * most[:, -1:].clamp(min=0.01).sqrt()
        step = torch.where(counts[chosen, None] >= LEAST, step, s)
        weights[chosen] /= 2
        weights = torch.cat([weights, weights[chosen]])
        variances = torch.cat([variances, variances[chosen]])
        new = mixture
        for _ in range(12):
            step = step / 2
            means[chosen] = m + step
            new = _mixture(weights, torch.cat([means, m - step]), variances)
            if self.expect(new, None)[0] >= value:
                break
        return new


def _at_least(covariances: Tensor, floor: Tensor) -> Tensor:
    """Covariances [C, D, D] with no direction's variance below that of diag(floor).

    Of all covariances above the floor it is the likeliest.
    """
    s = floor.sqrt()
    white = covariances / (s[:, None] * s)
    values, vectors = torch.linalg.eigh((white + white.mT) / 2)
    raised: Tensor = (vectors * values.clamp(min=1)[:, None]) @ vectors.mT
    return raised * (s[:, None] * s)


@dataclass(frozen=True, kw_only=True)
class SubspaceCfg:
    """How the total variability model is found.

    Attributes:
        rank: numbers in the vector.
        steps: of EM, each with its minimum-divergence step.
        update_covariance: fit what the vector leaves unexplained; else the mixture's stay.
        floor: least variance of it, as a share of the mixture's, in every direction.
        seed: of the first loadings.
    """

    rank: int = 400
    steps: int = 5
    update_covariance: bool = True
    floor: float = 0.1
    seed: int = 0


def fit_subspace(
    mixture: GMM,
    of: Statistics,
    squares: Tensor,
    cfg: SubspaceCfg,
    report: Report | None = None,
) -> tuple[Subspace, list[float]]:
    """The subspace in which recordings differ, in float64, and the log-likelihoods on the way.

    Memory: the statistics of all recordings, and C x R x R numbers.

    Args:
        mixture: the universal background model.
        of: statistics of every recording, [U, C] and [U, C, D].
        squares: `scatter` of all recordings together, [C, D, D], or [C, D] where diagonal.
        cfg: how.
        report: told the stage and the log-likelihood per frame at every step.

    Raises:
        ValueError: fewer than two recordings.
    """
    if len(of.counts) < 2:
        raise ValueError(f"{len(of.counts)} recordings: expected at least 2; give more speech")
    run = _Factors(mixture, of, squares, cfg)
    history: list[float] = []
    for step in range(cfg.steps + 1):
        likelihood = run.expect()
        history.append(likelihood)
        if report is not None:
            report("end" if step == cfg.steps else "subspace", likelihood)
        if step < cfg.steps:
            run.maximise(cfg)
    return run.model(), history


class _Factors:
    """The subspace while it is fitted, in coordinates that the mixture's roots have whitened."""

    def __init__(self, mixture: GMM, of: Statistics, squares: Tensor, cfg: SubspaceCfg):
        self.base = base = Subspace(mixture, cfg.rank).double()
        self.diagonal = mixture.covariance == "diagonal"
        self.counts, self.total = of.counts, of.counts.sum(dim=0)  # [U, C], [C]
        self.x = base.centred(of)  # [U, C, D] about the centres
        m, sums = base.centres, of.sums.sum(dim=0)
        if self.diagonal:
            about = squares - 2 * sums * m + self.total[:, None] * m.square()
            self.s = about * base.roots.square()
            self.rest = torch.ones_like(m)
        else:
            cross = sums[:, :, None] * m[:, None]
            about = squares - cross - cross.mT
            about = about + self.total[:, None, None] * m[:, :, None] * m[:, None]
            self.s = base.roots @ about @ base.roots.mT  # [C, D, D] scatter about the centres
            self.rest = torch.eye(m.shape[1]).to(m).expand_as(self.s).clone()
        generator = torch.Generator().manual_seed(cfg.seed)
        first = torch.randn(base.loadings.shape, generator=generator, dtype=torch.float64)
        self.loadings = 0.1 * first.to(m)
        self.shift = torch.zeros_like(m)  # of the centres

    def roots(self) -> Tensor:
        """Of the rest, the covariance that the vector leaves unexplained."""
        return self.rest.rsqrt() if self.diagonal else roots_of(self.rest)

    def expect(self) -> float:
        """Collect what the next step needs; returns the log-likelihood per frame."""
        roots = self.roots()
        white = roots[..., None] * self.loadings if self.diagonal else roots @ self.loadings
        rank = white.shape[-1]
        self.a = white.new_zeros(len(white), rank, rank)
        self.b = torch.zeros_like(white)
        self.mean, self.moment, explained = white.new_zeros(rank), white.new_zeros(rank, rank), 0.0
        chunks = torch.split(self.counts, CHUNK), torch.split(self.x, CHUNK)
        for counts, x in zip(*chunks, strict=True):
            w, factor = posterior(counts, apply_roots(roots, x), white)
            half = factor.mT @ w[..., None]
            spread = factor.diagonal(dim1=-2, dim2=-1).log().sum()
            explained += (half.square().sum() / 2 - spread).item()
            moment = torch.cholesky_inverse(factor) + w[:, :, None] * w[:, None]
            self.a += (counts.T @ moment.flatten(1)).view(-1, rank, rank)
            self.b += (x.flatten(1).T @ w).view_as(self.b)
            self.mean += w.sum(dim=0)
            self.moment += moment.sum(dim=0)
        base = self.base.roots
        if self.diagonal:
            volume = roots.log().sum(-1) + base.log().sum(-1)
            trace = (self.s * roots.square()).sum()
        else:
            volume = (roots.diagonal(0, -2, -1) * base.diagonal(0, -2, -1)).log().sum(-1)
            trace = (roots @ self.s @ roots.mT).diagonal(0, -2, -1).sum()
        volume = volume - roots.shape[1] / 2 * math.log(2 * math.pi)
        rest = ((self.total * volume).sum() - trace / 2).item()
        return (explained + rest) / self.total.sum().item()

    def maximise(self, cfg: SubspaceCfg) -> None:
        """New loadings and rest; then centres and loadings so that w is N(0, I) again."""
        enough = self.total >= LEAST
        total = self.total[enough]
        self.loadings[enough] = torch.linalg.solve(self.a[enough], self.b[enough].mT).mT
        if cfg.update_covariance:
            b, t, s = self.b[enough], self.loadings[enough], self.s[enough]
            if self.diagonal:
                rest = (s - (b * t).sum(-1)) / total[:, None]
                self.rest[enough] = rest.clamp(min=cfg.floor)
            else:
                product = b @ t.mT
                rest = (s - (product + product.mT) / 2) / total[:, None, None]
                floor = rest.new_full((rest.shape[-1],), cfg.floor)
                self.rest[enough] = _at_least(rest, floor)
        mean = self.mean / len(self.x)
        moment = self.moment / len(self.x) - mean[:, None] * mean
        move = self.loadings @ mean  # [C, D]
        cross = self.x.sum(dim=0)
        if self.diagonal:
            self.s += self.total[:, None] * move.square() - 2 * cross * move
        else:
            cross = cross[:, :, None] * move[:, None]
            square = self.total[:, None, None] * move[:, :, None] * move[:, None]
            self.s += square - cross - cross.mT
        self.x = self.x - self.counts[..., None] * move
        self.shift += move
        self.loadings = self.loadings @ torch.linalg.cholesky(moment)

    def model(self) -> Subspace:
        """The subspace in the coordinates of the frames."""
        base, roots = self.base, self.roots()
        if self.diagonal:
            base.centres += self.shift / base.roots
            base.loadings.copy_(roots[..., None] * self.loadings)
            base.roots *= roots
        else:
            back = torch.linalg.solve_triangular(base.roots, self.shift[..., None], upper=False)
            base.centres += back[..., 0]
            base.loadings.copy_(roots @ self.loadings)
            base.roots.copy_(roots @ base.roots)
        return base
