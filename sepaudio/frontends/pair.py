"""Two speaker encoders beside each other: one to follow a voice by, both to know it again.

An encoder that tells the voices of one recording apart hears the microphone, too, and takes the
same voice through another one for somebody else's; one that does not is less keen otherwise. What
both say of a voice tells more than either does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import build, register
from .mel import MelCfg
from .speaker import TINY, SpeakerCfg


@dataclass(frozen=True, kw_only=True)
class PairCfg:
    """Which two.

    Attributes:
        first: the one whose vectors an extractor follows.
        second: the other one.
    """

    first: SpeakerCfg
    second: SpeakerCfg

    def __post_init__(self) -> None:
        rates = [cfg.features.sample_rate for cfg in (self.first, self.second)]
        if rates[0] != rates[1]:
            raise ValueError(f"encoders at {rates[0]} and {rates[1]} Hz: expected one rate")

    @property
    def size(self) -> int:
        """Length of the vectors: of both, one after the other (E)."""
        return self.first.size + self.second.size

    @property
    def features(self) -> MelCfg:
        """What the first one hears."""
        return self.first.features


@register(PairCfg, speaker_pair_test=PairCfg(first=TINY, second=TINY))
class SpeakerPair(nn.Module):
    """Vectors of both encoders, the first's before the second's, which are made as long.

    So the cosine of two such vectors is about the mean of what the encoders say by themselves.
    """

    task = "speaker"
    channels = None
    minimum_length = 1  # [samples]
    causal = False  # vectors are of the whole recording
    latency = None
    receptive_field = None

    def __init__(self, cfg: PairCfg):
        super().__init__()
        self.cfg = cfg
        self.first, self.second = build(cfg.first), build(cfg.second)
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = cfg.features.hop  # [samples]
        both: tuple[tuple[str, Any], ...] = (("first", self.first), ("second", self.second))
        self.dead_parameters = tuple(
            f"{part}.{name}" for part, encoder in both for name in encoder.dead_parameters
        )

    def forward(self, enrollment: Tensor, lengths: Tensor | None = None) -> Tensor:
        """enrollment [B, T] at any level, lengths [B] in samples -> vectors [B, E]."""
        a, b = self.first(enrollment, lengths), self.second(enrollment, lengths)
        return torch.cat([a, F.normalize(b, dim=1) * a.norm(dim=1, keepdim=True)], dim=1)


def followed(speaker: Any) -> Any:
    """The front-end, or its cfg, that an extractor follows: of a pair the first."""
    return getattr(speaker, "first", speaker)


def parts_of(cfg: object, v: Tensor) -> tuple[Tensor, ...]:
    """Vectors [B, E] as each encoder of a front-end made them; of most there is one."""
    return (v[:, : cfg.first.size], v[:, cfg.first.size :]) if isinstance(cfg, PairCfg) else (v,)


def cosines(cfg: object, a: Tensor, b: Tensor) -> Tensor:
    """How alike vectors a and b [B, E] are by each encoder of a front-end: [B, 1 or 2]."""
    pairs = zip(parts_of(cfg, a), parts_of(cfg, b), strict=True)
    return torch.stack([F.cosine_similarity(x, y, dim=1) for x, y in pairs], dim=1)
