"""Conv-TasNet and MiTAS, its plan with shared weights: all sources out of a mixture.

Sources: Luo & Mesgarani 2019 (1809.07454; its first version is `convtasnet_v1`); MiTAS: Tuan, Wu,
Lee & Tsao 2019 (1912.03884): depthwise kernels shared across the dilations of a stack, pointwise
ones across stacks.

Differs: `mitas*` masks by ReLU, which several reproductions of Conv-TasNet found 0.3 to 1 dB
better than the sigmoid; the counts are the same. Its paper's own sizes could not be read; on
`convtasnet_v1` the rule gives 2,385,473 parameters of 8,752,705.
"""

from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from ..context import WHOLE, Context
from ..frontends import Decoder, Encoder, as_channels, filterbank, loudness, reach
from ..layers import TCN, TCNCfg, TimeConv, mask_time, masks_of, norm
from ..registry import register


@dataclass(frozen=True, kw_only=True)
class ConvTasNetCfg:
    """What a separator is made of; the papers' letters in brackets.

    Attributes:
        n_src: sources in the mixture (C).
        sample_rate: [Hz]
        channels: of the audio, separated together: [B, C, T] -> [B, S, C, T]; None for [B, T].
        filters: "free" to learn, or "fourier": the network hears and masks the bins of a
            short-time Fourier transform.
        n_filters: of the encoder (N).
        kernel_size: of the filters [samples] (L).
        stride: from frame to frame [samples].
        pad: edges of the signal, a row of `frontends.filterbank`'s table.
        encoder_act: activation of the encoder.
        encoder_bias: a bias per filter in the encoder.
        decoder_bias: a bias per channel in the decoder.
        tcn: the blocks between; its norm is that of the encoder's output too.
        mask_prelu: a PReLU before the masks.
        mask: sigmoid, relu, softmax (over the sources), tanh or none.
    """

    n_src: int = 2
    sample_rate: int = 8000
    channels: int | None = None
    filters: str = "free"
    n_filters: int = 512
    kernel_size: int = 16
    stride: int = 8
    pad: str = "half"
    encoder_act: str = "none"
    encoder_bias: bool = False
    decoder_bias: bool = False
    tcn: TCNCfg = field(default_factory=TCNCfg)
    mask_prelu: bool = True
    mask: str = "sigmoid"

    def __post_init__(self) -> None:
        if self.n_src < 1:
            raise ValueError(f"n_src={self.n_src}: expected 1 or more")
        if self.channels is not None and self.channels < 1:
            raise ValueError(f"channels={self.channels}: expected None or 1 or more")


V3 = ConvTasNetCfg()
V1 = ConvTasNetCfg(
    n_filters=256,
    kernel_size=20,
    stride=10,
    encoder_act="relu",
    encoder_bias=True,
    decoder_bias=True,
    tcn=TCNCfg(bottleneck=256, skip=0, n_repeats=4),
    mask_prelu=False,
    mask="softmax",
)


def _shared(cfg: ConvTasNetCfg) -> ConvTasNetCfg:
    return replace(cfg, tcn=replace(cfg.tcn, sharing="mitas"), mask="relu")


def _causal(cfg: ConvTasNetCfg) -> ConvTasNetCfg:
    return replace(cfg, tcn=replace(cfg.tcn, causal=True, norm="cumulative"), pad="fill")


def _at_16k(cfg: ConvTasNetCfg) -> ConvTasNetCfg:
    """The same windows in seconds, so the same context and cost per second."""
    return replace(cfg, sample_rate=16000, kernel_size=2 * cfg.kernel_size, stride=2 * cfg.stride)


_TINY = ConvTasNetCfg(
    sample_rate=1000,
    n_filters=12,
    kernel_size=8,
    stride=4,
    tcn=TCNCfg(bottleneck=6, hidden=10, skip=5, n_blocks=3, n_repeats=2),
)


