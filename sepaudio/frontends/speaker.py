"""From a recording of a speaker to the vector that stands for the voice: [B, T] -> [B, E].

A vector means something only to the networks that were trained with what made it. So it travels
as an `Embedding` with the fingerprint of its maker, and an extractor refuses another maker's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..context import WHOLE
from ..layers import TCN, FixedNorm, TCNCfg, TimeConv, pool_statistics, pool_time
from ..registry import register
from .mel import LogMel, MelCfg, mel_cfg

LEVEL = -27.0  # that learned encoders hear recordings at [dB of full scale]
FLOOR = 1e-10  # a mean square below this is silence


@dataclass(frozen=True)
class Embedding:
    """Voices as vectors.

    Attributes:
        vectors: [B, E]
        speaker: fingerprint of the front-end that made them; "" if none of ours did.
    """

    vectors: Tensor
    speaker: str = ""


@dataclass(frozen=True, kw_only=True)
class SpeakerCfg:
    """What a learned speaker encoder is made of.

    Attributes:
        size: length of the vectors (E).
        features: the log-mel picture; its sample rate is that of the enrollment.
        tcn: the blocks; they hear the whole recording, so nothing in them needs to be causal.
        centred: whether the blocks hear every band without its mean over the recording, and the
            last layer hears these means beside what the blocks say: what colours all of a recording
            alike, as microphones do, is of less weight then.
    """

    size: int = 100
    features: MelCfg = field(default_factory=lambda: mel_cfg("librosa", 8000, n_mels=40))
    tcn: TCNCfg = field(
        default_factory=lambda: TCNCfg(
            bottleneck=64, hidden=128, skip=0, n_blocks=5, n_repeats=1, norm="channel"
        )
    )
    centred: bool = False


TINY = SpeakerCfg(  # for tests, of extractors too
    size=4,
    features=mel_cfg("librosa", 1000, n_fft=64, window_length=64, hop=16, n_mels=6),
    tcn=TCNCfg(bottleneck=5, hidden=6, skip=0, n_blocks=2, n_repeats=1, norm="channel"),
)


def at_level(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """x [B, T] at the root mean square `LEVEL` over its first lengths [B] samples; silence stays.

    Who speaks does not depend on how loud the recording is.
    """
    heard = x.to(torch.promote_types(x.dtype, torch.float32))
    if lengths is not None:
        later = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
        heard = heard.masked_fill(later, 0)
    n = x.shape[1] if lengths is None else lengths.clamp_min(1)[:, None]
    power = heard.square().sum(1, keepdim=True) / n
    return x * (10 ** (LEVEL / 20) / power.clamp_min(FLOOR).sqrt()).to(x.dtype)


@register(
    SpeakerCfg,
    speaker_encoder=SpeakerCfg(
        size=128,
        features=mel_cfg("librosa", 8000, n_fft=512, window_length=512, hop=256, n_mels=64),
        tcn=TCNCfg(bottleneck=128, hidden=256, skip=0, n_blocks=6, n_repeats=1, norm="channel"),
    ),
    speaker_encoder_test=TINY,
)
class SpeakerEncoder(nn.Module):
    """Log-mel, a stack of dilated blocks, mean and deviation over time, one linear layer.

    Source: the layout of the learned encoders that followed TseNet's i-vector (Xu et al. 2020,
    2004.08326; Ge et al. 2020, 2005.04686): trained jointly with the extractor, one vector per
    recording. Differs: dilated separable blocks instead of their BLSTM or pooled ResNet blocks.
    Bands without their means are Atal's (1974, doi:10.1121/1.1914702), who took them of cepstra.

    The default cfg, with a frame every 64 ms, is that of the first extractors; `speaker_encoder`
    hears one every 32 ms, in four times the weights, and learns by itself before it learns with
    an extractor.
    """

    task = "speaker"
    channels = None
    minimum_length = 1  # [samples]
    causal = False  # the vector is of the whole recording
    latency = None
    receptive_field = None

    def __init__(self, cfg: SpeakerCfg):
        super().__init__()
        self.cfg = cfg
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = cfg.features.hop  # [samples]
        self.frontend = LogMel(cfg.features)
        self.standardize = FixedNorm(cfg.features.n_mels)
        self.bottleneck = TimeConv(cfg.features.n_mels, cfg.tcn.bottleneck, 1)
        self.tcn = TCN(cfg.tcn)
        self.dead_parameters = tuple(f"tcn.{name}" for name in self.tcn.dead_parameters())
        apart = cfg.features.n_mels if cfg.centred else 0
        self.head = nn.Linear(2 * (cfg.tcn.skip or cfg.tcn.bottleneck) + apart, cfg.size)

    def bands(self, enrollment: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The log-mel picture [B, F, L] of what `forward` hears."""
        x: Tensor = self.frontend(at_level(enrollment, lengths), WHOLE, lengths)
        return x

    def forward(self, enrollment: Tensor, lengths: Tensor | None = None) -> Tensor:
        """enrollment [B, T] at any level, lengths [B] in samples -> vectors [B, E]."""
        frames = None if lengths is None else self.frontend.frames(lengths)
        x, means = self.standardize(self.bands(enrollment, lengths)), []
        if self.cfg.centred:
            means = [pool_time(x, "mean", frames)]
            x = x - means[0][..., None]
        x = self.tcn(self.bottleneck(x), lengths=frames)
        y: Tensor = self.head(torch.cat([pool_statistics(x, frames), *means], dim=1))
        return y


def fingerprint(speaker: nn.Module | None) -> str:
    """Sixteen hexadecimal digits that change with a front-end's settings and weights; "" of None.

    Weights count in float32, so that moving a model to another precision up or device changes
    nothing.
    """
    if speaker is None:
        return ""
    digest = hashlib.sha256(repr(speaker.cfg).encode())
    for name, value in sorted(speaker.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()[:16]


def vectors(
    embedding: Tensor | Embedding, speaker: nn.Module | None, size: int, batch: int
) -> Tensor:
    """The vectors [B, E] of an embedding, after checking that they fit.

    A bare tensor is taken at its word, as training needs it.

    Raises:
        ValueError: another front-end made the embedding, or it has another shape.
    """
    if isinstance(embedding, Embedding):
        expected = fingerprint(speaker)
        if embedding.speaker != expected:
            made, wanted = embedding.speaker or "something else", expected or "no front-end of ours"
            raise ValueError(
                f"the embedding was made by {made}: this extractor expects {wanted}; "
                "enroll the speaker again with this model"
            )
        embedding = embedding.vectors
    if embedding.ndim != 2 or embedding.shape[1] != size or len(embedding) not in (1, batch):
        raise ValueError(
            f"embedding has shape {list(embedding.shape)}: expected [{batch}, {size}]; "
            "use embedding[None] for one speaker"
        )
    return embedding
