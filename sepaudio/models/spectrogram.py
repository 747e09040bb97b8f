"""The general spectrogram classifier: log-mel or MFCC picture, any image backbone, a small head.

With MobileNet v1 at a quarter of its width it is the teacher of SwishNet (Hussain & Haque
2018, 1812.00149, figure 2): 217,235 trainable parameters, of which 4,163 are the head.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones import InvertedCfg, backbone, companions
from ..frontends import DeltaMFCC, LogMel, MelCfg, mel_cfg
from ..layers import FixedNorm
from ..registry import register


@dataclass(frozen=True, kw_only=True)
class SpectrogramCfg:
    """What the classifier is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: the log-mel spectrogram or cepstra; its sample rate is the model's.
        picture: "mel" for the log-mel spectrogram, the same in every channel; "mfcc_deltas" for
            cepstra, their slopes and the slopes' slopes, a channel each.
        channels: of the picture, one per colour that the backbone expects.
        backbone: name of the image network, or the cfg of one.
        multiplier: scales the backbone's widths.
        hidden: units of the head's ReLU layer; 0 for none.
        dropout: before the head, in training.
        auxiliary: whether auxiliary heads of the backbone, where it has such, teach it too.
        companions: whether a head on every stage but the last teaches it too: deeply supervised
            nets (Lee et al. 2014, 1409.5185), of any backbone. Only training hears them.
    """

    labels: tuple[str, ...] = ("noise", "music", "speech")
    features: MelCfg = field(default_factory=lambda: mel_cfg("psf", 16000, n_mels=64))
    picture: str = "mel"
    channels: int = 3
    backbone: str | InvertedCfg = "mobilenet_v1"
    multiplier: float = 0.25
    hidden: int = 16
    dropout: float = 0.1
    auxiliary: bool = False
    companions: bool = False

    def __post_init__(self) -> None:
        if self.auxiliary and self.companions:
            raise ValueError("auxiliary=True with companions=True: expected one of them")
        if self.picture not in ("mel", "mfcc_deltas"):
            raise ValueError(f"picture={self.picture!r}: expected one of mel, mfcc_deltas")
        if self.picture == "mfcc_deltas" and self.channels != DeltaMFCC.orders:
            raise ValueError(
                f"channels={self.channels} with picture='mfcc_deltas': expected {DeltaMFCC.orders}"
            )


@register(
    SpectrogramCfg,
    spectrogram_mobilenet=SpectrogramCfg(),
    spectrogram_test=SpectrogramCfg(
        labels=("noise", "speech"),
        features=mel_cfg("psf", 1000, n_mels=16),
        hidden=3,
    ),
)
class SpectrogramClassifier(nn.Module):
    """One decision per clip, from the mean of the backbone's features over the picture."""

    task = "classification"
    channels = None
    causal = False
    latency = None
    receptive_field = None  # the whole clip
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: SpectrogramCfg):
        super().__init__()
        self.cfg, self.labels = cfg, cfg.labels
        self.frontend: LogMel | DeltaMFCC
        if cfg.picture == "mel":
            self.frontend, rows, high = LogMel(cfg.features), *(cfg.features.n_mels,) * 2
        else:
            self.frontend, high = DeltaMFCC(cfg.features), cfg.features.n_mfcc
            rows = high * self.frontend.orders
        self.standardize = FixedNorm(rows)
        taught = {"auxiliary": True, "n_classes": len(cfg.labels)} if cfg.auxiliary else {}
        self.backbone = backbone(cfg.backbone, cfg.channels, cfg.multiplier, **taught)
        self.backbone.head = None  # ours takes its place
        if cfg.companions:
            self.backbone.auxiliary = companions(self.backbone, len(cfg.labels))
        least = self.backbone.minimum_size[0]
        if high < least:
            raise ValueError(
                f"backbone={cfg.backbone!r} with a picture of {high} rows: expected at least "
                f"{least}; take more n_mels, more n_mfcc, or another backbone"
            )
        width, n_classes = self.backbone.out_channels, len(cfg.labels)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head: nn.Module = nn.Linear(width, n_classes)
        if cfg.hidden:
            self.head = nn.Sequential(
                nn.Linear(width, cfg.hidden), nn.ReLU(), nn.Linear(cfg.hidden, n_classes)
            )
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K].

        Image networks know no lengths: clips of a batch go through them in groups of equal length.
        """
        if lengths is None:
            return self.clip_logits(self.frontend(waveform))
        y = waveform.new_zeros(len(waveform), len(self.labels))
        frames = self.frontend.frames(lengths)
        features = self.frontend(waveform, lengths=lengths)
        for n in torch.unique(frames).tolist():
            rows = frames == n
            y = y.masked_scatter(rows[:, None], self.clip_logits(features[rows, :, :n]))
        return y

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K]."""
        return self(waveform, lengths)  # type: ignore[no-any-return]

    def clip_logits(self, features: Tensor) -> Tensor:
        """What the front-end gives [B, F, L] -> logits [B, K].

        Frames that the backbone's smallest picture lacks are filled up with the mean.
        """
        return self._logits(self.backbone(self._picture(features)))

    def all_logits(self, features: Tensor) -> list[Tensor]:
        """The same, and logits [B, K] of each auxiliary head after them, for training."""
        maps, auxiliary = self.backbone.heard(self._picture(features))
        return [self._logits(maps), *auxiliary]

    def _picture(self, features: Tensor) -> Tensor:
        x = self.standardize(features)
        x = F.pad(x, (0, max(0, self.backbone.minimum_size[1] - x.shape[-1])))
        if isinstance(self.frontend, DeltaMFCC):
            return self.frontend.picture(x)
        return x[:, None].expand(-1, self.cfg.channels, -1, -1)

    def _logits(self, maps: Tensor) -> Tensor:
        y: Tensor = self.head(self.dropout(maps.mean(dim=(2, 3))))
        return y
