"""An i-vector front-end from recordings: its mixture, its subspace, and the mean of its vectors.

The recordings are heard twice, once for the mixture and once for the statistics; memory holds a
bounded share of the frames, and the statistics of all recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..frontends import IVector, IVectorCfg
from ..layers.gmm import Statistics, scatter, statistics
from .drawn import Drawn
from .em import MixtureCfg, Report, SubspaceCfg, fit_mixture, fit_subspace


@dataclass(frozen=True, kw_only=True)
class IVectorRecipe:
    """How an i-vector front-end is found.

    Attributes:
        frames: most voiced frames for the mixture, drawn from all.
        piece_seconds: of voice; longer recordings count as several for the subspace [s].
        half_steps: of EM with half of the Gaussians.
        diagonal_steps: with all of them.
        full_steps: with full covariances.
        subspace_steps: of EM for the subspace.
        update_covariance: fit what the subspace leaves unexplained.
        seed: of every draw.
    """

    frames: int = 100_000
    piece_seconds: float = 10.0
    half_steps: int = 6
    diagonal_steps: int = 6
    full_steps: int = 4
    subspace_steps: int = 8
    update_covariance: bool = True
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A front-end and how it was found.

    Attributes:
        model: the front-end, in evaluation mode.
        recordings: that were heard.
        unvoiced: that held too little voice and were left out.
        pieces: they were cut into for the subspace.
        seconds: of voice.
        mixture: log-likelihood per frame before every step of EM, and at the end.
        subspace: the same of the subspace.
    """

    model: IVector
    recordings: int
    unvoiced: int
    pieces: int
    seconds: float
    mixture: list[float] = field(default_factory=list)
    subspace: list[float] = field(default_factory=list)


@torch.no_grad()
def fit_ivector(
    recordings: Callable[[], Iterable[Tensor]],
    cfg: IVectorCfg,
    recipe: IVectorRecipe,
    report: Report | None = None,
) -> Fitted:
    """An i-vector front-end from recordings of many speakers; nobody has to say who speaks.

    Args:
        recordings: gives them [T] at the rate of the features, the same at every call.
        cfg: what to make.
        recipe: how.
        report: told the stage and the log-likelihood per frame at every step of EM.

    Raises:
        ValueError: there is too little voice in the recordings.
    """
    torch.manual_seed(recipe.seed)
    # hears as the model does, which is not made before it is known that the frames suffice for it
    ears = IVector(replace(cfg, components=1, size=1, top=1)).eval()
    drawn = Drawn(recipe.frames, recipe.seed)
    heard, unvoiced, n_frames = 0, 0, 0
    least = cfg.least_seconds * ears.sample_rate / ears.mfcc.hop
    for x in recordings():
        frames = _voiced(ears, x)
        heard, n_frames = heard + 1, n_frames + frames.shape[1]
        unvoiced += frames.shape[1] < least
        drawn.add(frames)
    if not n_frames:
        raise ValueError(
            f"{heard} recordings without a voiced frame: expected speech; check their level"
        )
    steps = MixtureCfg(
        components=cfg.components,
        covariance=cfg.covariance,
        half_steps=recipe.half_steps,
        diagonal_steps=recipe.diagonal_steps,
        full_steps=recipe.full_steps,
        seed=recipe.seed,
    )
    mixture, mixture_history = fit_mixture(drawn.frames(), steps, report)
    model = IVector(cfg).eval()
    model.mixture.load_state_dict(mixture.state_dict())
    piece = max(round(recipe.piece_seconds * model.sample_rate / model.mfcc.hop), 1)
    counts, sums, squares = [], [], torch.zeros(()).double()
    for x in recordings():
        frames = _voiced(model, x)
        if frames.shape[1] < least:
            continue
        n = max(frames.shape[1] // piece, 1)
        for part in torch.tensor_split(frames, n, dim=1):
            shares = mixture.posteriors(part.double(), cfg.top, cfg.prune)
            of = statistics(shares, part)
            counts.append(of.counts)
            sums.append(of.sums)
            squares = squares + scatter(shares, part, cfg.covariance)
    found = SubspaceCfg(
        rank=cfg.size,
        steps=recipe.subspace_steps,
        update_covariance=recipe.update_covariance,
        seed=recipe.seed,
    )
    if not counts:
        raise ValueError(
            f"no recording holds {cfg.least_seconds:g} s of voice: expected speech; "
            "check the level of the recordings"
        )
    of = Statistics(torch.stack(counts), torch.stack(sums))
    subspace, subspace_history = fit_subspace(mixture, of, squares, found, report)
    model.subspace.load_state_dict(subspace.state_dict())
    model.mean.copy_(_mean(model, of))
    return Fitted(
        model=model,
        recordings=heard,
        unvoiced=unvoiced,
        pieces=len(counts),
        seconds=n_frames * model.mfcc.hop / model.sample_rate,
        mixture=mixture_history,
        subspace=subspace_history,
    )


def _voiced(model: IVector, x: Tensor) -> Tensor:
    """Voiced frames [D, L] of a recording [T]."""
    frames, voiced = model.features(x[None])
    return frames[0][:, voiced[0]]


def _mean(model: IVector, of: Statistics) -> Tensor:
    """Of the vectors [R]."""
    pairs = zip(torch.split(of.counts, 64), torch.split(of.sums, 64), strict=True)
    means = [model.subspace.posterior(Statistics(*some))[0] for some in pairs]
    return torch.cat(means).mean(dim=0)