@register(
    ConvTasNetCfg,
    convtasnet=V3,
    convtasnet_v1=V1,
    convtasnet_causal=_causal(V3),
    convtasnet_16k=_at_16k(V3),
    convtasnet_causal_16k=_at_16k(_causal(V3)),
    mitas=_shared(V1),
    mitas_v3=_shared(V3),
    mitas_causal=_causal(_shared(V1)),
    mitas_16k=_at_16k(_shared(V1)),
    mitas_causal_16k=_at_16k(_causal(_shared(V1))),
    convtasnet_test=_TINY,
    convtasnet_causal_test=replace(_causal(_TINY), pad="half"),
    convtasnet_stereo_test=replace(
        _TINY,
        n_src=3,
        channels=2,
        kernel_size=5,
        stride=2,
        pad="drop",
        mask="softmax",
        tcn=replace(_TINY.tcn, norm="channel", causal=True),
    ),
    convtasnet_fourier_test=replace(
        _TINY, filters="fourier", n_filters=10, pad="full", mask="sigmoid"
    ),
    mitas_test=replace(
        _shared(_TINY),
        encoder_act="relu",
        encoder_bias=True,
        decoder_bias=True,
        mask_prelu=False,
        tcn=replace(_TINY.tcn, skip=0, sharing="mitas"),
    ),
    mitas_causal_test=_causal(_shared(_TINY)),
)
class ConvTasNet(nn.Module):
    """Encoder, a TCN that finds a mask per source, decoder.

    `estimates` of a model that was not trained, or was trained with permutation-invariant loss,
    come in no particular order.
    """

    task = "separation"
    minimum_length = 1  # [samples]; less than a frame is filled up with silence

    def __init__(self, cfg: ConvTasNetCfg):
        super().__init__()
        self.cfg, tcn = cfg, cfg.tcn
        channels = cfg.channels or 1
        free = cfg.filters == "free"
        analysis, synthesis = filterbank(
            cfg.filters, cfg.n_filters, channels, cfg.kernel_size, cfg.stride, cfg.pad
        )
        self.encoder = Encoder(
            analysis,
            cfg.stride,
            pad=cfg.pad,
            bias=free and cfg.encoder_bias,
            act=cfg.encoder_act if free else "none",
            learned=free,
        )
        self.n_masks = cfg.n_filters if free else cfg.n_filters // 2  # of a source
        self.norm = norm(tcn.norm, self.n_masks, tcn.causal, tcn.eps)
        self.bottleneck = TimeConv(self.n_masks, tcn.bottleneck, 1)
        self.tcn = TCN(tcn)
        self.mask_act = nn.PReLU() if cfg.mask_prelu else nn.Identity()
        width = tcn.skip or tcn.bottleneck
        self.mask_conv = TimeConv(width, cfg.n_src * self.n_masks, 1)
        self.mask = masks_of(cfg.mask)
        self.decoder = Decoder(
            synthesis, cfg.stride, pad=cfg.pad, bias=free and cfg.decoder_bias, learned=free
        )
        self.sample_rate = cfg.sample_rate  # [Hz]
        self.channels = cfg.channels
        self.hop = cfg.stride  # [samples]
        self.causal = tcn.causal
        self.latency = cfg.kernel_size - 1 if tcn.causal else None  # [samples] of look-ahead
        frames = self.tcn.receptive_frames
        endless = tcn.norm in ("global", "cumulative")
        self.receptive_field = None if endless else reach(frames, cfg.kernel_size, cfg.stride)
        self.dead_parameters = tuple(f"tcn.{name}" for name in self.tcn.dead_parameters())

    def forward(
        self, mixture: Tensor, context: Context = WHOLE, lengths: Tensor | None = None
    ) -> Tensor:
        """mixture [B, T] -> estimates [B, S, T]; with channels [B, C, T] -> [B, S, C, T].

        Args:
            mixture: at `sample_rate`.
            context: silence around it, or a stream.
            lengths: [B] in samples; estimates are zero beyond them.

        Raises:
            ValueError: wrong rank or channels, or no sample at all.
        """
        x = as_channels(mixture, self.cfg.channels, context)
        t, n_src = x.shape[-1], self.cfg.n_src
        frames = None if lengths is None else self.encoder.frames(lengths)
        spec = self.encoder(mask_time(x, lengths), context.at("encoder"))
        heard = spec if self.cfg.filters == "free" else loudness(spec)
        y = self.bottleneck(self.norm(heard, context.at("norm"), frames))
        y = self.tcn(y, context=context.at("tcn"), lengths=frames)
        masks = self.mask(self.mask_conv(self.mask_act(y)).unflatten(1, (n_src, -1)))
        masks = masks.repeat(1, 1, spec.shape[1] // self.n_masks, 1)  # real and imaginary alike
        spec = mask_time(spec, frames)  # frames of the padding alone add nothing
        masked = (masks * spec[:, None]).flatten(0, 1)  # [B * S, N, L]
        estimates = self.decoder(masked, t, context.at("decoder")).unflatten(0, (-1, n_src))
        estimates = mask_time(estimates, lengths)
        return estimates[:, :, 0] if self.cfg.channels is None else estimates
