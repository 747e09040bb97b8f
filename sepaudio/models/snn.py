"""A self-normalising network that names frames one by one, a baseline of SwishNet.

Source: Hussain & Haque 2018 (1812.00149), section on baselines: four layers on 60 cepstra with
their slopes; 60-512-256-64-3 is the one chain of powers of two with the published 179,203 weights.
SELU, alpha dropout and the start of the weights: Klambauer et al. 2017 (1706.02515).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..frontends import DeltaMFCC, MelCfg, mel_cfg
from ..layers import FixedNorm, mask_time, pool_time, vote_time
from ..registry import register

POOLS = {
    "votes": "every frame names a class; the logs of their shares count",
    "mean": "the log of the frames' mean probabilities, which has a slope",
}


@dataclass(frozen=True, kw_only=True)
class SNNCfg:
    """What the network is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: of the cepstra; its sample rate is the model's.
        widths: of the hidden layers.
        dropout: alpha dropout after each of them, in training.
        pool: from frames to clips, a key of POOLS.
    """

    labels: tuple[str, ...] = ("noise", "music", "speech")
    features: MelCfg = field(default_factory=lambda: mel_cfg("psf", 16000))
    widths: tuple[int, ...] = (512, 256, 64)
    dropout: float = 0.1
    pool: str = "votes"

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels={self.labels!r}: expected two classes or more")
        if self.pool not in POOLS:
            raise ValueError(f"pool={self.pool!r}: expected one of {', '.join(POOLS)}")


@register(
    SNNCfg,
    snn=SNNCfg(),
    snn_test=SNNCfg(
        labels=("noise", "speech"),
        features=mel_cfg("psf", 1000, n_mels=8, n_mfcc=5),
        widths=(7, 6),
        pool="mean",
    ),
)
class SNN(nn.Module):
    """One decision per clip, from frames whose order changes nothing."""

    task = "classification"
    channels = None
    causal = False  # slopes look ahead
    latency = None
    receptive_field = None  # the whole clip
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: SNNCfg):
        super().__init__()
        self.cfg, self.labels = cfg, cfg.labels
        self.frontend = DeltaMFCC(cfg.features)
        dim = cfg.features.n_mfcc * DeltaMFCC.orders
        self.standardize = FixedNorm(dim)  # what keeps itself normal has to begin so
        layers: list[nn.Module] = []
        for i, o in pairwise([dim, *cfg.widths]):
            layers += [nn.Linear(i, o), nn.SELU(), nn.AlphaDropout(cfg.dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(cfg.widths[-1], len(cfg.labels))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
                nn.init.zeros_(layer.bias)
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        frames = None if lengths is None else self.frontend.frames(lengths)
        return self.clip_logits(self.frontend(waveform, lengths=lengths), frames)

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        return self(waveform, lengths)  # type: ignore[no-any-return]

    def frame_logits(self, features: Tensor) -> Tensor:
        """What the front-end gives [B, F, L] -> logits of every frame [B, K, L]."""
        y: Tensor = self.head(self.body(self.standardize(features).mT)).mT
        return y

    def clip_logits(self, features: Tensor, frames: Tensor | None = None) -> Tensor:
        """What the front-end gives [B, F, L], frames [B] -> logits [B, K]."""
        logits = self.frame_logits(features)
        if self.cfg.pool == "mean":
            chances = pool_time(logits.softmax(dim=1), "mean", frames)
            return chances.clamp_min(torch.finfo(chances.dtype).tiny).log()
        counted = torch.ones_like(logits[:, 0], dtype=torch.bool)
        return vote_time(logits, mask_time(counted, frames, False))
