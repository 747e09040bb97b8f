"""SwishNet: a tiny causal gated network that tells speech, music and noise apart.

Source: Hussain & Haque 2018 (1812.00149), table I and figure 1, with the first author's code
where the paper is silent. The published parameter counts pin the layout: 5,483 (slim) and
18,267 (wide).

Differs from the usual description of this network ("separable layers with 6x6 kernels, no
ReLU"): the kernels are one-dimensional, three and six frames long, over MFCC channels, and the
six-frame branch alone is separable; the counts hold for no other reading. And the head has a
hidden ReLU layer of 16 units, which the paper's figure leaves out and its counts require;
`hidden=0` builds the network as drawn (4,899 and 15,819 parameters).

`swishnet_fine`, which is not in the paper, is the wide network on 32 cepstra of 64 bands in the
place of 20 of 32: 19,875 parameters.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..context import WHOLE, Context
from ..frontends import MFCC, MelCfg, mel_cfg
from ..layers import FixedNorm, GatedConv1d, TimeConv, mask_time
from ..registry import register

STRIDES = (3, 2, 2, 2, 2)  # of blocks 4 to 8, applied to clips
DILATIONS = (3, 6, 12, 24, 48)  # their running products, applied to every frame


@dataclass(frozen=True, kw_only=True)
class SwishNetCfg:
    """What SwishNet is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: the MFCC; its sample rate and hop are the model's.
        width: w, multiplies every layer; 1 is slim, 2 is wide.
        hidden: units per width of the head's ReLU layer; 0 for none.
        dropout: after blocks 1 to 7, in training.
        several: whether a frame may be of several classes, or of none: each logit is then that of
            a class by itself, and its sigmoid the probability.
        noise_bias: what timelines add to the logarithm of the odds of noise [nats], see
            `verbs.segment`; clips are named without it.
    """

    labels: tuple[str, ...] = ("noise", "music", "speech")
    features: MelCfg = field(default_factory=lambda: mel_cfg("psf", 16000))
    width: int = 1
    hidden: int = 16
    dropout: float = 0.1
    several: bool = False
    noise_bias: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width={self.width}: expected 1 (slim), 2 (wide) or more")
        if len(self.labels) < 2:
            raise ValueError(f"labels={self.labels!r}: expected two classes or more")


class _Block(nn.Module):
    """Gated convolutions side by side, their outputs concatenated."""

    def __init__(self, in_channels: int, filters: int, *, two_branches: bool):
        super().__init__()
        self.short = GatedConv1d(in_channels, filters, 3)
        self.long = GatedConv1d(in_channels, filters, 6, separable=True) if two_branches else None

    def forward(self, x: Tensor, dilation: int, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> [B, filters / 2 per branch, L]."""
        y: Tensor = self.short(x, dilation, context.at("short"))
        if self.long is None:
            return y
        return torch.cat([y, self.long(x, dilation, context.at("long"))], dim=1)


