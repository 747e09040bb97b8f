"""TseNet: the voice of one speaker out of a mixture, given a recording of that speaker.

Source: Xu, Rao, Chng & Li 2019 (2004.14762): a Conv-TasNet with one mask, told by the speaker's
i-vector whom to follow. The vector passes a ReLU layer, is repeated over time and concatenated
to what enters the first block of a stack; that block's residual is the input before it.
Only the abstract states sizes in public; these are the short-scale branch of the same authors'
next systems (2004.08326, 2005.04686): sigmoid mask, no skips, biases in encoder and decoder.

Differs: the concatenation is computed as one bias per utterance, which is the same sum
(`layers.condition`). `tsenet_mitas` shares weights as MiTAS does (1912.03884) and takes vectors
of 100 numbers.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from ..frontends import (
    Decoder,
    Embedding,
    Encoder,
    IVectorCfg,
    KaldiCfg,
    PairCfg,
    SpeakerCfg,
    as_channels,
    cosines,
    filterbank,
    fingerprint,
    followed,
    loudness,
    parts_of,
    reach,
    vectors,
)
from ..frontends.speaker import TINY
from ..layers import TCN, TCNCfg, TimeConv, mask_time, masks_of, norm, pool_statistics
from ..registry import build, register

FUSE = ("all", "first")
DENSE = ("shared", "each", "none")


@dataclass(frozen=True, kw_only=True)
class TseNetCfg:
    """What an extractor is made of; the papers' letters in brackets.

    Attributes:
        sample_rate: [Hz]
        embedding: length of the speaker's vector (E); of a pair of front-ends the first one's.
        speaker: the front-end that makes it, learned or an i-vector, saved with the model; None
            where it comes from elsewhere.
        filters: "free" to learn, or "fourier": the network hears and masks the bins of a
            short-time Fourier transform, which few data and a slow machine suffice for.
        n_filters: of the encoder (N).
        kernel_size: of the filters [samples] (L).
        stride: from frame to frame [samples].
        pad: edges of the signal, a row of `frontends.filterbank`'s table.
        encoder_act: activation of the encoder.
        in_norm: norm of the encoder's output.
        tcn: the blocks.
        mask: sigmoid, relu, tanh or none.
        condition: how vector and features meet, a key of CONDITIONS.
        fuse_stacks: "all": in the first block of every stack; "first": of the first alone.
        speaker_dense: ReLU layers on the vector: one "shared" by all, one for "each" stack, "none".
        presence: length of mixture that `TseNet.presence` judges [s]; 0 where it does not. Needs a
            speaker front-end.
        least_presence: probability of that below which `extract` gives silence.
    """

    sample_rate: int = 8000
    embedding: int = 400
    speaker: SpeakerCfg | PairCfg | IVectorCfg | None = None
    filters: str = "free"
    n_filters: int = 256
    kernel_size: int = 20
    stride: int = 10
    pad: str = "fill"
    encoder_act: str = "relu"
    in_norm: str = "channel"
    tcn: TCNCfg = field(
        default_factory=lambda: TCNCfg(bottleneck=256, skip=0, n_repeats=4, eps=1e-5)
    )
    mask: str = "sigmoid"
    condition: str = "concat"
    fuse_stacks: str = "all"
    speaker_dense: str = "shared"
    presence: float = 0.0
    least_presence: float = 0.3

    def __post_init__(self) -> None:
        for name, known in (("fuse_stacks", FUSE), ("speaker_dense", DENSE)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise ValueError(f"{name}={value!r}: expected one of {', '.join(known)}")
        if self.mask == "softmax":
            raise ValueError("mask='softmax': one mask has nothing to share; use 'sigmoid'")
        if self.presence and self.speaker is None:
            raise ValueError(
                f"presence={self.presence} without speaker: expected a front-end that compares "
                "voices"
            )
        first = followed(self.speaker)
        if first is not None and first.size != self.embedding:
            raise ValueError(f"embedding={self.embedding}: expected speaker.size={first.size}")
        if self.speaker is not None and self.speaker.features.sample_rate != self.sample_rate:
            raise ValueError(
                f"sample_rate={self.sample_rate}: expected that of the speaker's features, "
                f"{self.speaker.features.sample_rate}"
            )


_PAPER = TseNetCfg()
_MITAS = TseNetCfg(embedding=100, tcn=replace(_PAPER.tcn, sharing="mitas"))
_TINY = TseNetCfg(
    sample_rate=1000,
    embedding=4,
    speaker=TINY,
    n_filters=12,
    kernel_size=8,
    stride=4,
    tcn=TCNCfg(bottleneck=6, hidden=10, skip=0, n_blocks=3, n_repeats=2, eps=1e-5),
)
_TINY_IVECTOR = IVectorCfg(
    size=4,
    components=3,
    features=KaldiCfg(
        sample_rate=1000, n_fft=32, window_length=25, hop=10, n_mels=6, n_mfcc=4, f_max=500.0
    ),
    mean_window=30,
)


def _causal(cfg: TseNetCfg) -> TseNetCfg:
    return replace(cfg, tcn=replace(cfg.tcn, causal=True, norm="cumulative"))


def _at_16k(cfg: TseNetCfg) -> TseNetCfg:
    """The same windows in seconds, so the same context and cost per second."""
    return replace(cfg, sample_rate=16000, kernel_size=2 * cfg.kernel_size, stride=2 * cfg.stride)


@register(
    TseNetCfg,
    tsenet=_PAPER,
    tsenet_causal=_causal(_PAPER),
    tsenet_16k=_at_16k(_PAPER),
    tsenet_causal_16k=_at_16k(_causal(_PAPER)),
    tsenet_mitas=_MITAS,
    tsenet_mitas_causal=_causal(_MITAS),
    tsenet_mitas_16k=_at_16k(_MITAS),
    tsenet_mitas_causal_16k=_at_16k(_causal(_MITAS)),
    tsenet_test=replace(_TINY, speaker_dense="each"),
    tsenet_ivector_test=replace(_TINY, speaker=_TINY_IVECTOR),
    tsenet_causal_test=replace(
        _causal(_TINY),
        pad="half",
        in_norm="cumulative",
        condition="film",
        tcn=replace(_causal(_TINY).tcn, skip=5, sharing="stack", private=("norm", "act")),
    ),
    tsenet_fourier_test=replace(
        _TINY,
        filters="fourier",
        n_filters=10,
        pad="full",
        condition="multiply",
        mask="relu",
        presence=0.5,
    ),
    tsenet_pair_test=replace(_TINY, speaker=PairCfg(first=TINY, second=TINY), presence=0.5),
    tsenet_mitas_causal_test=replace(
        _causal(_TINY),
        fuse_stacks="first",
        speaker_dense="none",
        mask="relu",
        tcn=replace(_causal(_TINY).tcn, sharing="mitas", norm="channel"),
    ),
)
class TseNet(nn.Module):
    """Encoder, a TCN that hears whom to follow, one mask, decoder."""

    task = "extraction"
    channels = None
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: TseNetCfg):
        super().__init__()
        self.cfg, tcn = cfg, cfg.tcn
        self.speaker = None if cfg.speaker is None else build(cfg.speaker)
        free = cfg.filters == "free"
        analysis, synthesis = filterbank(
            cfg.filters, cfg.n_filters, 1, cfg.kernel_size, cfg.stride, cfg.pad
        )
        self.encoder = Encoder(
            analysis,
            cfg.stride,
            pad=cfg.pad,
            bias=free,
            act=cfg.encoder_act if free else "none",
            learned=free,
        )
        self.n_masks = cfg.n_filters if free else cfg.n_filters // 2
        self.norm = norm(cfg.in_norm, self.n_masks, tcn.causal, tcn.eps)
        self.bottleneck = TimeConv(self.n_masks, tcn.bottleneck, 1)
        self.fused = tuple(range(tcn.n_repeats if cfg.fuse_stacks == "all" else 1))
        n_dense = {"shared": 1, "each": len(self.fused), "none": 0}[cfg.speaker_dense]
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Linear(cfg.embedding, cfg.embedding), nn.ReLU())
            for _ in range(n_dense)
        )
        self.tcn = TCN(tcn, cfg.embedding, cfg.condition, self.fused)
        self.mask_conv = TimeConv(tcn.skip or tcn.bottleneck, self.n_masks, 1)
        self.mask = masks_of(cfg.mask)
        self.decoder = Decoder(synthesis, cfg.stride, pad=cfg.pad, bias=free, learned=free)
        self.sample_rate = cfg.sample_rate  # [Hz]
        self.hop = cfg.stride  # [samples]
        self.embedding_size = cfg.embedding if cfg.speaker is None else cfg.speaker.size
        self.causal = tcn.causal
        self.latency = cfg.kernel_size - 1 if tcn.causal else None  # [samples] of look-ahead
        frames = self.tcn.receptive_frames
        endless = {tcn.norm, cfg.in_norm} & {"global", "cumulative"}
        self.receptive_field = None if endless else reach(frames, cfg.kernel_size, cfg.stride)
        self.dead_parameters = tuple(f"tcn.{name}" for name in self.tcn.dead_parameters())
        self.n_found = 2 * (tcn.skip or tcn.bottleneck)  # numbers that `heard` tells of a mixture
        self.n_alike = 2 if isinstance(cfg.speaker, PairCfg) else 1  # numbers of `likeness`
        if cfg.presence:
            told = 7 if self.n_alike == 2 else 4 + self.n_found
            self.evidence = nn.Linear(told, 1)  # fitted when all else is trained
            self.dead_parameters += ("evidence.weight", "evidence.bias")
        if self.n_alike == 2:  # estimates do not depend on the second, whom only presence asks
            self.dead_parameters += tuple(
                name for name, _ in self.named_parameters() if name.startswith("speaker.second.")
            )

    def enroll(self, enrollment: Tensor, lengths: Tensor | None = None) -> Embedding:
        """enrollment [B, T] at `sample_rate`, lengths [B] in samples -> the speakers' embedding.

        Raises:
            ValueError: this extractor has no speaker front-end of its own.
        """
        if self.speaker is None:
            raise ValueError(
                "this extractor has no speaker front-end: expected vectors "
                f"[B, {self.embedding_size}] from elsewhere"
            )
        return Embedding(self.speaker(enrollment, lengths), fingerprint(self.speaker))

    def forward(
        self,
        mixture: Tensor,
        embedding: Tensor | Embedding,
        context: Context = WHOLE,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """mixture [B, T], embedding [B, E] -> estimate [B, T].

        Args:
            mixture: at `sample_rate`.
            embedding: of the speakers to follow, one per mixture or one for all.
            context: silence around the mixture, or a stream.
            lengths: [B] in samples; the estimate is zero beyond them.

        Raises:
            ValueError: wrong shapes, no sample at all, or another front-end's embedding.
        """
        return self._heard(mixture, embedding, context, lengths)[0]

    def heard(
        self, mixture: Tensor, embedding: Tensor | Embedding, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The estimate [B, T], and what the blocks made of the mixture [B, 2 C].

        That is mean and deviation over time of what the mask is made from: it differs where the
        enrolled speaker is not found.
        """
        estimate, y, frames = self._heard(mixture, embedding, WHOLE, lengths)
        return estimate, pool_statistics(y, frames)

    def _heard(
        self,
        mixture: Tensor,
        embedding: Tensor | Embedding,
        context: Context,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The estimate [B, T], what its mask is made from [B, C, L], and the lengths in frames."""
        x = as_channels(mixture, None, context)
        v = vectors(embedding, self.speaker, self.embedding_size, len(x))
        v = parts_of(self.cfg.speaker, v)[0]
        frames = None if lengths is None else self.encoder.frames(lengths)
        spec = self.encoder(mask_time(x, lengths), context.at("encoder"))
        heard = spec if self.cfg.filters == "free" else loudness(spec)
        y = self.bottleneck(self.norm(heard, context.at("norm"), frames))
        dense = [layer(v) for layer in self.dense] or [v]
        told = {stack: dense[i if len(dense) > 1 else 0] for i, stack in enumerate(self.fused)}
        y = self.tcn(y, told, context.at("tcn"), frames)
        mask = self.mask(self.mask_conv(y))
        mask = mask.repeat(1, spec.shape[1] // self.n_masks, 1)  # real and imaginary parts alike
        spec = mask_time(spec, frames)  # frames of the padding alone add nothing
        estimate = self.decoder(mask * spec, x.shape[-1], context.at("decoder"))
        return mask_time(estimate[:, 0], lengths), y, frames

    def hints(self, mixture: Tensor, embedding: Tensor | Embedding) -> tuple[Tensor, Tensor]:
        """What tells whether the enrolled speaker is in the mixtures [B, H], and the estimate.

        How like the enrolled voice the estimate, the mixture and the rest sound, by each of A
        front-ends, and the estimate's share of the mixture's energy [10 dB]. Of a single front-end
        also what the blocks made of the mixture, see `heard`.

        Args:
            mixture: [B, T] at `sample_rate`.
            embedding: [B, E], or one for all.
        """
        assert self.speaker is not None  # the cfg sees to it
        made, found = self.heard(mixture, embedding)
        v = vectors(embedding, self.speaker, self.embedding_size, len(mixture))
        power = made.square().sum(1, keepdim=True).clamp_min(1e-10)
        level = mixture.square().sum(1, keepdim=True).clamp_min(1e-10)
        estimate = made * (made * mixture).sum(1, keepdim=True) / power  # as it fits best
        power = estimate.square().sum(1, keepdim=True).clamp_min(1e-10)
        alike = [self.likeness(x, v) for x in (estimate, mixture, mixture - estimate)]
        share = (power / level).clamp_min(1e-4).log10()
        more = [found] if self.n_alike == 1 else []
        return torch.cat([*alike, share, *more], dim=1), made

    def likeness(self, sound: Tensor, v: Tensor, lengths: Tensor | None = None) -> Tensor:
        """How like the enrolled voices v [B, E] sounds [B, T] are, however loud: cosines [B, A].

        Args:
            sound: such as an estimate.
            v: vectors of the enrolled speakers; A front-ends made them, see `PairCfg`.
            lengths: [B] in samples.
        """
        assert self.speaker is not None
        return cosines(self.cfg.speaker, self.speaker(sound, lengths), v)

    def presence(self, mixture: Tensor, embedding: Tensor | Embedding) -> Tensor:
        """How likely it is that the enrolled speaker is in the mixtures: [B] from 0 to 1.

        Calibrated for mixtures of `cfg.presence` seconds in half of which the speaker is; see
        `hints` for the arguments.

        Raises:
            ValueError: this extractor was not made to judge that.
        """
        if not self.cfg.presence:
            raise ValueError("this extractor judges no presence: expected a cfg with presence > 0")
        logits: Tensor = self.evidence(self.hints(mixture, embedding)[0])
        return logits[:, 0].sigmoid()
