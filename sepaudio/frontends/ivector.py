"""The i-vector: where a speaker's voice lies among all voices, found by EM and not by gradient.

Source: Dehak et al. 2011 (Front-End Factor Analysis for Speaker Verification), which TseNet (Xu
et al. 2019, 2004.14762) takes as its speaker's vector; features, voice detector and pruning as in
Kaldi's speaker recipes. TseNet's own sizes are not public: 512 Gaussians and 400 numbers are what
its authors' group used. Differs: no dither, and the means are a parameter of their own instead of
one fixed number of the vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.gmm import COVARIANCES, GMM, Statistics, Subspace, statistics
from ..registry import register
from .kaldi import (
    KaldiCfg,
    KaldiMFCC,
    kaldi_cfg,
    kaldi_deltas,
    subtract_sliding_mean,
    voiced_frames,
)
from .stft import choose

POOLING = {
    "statistics": "the recordings count as one long one: better where they are short",
    "vectors": "the mean of their vectors, of length one again: every recording counts the same",
}


@dataclass(frozen=True, kw_only=True)
class IVectorCfg:
    """What an i-vector front-end is made of; the papers' letters in brackets.

    Attributes:
        size: numbers in the vector, the rank of the subspace (R).
        components: Gaussians of the universal background model (C).
        covariance: of the Gaussians, "full" or "diagonal".
        features: the cepstra; their sample rate is that of the enrollment.
        deltas: slopes of slopes that are stacked beneath the cepstra.
        delta_width: frames on either side that a slope is fitted to.
        mean_window: frames around each whose mean is taken off.
        vad_threshold: a frame is voiced above vad_threshold + vad_mean_scale * the mean log energy.
        vad_mean_scale: see vad_threshold.
        vad_context: frames on either side that are asked too.
        vad_proportion: share of them that must be loud.
        top: Gaussians that share a frame; None is all.
        prune: smaller shares of a frame are dropped.
        least_seconds: of voice that a vector needs [s].
    """

    size: int = 400
    components: int = 512
    covariance: str = "full"
    features: KaldiCfg = field(default_factory=kaldi_cfg)
    deltas: int = 2
    delta_width: int = 3
    mean_window: int = 300
    vad_threshold: float = 5.5
    vad_mean_scale: float = 0.5
    vad_context: int = 0
    vad_proportion: float = 0.6
    top: int | None = 20
    prune: float = 0.025
    least_seconds: float = 0.5

    def __post_init__(self) -> None:
        if self.covariance not in COVARIANCES:
            known = ", ".join(COVARIANCES)
            raise ValueError(f"covariance={self.covariance!r}: expected one of {known}")
        if self.size < 1 or self.components < 1:
            raise ValueError(f"size={self.size}, components={self.components}: expected at least 1")

    @property
    def dim(self) -> int:
        """Numbers in a frame (D)."""
        return self.features.n_mfcc * (1 + self.deltas)


@register(IVectorCfg)
class IVector(nn.Module):
    """Cepstra, slopes, sliding mean, voiced frames, statistics, posterior mean, length one.

    Its numbers are buffers that `sepaudio prepare ivector` finds; untrained, they are random. Sums
    and posterior are computed in float64, which Apple's MPS lacks.
    """

    task = "speaker"
    mean: Tensor  # [R] of the training recordings

    def __init__(self, cfg: IVectorCfg):
        super().__init__()
        self.cfg = cfg
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.mfcc = KaldiMFCC(cfg.features)
        self.mixture = GMM(cfg.components, cfg.dim, cfg.covariance)
        self.subspace = Subspace(self.mixture, cfg.size)
        self.register_buffer("mean", torch.zeros(cfg.size))

    def features(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x [B, T], lengths [B] in samples -> frames [B, D, L], whether voiced [B, L]."""
        cfg = self.cfg
        frames = None if lengths is None else self.mfcc.frames(lengths)
        cepstra = self.mfcc(x, lengths)
        voiced = voiced_frames(
            cepstra[:, 0],
            frames,
            cfg.vad_threshold,
            cfg.vad_mean_scale,
            cfg.vad_context,
            cfg.vad_proportion,
        )
        y = kaldi_deltas(cepstra, frames, cfg.delta_width, cfg.deltas)
        return subtract_sliding_mean(y, frames, cfg.mean_window), voiced

    def statistics(self, x: Tensor, lengths: Tensor | None = None) -> Statistics:
        """x [B, T], lengths [B] in samples -> statistics of the voiced frames.

        Raises:
            ValueError: a recording is silent or holds too little voice.
        """
        with torch.autocast(x.device.type, enabled=False):
            frames, voiced = self.features(x, lengths)
            self._check(voiced)
            shares = self.mixture.posteriors(frames, self.cfg.top, self.cfg.prune)
            return statistics(shares * voiced[:, None], frames)

    def vectors(self, of: Statistics) -> Tensor:
        """Statistics of B recordings -> vectors [B, E] of length one, float64."""
        mean, _ = self.subspace.posterior(of)
        return F.normalize(mean - self.mean.double(), dim=-1)

    def forward(self, enrollment: Tensor, lengths: Tensor | None = None) -> Tensor:
        """enrollment [B, T], lengths [B] in samples -> vectors [B, E].

        Raises:
            ValueError: a recording is silent or holds too little voice.
        """
        return self.vectors(self.statistics(enrollment, lengths)).to(enrollment.dtype)

    def together(self, recordings: Sequence[Tensor], pooling: str = "statistics") -> Tensor:
        """Recordings [T] of one speaker, of any lengths -> vector [1, E].

        Args:
            recordings: at least one.
            pooling: a key of POOLING.

        Raises:
            ValueError: a recording is silent or holds too little voice, or there is none.
        """
        choose(POOLING, "pooling", pooling)
        if not recordings:
            raise ValueError("no recording of the speaker: expected at least one")
        each = [self.statistics(x[None]) for x in recordings]
        if pooling == "statistics":
            counts = torch.stack([of.counts for of in each]).sum(dim=0)
            found = self.vectors(Statistics(counts, torch.stack([of.sums for of in each]).sum(0)))
        else:
            found = torch.cat([self.vectors(of) for of in each]).mean(dim=0, keepdim=True)
        return F.normalize(found, dim=-1).to(recordings[0].dtype)

    def _check(self, voiced: Tensor) -> None:
        """Refuse recordings with too little voice."""
        per_frame = self.mfcc.hop / self.sample_rate
        for row, seconds in enumerate((voiced.sum(dim=1) * per_frame).tolist()):
            if seconds < self.cfg.least_seconds:
                which = f"recording {row + 1} of {len(voiced)}" if len(voiced) > 1 else "it"
                raise ValueError(
                    f"{which} holds {seconds:.2f} s of voice: expected at least "
                    f"{self.cfg.least_seconds:g} s; record the speaker for longer, or louder"
                )