@register(
    SwishNetCfg,
    swishnet_slim=SwishNetCfg(),
    swishnet_wide=SwishNetCfg(width=2),
    swishnet_fine=SwishNetCfg(
        width=2, features=mel_cfg("psf", 16000, n_mels=64, n_mfcc=32, lifter=0.0, energy=False)
    ),
    swishnet_test=SwishNetCfg(
        labels=("noise", "speech"),
        features=mel_cfg("psf", 1000, n_mels=8, n_mfcc=5),
        hidden=3,
    ),
)
class SwishNet(nn.Module):
    """Causal: what it says of a frame depends on that frame and the 201 before it.

    One set of weights, two ways to evaluate it. `forward` says something of every frame and
    streams; `clip` decides once, at the last frame, at a third to a half of the arithmetic.
    """

    task = "classification"
    channels = None
    causal = True
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: SwishNetCfg):
        super().__init__()
        self.cfg, self.labels, self.several = cfg, cfg.labels, cfg.several
        self.frontend = MFCC(cfg.features)
        self.standardize = FixedNorm(cfg.features.n_mfcc)  # identity until measured
        w = cfg.width
        narrow, drop = 8 * w, cfg.dropout
        self.stem = nn.ModuleList(
            [
                _Block(cfg.features.n_mfcc, 16 * w, two_branches=True),
                _Block(16 * w, narrow, two_branches=True),
                _Block(narrow, narrow, two_branches=True),
            ]
        )
        self.trunk = nn.ModuleList(
            [_Block(narrow, f * w, two_branches=False) for f in (16, 16, 16, 16, 32)]
        )
        self.dropout = nn.Dropout(drop)
        n_classes, width = len(cfg.labels), 5 * narrow
        if cfg.hidden:
            inner = cfg.hidden * w
            self.head: nn.Module = nn.Sequential(
                TimeConv(width, inner, 1), nn.ReLU(), TimeConv(inner, n_classes, 1)
            )
        else:
            self.head = TimeConv(width, n_classes, 1)
        for name, parameter in self.named_parameters():  # Keras' defaults
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]
        self.latency = self.frontend.latency  # [samples] within one frame; the network adds none
        self.receptive_frames = 1 + 3 * 5 + 2 * sum(DILATIONS)  # 202: three sixes, five threes
        first = self.frontend.receptive_field  # [samples], None for a front-end that needs it all
        self.receptive_field = (
            None if first is None else (self.receptive_frames - 1) * self.hop + first
        )
        self.seconds_per_frame = self.hop / self.sample_rate

    def forward(
        self, waveform: Tensor, context: Context = WHOLE, lengths: Tensor | None = None
    ) -> Tensor:
        """waveform [B, T] -> logits [B, K, L], one column a hop.

        Args:
            waveform: at `sample_rate`.
            context: silence around it, or a stream.
            lengths: [B] in samples; columns beyond `frontend.frames(lengths)` are zero.
        """
        features = self.frontend(waveform, context.at("frontend"), lengths)
        logits = self.logits(features, context)
        return logits if lengths is None else mask_time(logits, self.frontend.frames(lengths))

    def logits(self, features: Tensor, context: Context = WHOLE) -> Tensor:
        """MFCC [B, F, L] -> logits [B, K, L]."""
        x = self._stem(features, context)
        skips = []
        for i, (block, dilation) in enumerate(zip(self.trunk, DILATIONS, strict=True)):
            y = block(x, dilation, context.at(f"trunk{i}"))
            skips.append(y)
            x = self._onward(i, x, y)
        return self._decide(skips)

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T], lengths [B] in samples -> logits [B, K] of each last frame."""
        frames = None if lengths is None else self.frontend.frames(lengths)
        return self.clip_logits(self.frontend(waveform, lengths=lengths), frames)

    def clip_logits(self, features: Tensor, frames: Tensor | None = None) -> Tensor:
        """MFCC [B, F, L], frames [B] -> logits [B, K] at frame frames - 1, the last by default.

        Each block first keeps every stride-th frame, counted back from the last, and then
        convolves without dilation: the last output of the dilated network, exactly.
        """
        x = self._stem(features, WHOLE)
        real = x.new_ones(1, 1, x.shape[-1])
        if frames is not None:  # the last frames side by side; zeros where the past would be
            ago = torch.arange(x.shape[-1] - 1, -1, -1, device=x.device)
            index = frames[:, None] - 1 - ago  # [B, L]
            real = (index >= 0)[:, None].to(x.dtype)
            x = x.gather(-1, index.clamp_min(0)[:, None].expand_as(x)) * real
        skips = []
        for i, (block, stride) in enumerate(zip(self.trunk, STRIDES, strict=True)):
            x, real = _every(x, stride), _every(real, stride)
            y = block(x, 1)
            skips.append(y)
            x = self._onward(i, x, y) * real
        return self._decide([y[..., -1:] for y in skips])[..., 0]

    def _stem(self, features: Tensor, context: Context) -> Tensor:
        x: Tensor = self.standardize(features)
        for i, block in enumerate(self.stem):
            y = block(x, 1, context.at(f"stem{i}"))
            x = self.dropout(y + x if i == 2 else y)
        return x

    def _onward(self, i: int, x: Tensor, y: Tensor) -> Tensor:
        """What block i of the trunk passes on: blocks 4 to 6 add their input, 7 does not."""
        z: Tensor = self.dropout(y + x if i < 3 else y)
        return z

    def _decide(self, skips: list[Tensor]) -> Tensor:
        """Gated outputs of blocks 4 to 8 -> logits; the head hears blocks 8, 7, 6 and 5."""
        y: Tensor = self.head(torch.cat(skips[:0:-1], dim=1))
        return y


def _every(x: Tensor, stride: int) -> Tensor:
    """x [..., L] -> every stride-th frame, ending with the last."""
    return x[..., (x.shape[-1] - 1) % stride :: stride]
