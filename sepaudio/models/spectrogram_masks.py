"""Separation by masks of a spectrogram, which a network with maps as large as the picture finds.

Sources: Jansson et al. 2017 (ISMIR, "Singing voice separation with deep U-Net convolutional
networks") for the use of a U-Net (Ronneberger et al. 2015, 1505.04597); any backbone of stride 1
takes its place, such as SAUNet (2001.07645).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones import backbone
from ..frontends import STFT, as_channels
from ..layers import mask_time, masks_of
from ..registry import register

FAINTEST = 1e-12  # power that is added, so that silence has a logarithm and a slope


@dataclass(frozen=True, kw_only=True)
class SpectrogramMasksCfg:
    """What the separator is made of.

    Attributes:
        n_src: sources in the mixture.
        sample_rate: [Hz]
        n_fft: of the transform [samples].
        hop: from frame to frame [samples].
        backbone: name of an image network whose features are as large as the picture.
        multiplier: scales its widths.
        mask: sigmoid, relu, softmax (over the sources), tanh or none.
        compression: power of the magnitudes that the network hears.
    """

    n_src: int = 2
    sample_rate: int = 8000
    n_fft: int = 512
    hop: int = 128
    backbone: str = "unet"
    multiplier: float = 0.25
    mask: str = "sigmoid"
    compression: float = 0.3

    def __post_init__(self) -> None:
        if self.n_src < 1:
            raise ValueError(f"n_src={self.n_src}: expected 1 or more")
        if not 0 < self.compression <= 1:
            raise ValueError(f"compression={self.compression}: expected above 0, at most 1")


_TINY = SpectrogramMasksCfg(sample_rate=1000, n_fft=32, hop=8, backbone="unet_separable")


@register(
    SpectrogramMasksCfg,
    spectrogram_unet=SpectrogramMasksCfg(),
    spectrogram_unet_test=replace(_TINY, multiplier=0.5),
)
class SpectrogramMasks(nn.Module):
    """A mask per source from the magnitudes of a mixture; phases are the mixture's.

    Magnitudes are compressed and divided by their own deviation from zero, so that loudness changes
    no mask. That and pools depend on the whole clip: clips of a batch go through in groups of equal
    length, each cut to its own.
    """

    task = "separation"
    channels = None
    causal = False
    latency = None
    receptive_field = None  # the whole clip
    dead_parameters: tuple[str, ...] = ()
    minimum_length = 1  # [samples]

    def __init__(self, cfg: SpectrogramMasksCfg):
        super().__init__()
        self.cfg, bins = cfg, cfg.n_fft // 2 + 1
        self.stft = STFT(cfg.n_fft, cfg.hop)
        self.backbone = backbone(cfg.backbone, 1, cfg.multiplier)
        if self.backbone.stride != 1:
            raise ValueError(
                f"backbone={cfg.backbone!r} has features of stride {self.backbone.stride}: "
                "expected 1; take a network of maps, such as unet or saunet"
            )
        least = self.backbone.minimum_size[0]
        if bins < least:
            raise ValueError(
                f"n_fft={cfg.n_fft} gives {bins} bins: expected at least {least} for "
                f"backbone={cfg.backbone!r}; take a longer transform"
            )
        self.last = nn.Conv2d(self.backbone.out_channels, cfg.n_src, 1)
        self.mask = masks_of(cfg.mask)
        self.sample_rate, self.hop = cfg.sample_rate, cfg.hop

    def forward(self, mixture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """mixture [B, T], lengths [B] in samples -> estimates [B, S, T], zero beyond `lengths`.

        Raises:
            ValueError: wrong rank, or no sample at all.
        """
        x = as_channels(mixture, None)[:, 0]
        if lengths is None:
            return self._separated(x)
        y = x.new_zeros(len(x), self.cfg.n_src, x.shape[-1])
        for n in torch.unique(lengths).tolist():
            rows = lengths == n
            part = F.pad(self._separated(x[rows, :n]), (0, x.shape[-1] - n))
            y = y.masked_scatter(rows[:, None, None], part)
        return mask_time(y, lengths)

    def masks(self, spec: Tensor) -> Tensor:
        """Spec [B, F, L], complex -> masks [B, S, F, L]."""
        power = spec.real.square() + spec.imag.square() + FAINTEST
        heard = power ** (self.cfg.compression / 2)
        heard = heard / heard.square().mean(dim=(1, 2), keepdim=True).sqrt()
        frames = spec.shape[-1]
        short = max(0, self.backbone.minimum_size[1] - frames)
        maps = self.last(self.backbone.features(F.pad(heard[:, None], (0, short))))
        return self.mask(maps[..., :frames].to(power.dtype))

    def _separated(self, x: Tensor) -> Tensor:
        """x [B, T] -> estimates [B, S, T]."""
        spec = self.stft(x)
        masked = self.masks(spec) * spec[:, None]
        return self.stft.inverse(masked, x.shape[-1])
