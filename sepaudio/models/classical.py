"""The classical baselines: a mixture of Gaussians a class, and Fisher vectors with a linear SVM.

Both hear cepstra with their slopes and the slopes' slopes. Frames that are far below a recording's
loudest one do not count, and levels are relative to it, so that how loud a recording is changes
next to nothing. Their numbers are found by `training.classical`, not by gradient; what uses them
needs no other library.

Source: for `gmm` the baseline of SwishNet (Hussain & Haque 2018, 1812.00149, section 4): 256
diagonal Gaussians a class on 60 cepstra, the majority of frames. Differs: loud frames are picked in
the recording at hand, where the authors cut silence out of their files. For `fisher_svm` Perronnin,
Sánchez & Mensink 2010, whose frames are of pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..frontends import DeltaMFCC, MelCfg, mel_cfg
from ..frontends.mel import full_precision
from ..layers import GMM, FixedNorm, fisher_size, fisher_vector, vote_time
from ..registry import register

METHODS = {
    "votes": "a mixture a class; every frame names a class, the logs of their shares count",
    "likelihood": "a mixture a class; the mean log density of the frames counts",
    "fisher": "one mixture; improved Fisher vectors, and a linear decision",
}


@dataclass(frozen=True, kw_only=True)
class ClassicalCfg:
    """What a classical classifier is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: of the cepstra; the first is the log energy. Its sample rate is the model's.
        quiet_db: frames so far below the loudest one do not count [dB].
        components: Gaussians of a mixture.
        method: a key of METHODS.
    """

    labels: tuple[str, ...] = ("noise", "music", "speech")
    features: MelCfg = field(default_factory=lambda: mel_cfg("psf", 16000))
    quiet_db: float = 40.0
    components: int = 64
    method: str = "fisher"

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels={self.labels!r}: expected two classes or more")
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r}: expected one of {', '.join(METHODS)}")
        if not self.features.energy:
            raise ValueError("features.energy=False: expected True; loud frames are found by it")
        if not self.quiet_db > 0:
            raise ValueError(f"quiet_db={self.quiet_db}: expected more than 0")

    @property
    def dim(self) -> int:
        """Numbers in a frame (D)."""
        return self.features.n_mfcc * DeltaMFCC.orders


class _Frames(nn.Module):
    """Cepstra with slopes to standardised frames, and which of them count."""

    def __init__(self, cfg: ClassicalCfg):
        super().__init__()
        self.least = -cfg.quiet_db * math.log(10) / 10  # log energy below the loudest frame's
        self.standardize = FixedNorm(cfg.dim)

    def forward(self, features: Tensor, frames: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """features [B, F, L], frames [B] -> frames [B, F, L] and whether each counts [B, L]."""
        energy = features[:, 0]
        if frames is not None:
            there = torch.arange(energy.shape[-1], device=energy.device) < frames[:, None]
            energy = energy.masked_fill(~there, -math.inf)
        level = energy - energy.amax(dim=-1, keepdim=True)
        counted = level >= self.least
        x = torch.cat([level.clamp(min=self.least)[:, None], features[:, 1:]], dim=1)
        return self.standardize(x), counted


class _Scale(nn.Module):
    """Scores of classes to logits: one scale, a bias a class."""

    def __init__(self, n_classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, K] -> [B, K]."""
        return x * self.weight + self.bias


TINY = ClassicalCfg(
    labels=("noise", "speech"),
    features=mel_cfg("psf", 1000, n_mels=8, n_mfcc=5),
    components=3,
)


@register(
    ClassicalCfg,
    gmm=ClassicalCfg(method="votes", components=256),
    gmm_test=ClassicalCfg(**{**vars(TINY), "method": "likelihood"}),
    fisher_svm=ClassicalCfg(),
    fisher_svm_test=TINY,
)
class Classical(nn.Module):
    """One decision per clip, from frames whose order changes nothing."""

    task = "classification"
    channels = None
    causal = False
    latency = None
    receptive_field = None  # the whole clip
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]; less than a frame is filled up with silence
    found_by = "expectation maximisation"  # and not by gradient

    def __init__(self, cfg: ClassicalCfg):
        super().__init__()
        self.cfg, self.labels = cfg, cfg.labels
        self.frontend = DeltaMFCC(cfg.features)
        self.frames = _Frames(cfg)
        n_classes, fisher = len(cfg.labels), cfg.method == "fisher"
        self.mixtures = nn.ModuleList(
            GMM(cfg.components, cfg.dim, "diagonal") for _ in range(1 if fisher else n_classes)
        )
        self.head: nn.Module = _Scale(n_classes)
        if fisher:
            self.head = nn.Linear(fisher_size(cfg.components, cfg.dim), n_classes)
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        frames = None if lengths is None else self.frontend.frames(lengths)
        return self.clip_logits(self.frontend(waveform, lengths=lengths), frames)

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        return self(waveform, lengths)  # type: ignore[no-any-return]

    def clip_logits(self, features: Tensor, frames: Tensor | None = None) -> Tensor:
        """What the front-end gives [B, F, L], frames [B] -> logits [B, K]."""
        y: Tensor = self.head(self.summary(features, frames))
        return y

    def summary(self, features: Tensor, frames: Tensor | None = None) -> Tensor:
        """Features [B, F, L], frames [B] -> what is said of each clip, before the head.

        Fisher vectors [B, C (2 F + 1)], log shares of frames or mean log densities [B, K].
        """
        with full_precision(features):
            x, counted = self.frames(features, frames)
            if self.cfg.method == "fisher":
                vectors: Tensor = fisher_vector(self.mixtures[0], x, counted)  # type: ignore[arg-type]
                return vectors
            each = [mixture.log_likelihood(x) for mixture in self.mixtures]  # type: ignore[operator]
            heard = torch.stack(each, dim=1)  # [B, K, L]
            if self.cfg.method == "likelihood":
                n = counted.sum(dim=-1, keepdim=True)
                mean: Tensor = heard.masked_fill(~counted[:, None], 0).sum(dim=-1) / n
                return mean
            return vote_time(heard, counted)
