"""Classifiers of frames and clips: a log-mel spectrogram and a sequence network over time.

The networks are encoders of sequence models: SliceNet's modules (Kaiser et al. 2017, 1706.03059),
ByteNet's dilated blocks (Kalchbrenner et al. 2016, 1610.10099), self-attention (Vaswani et al.
2017, 1706.03762), HyperLSTM (Ha et al. 2016, 1609.09106). Only `slicenet` has its paper's sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from ..context import WHOLE, Context
from ..frontends import LogMel, MelCfg, mel_cfg
from ..layers import (
    AttentionCfg,
    AttentionStack,
    ByteNetCfg,
    ByteNetStack,
    FixedNorm,
    HyperLSTMCfg,
    HyperLSTMStack,
    SliceCfg,
    SliceStack,
    TimeConv,
    mask_time,
    pool_time,
)
from ..registry import register

TRUNKS: dict[type, Callable[[Any], nn.Module]] = {
    SliceCfg: SliceStack,
    ByteNetCfg: ByteNetStack,
    AttentionCfg: AttentionStack,
    HyperLSTMCfg: HyperLSTMStack,
}


@dataclass(frozen=True, kw_only=True)
class FramesCfg:
    """What the classifier is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: the log-mel spectrogram; its sample rate and hop are the model's.
        trunk: the network over time, see `TRUNKS`; whether it is causal decides whether the model
            is.
        hidden: units of the head's ReLU layer; 0 for none.
    """

    labels: tuple[str, ...] = ("noise", "music", "speech")
    features: MelCfg = field(default_factory=lambda: mel_cfg("psf", 16000, n_mels=64))
    trunk: SliceCfg | ByteNetCfg | AttentionCfg | HyperLSTMCfg = field(default_factory=SliceCfg)
    hidden: int = 0

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels={self.labels!r}: expected two classes or more")
        if self.hidden < 0:
            raise ValueError(f"hidden={self.hidden}: expected 0 or more")


SLICES = SliceCfg(width=96, modules=3, kernels=(3, 3, 7, 7), dropout=0.1)
BYTES = ByteNetCfg(width=96, sets=2)
ATTENTION = AttentionCfg(width=96, blocks=3)
TINY_SLICES = SliceCfg(
    width=6, modules=2, kernels=(3, 3, 5, 4), dilations=(1, 1, 1, 2), groups=(2, 3)
)
TINY = FramesCfg(
    labels=("noise", "speech"),
    features=mel_cfg("psf", 1000, n_mels=8),
    trunk=TINY_SLICES,
    hidden=3,
)


def _tiny(trunk: Any, hidden: int = 0) -> FramesCfg:
    return replace(TINY, trunk=trunk, hidden=hidden)


@register(
    FramesCfg,
    slicenet=FramesCfg(),
    slicenet_small=FramesCfg(trunk=SLICES),
    slicenet_small_causal=FramesCfg(trunk=replace(SLICES, causal=True)),
    slicenet_super=FramesCfg(trunk=replace(SLICES, groups=(2, 3))),
    bytenet=FramesCfg(trunk=BYTES, hidden=48),
    bytenet_causal=FramesCfg(trunk=replace(BYTES, causal=True), hidden=48),
    transformer=FramesCfg(trunk=ATTENTION),
    transformer_causal=FramesCfg(trunk=replace(ATTENTION, causal=True, window=100)),
    hyperlstm=FramesCfg(trunk=HyperLSTMCfg(width=96)),
    slicenet_test=TINY,
    slicenet_causal_test=_tiny(replace(TINY_SLICES, causal=True)),
    bytenet_test=_tiny(ByteNetCfg(width=8, dilations=(1, 2), sets=2), 3),
    bytenet_causal_test=_tiny(ByteNetCfg(width=8, dilations=(1, 2), sets=2, causal=True)),
    transformer_test=_tiny(AttentionCfg(width=8, heads=2, blocks=2)),
    transformer_causal_test=_tiny(AttentionCfg(width=8, heads=2, blocks=2, causal=True, window=7)),
    hyperlstm_test=replace(
        TINY,
        features=mel_cfg("psf", 1000, n_mels=8, hop=25),
        trunk=HyperLSTMCfg(width=6, hyper=3, embedding=2),
        hidden=0,
    ),
)
class FrameClassifier(nn.Module):
    """Logits of every frame; those of a clip are their mean.

    Causal: `forward` says something of every frame, and streams. Otherwise it decides once.
    """

    task = "classification"
    channels = None
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: FramesCfg):
        super().__init__()
        self.cfg, self.labels = cfg, cfg.labels
        self.frontend = LogMel(cfg.features)
        self.standardize = FixedNorm(cfg.features.n_mels)  # identity until measured
        width, n_classes = cfg.trunk.width, len(cfg.labels)
        self.widen = TimeConv(cfg.features.n_mels, width, 1, causal=True)
        self.trunk = TRUNKS[type(cfg.trunk)](cfg.trunk)
        self.head: nn.Module = TimeConv(width, n_classes, 1, causal=True)
        if cfg.hidden:
            self.head = nn.Sequential(
                TimeConv(width, cfg.hidden, 1, causal=True),
                nn.ReLU(),
                TimeConv(cfg.hidden, n_classes, 1, causal=True),
            )
        self.causal = bool(cfg.trunk.causal)
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]
        self.seconds_per_frame = self.hop / self.sample_rate
        self.latency = self.frontend.latency if self.causal else None  # [samples]
        self.receptive_frames: int | None = self.trunk.receptive_frames  # type: ignore[assignment]
        first, frames = self.frontend.receptive_field, self.receptive_frames
        finite = self.causal and first is not None and frames is not None
        self.receptive_field = (frames - 1) * self.hop + first if finite else None  # type: ignore[operator]

    def forward(
        self, waveform: Tensor, context: Context = WHOLE, lengths: Tensor | None = None
    ) -> Tensor:
        """waveform [B, T] -> logits [B, K, L], one column a hop; not causal: [B, K] of the clip.

        Args:
            waveform: at `sample_rate`.
            context: silence around it, or a stream.
            lengths: [B] in samples; columns beyond `frontend.frames(lengths)` are zero.
        """
        if not self.causal:
            return self.clip(waveform, lengths)
        frames = None if lengths is None else self.frontend.frames(lengths)
        features = self.frontend(waveform, context.at("frontend"), lengths)
        return mask_time(self.logits(features, context, frames), frames)

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        frames = None if lengths is None else self.frontend.frames(lengths)
        return self.clip_logits(self.frontend(waveform, lengths=lengths), frames)

    def clip_logits(self, features: Tensor, frames: Tensor | None = None) -> Tensor:
        """Log-mel bands [B, F, L], frames [B] -> the mean of the frames' logits [B, K]."""
        return pool_time(self.logits(features, frames=frames), "mean", frames)

    def logits(
        self, features: Tensor, context: Context = WHOLE, frames: Tensor | None = None
    ) -> Tensor:
        """Log-mel bands [B, F, L], frames [B] -> logits [B, K, L] of every frame."""
        x = self.widen(self.standardize(features))
        y: Tensor = self.head(self.trunk(x, context.at("trunk"), frames))
        return y
