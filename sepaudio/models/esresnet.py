"""ESResNet: three bands of a spectrum as the colours of a picture, classified by an image network.

Sources: Guzhov et al. 2020 (2004.07301), ESResNet with and without attention; Guzhov et al. 2021
(2104.11587), ESResNe(X)t-fbsp; sizes and order of operations from the first author's code
(ESResNet, commit 138c073, and ESResNeXt-fbsp, commit 7c1488a), which the published parameter
counts confirm: 23,610,482, 30,634,098 and 30,109,045 for 50 classes.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..backbones import InvertedCfg, Together, backbone, he_init
from ..frontends import Bands, BandsCfg, bands_cfg, mel_cfg
from ..layers import PoolAttention2d
from ..registry import create, register

# of ESC-50 (Piczak 2015), in the order of its target numbers
ESC50 = (
    "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow",
    "rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind",
    "pouring_water", "toilet_flush", "thunderstorm",
    "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing",
    "brushing_teeth", "snoring", "drinking_sipping",
    "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening",
    "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking",
    "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane",
    "fireworks", "hand_saw",
)  # fmt: skip

KERNELS = ((3, 1), (1, 5), (3, 1), (1, 5))  # (frequency, time) of the stages' attention
MASKS = len(KERNELS) + 1  # of a member: behind every stage, and on the pooled vector


@dataclass(frozen=True, kw_only=True)
class ESResNetCfg:
    """What ESResNet is made of.

    Attributes:
        labels: the classes, in the order of the logits.
        features: the multi-band picture; its sample rate and hop are the model's.
        backbone: name of an image network, see `backbones.names`, or the cfg of one.
        multiplier: scales the backbone's widths.
        depth: scales the backbone's numbers of blocks.
        attention: a mask after each stage and one on the pooled vector.
        last_kernel: (frequency, time) of the last mask's depthwise convolution, whose map is one
            point: (1, 1) leaves out what only meets padding.
        attention_bias: initial bias of the masks' norms. The first code starts at 0, the second at
            1 where the backbone is pretrained, so that five masks do not first shrink its maps to
            a thirtieth.
        dropout: share of the pooled vector that training leaves out.
        channels: of the sound; each has its own picture, their pooled vectors are added.
        seconds: length of what it is trained on, and of the windows that a longer recording is
            judged by [s]; published: 5 for ESC, 4 for UrbanSound8K.
        fold_channels: the pictures of all channels go through the network as one batch, so that
            norms in training share their statistics; False, as published, takes one channel after
            the other. Evaluation is the same.
        several: whether a sound may be of several classes, or of none: each logit is then that of
            a class by itself, and its sigmoid the probability.
        turns: so many times is a clip judged, each time from another moment on, its end coming
            round to the front; the features are averaged. Training turns nothing.
        members: networks that look at the same picture, each with a backbone and masks of its own.
            The logits are the means of theirs; in training each has to be right by itself.
        texture: Gaussians of a Fisher vector of cepstra, from which a support vector machine names
            the class as well; as the evidence of witnesses that do not know of one another, its
            logits are added to the networks'. It is found by `training.texture`, not by gradient.
            0 for none.
    """

    labels: tuple[str, ...] = ESC50
    features: BandsCfg = field(default_factory=BandsCfg)
    backbone: str | InvertedCfg = "resnet50"
    multiplier: float = 1.0
    depth: float = 1.0
    attention: bool = False
    last_kernel: tuple[int, ...] = (3, 5)
    attention_bias: float = 1.0
    dropout: float = 0.0
    channels: int = 1
    seconds: float = 5.0
    fold_channels: bool = True
    several: bool = False
    turns: int = 1
    members: int = 1
    texture: int = 0

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels={self.labels!r}: expected two classes or more")
        if self.seconds <= 0:
            raise ValueError(f"seconds={self.seconds}: expected more than 0")
        if self.channels < 1:
            raise ValueError(f"channels={self.channels}: expected 1 (mono), 2 (stereo) or more")
        if self.turns < 1 or self.members < 1:
            raise ValueError(
                f"turns={self.turns}, members={self.members}: expected 1 or more of both"
            )
        if self.texture < 0 or (self.texture and (self.channels > 1 or self.several)):
            raise ValueError(
                f"texture={self.texture}, channels={self.channels}, several={self.several}: "
                "expected 0 or more Gaussians, and none of several channels or of several classes"
            )
        if len(self.last_kernel) != 2 or any(n < 1 or n % 2 == 0 for n in self.last_kernel):
            raise ValueError(f"last_kernel={self.last_kernel}: expected two odd numbers")


def texture_of(cfg: ESResNetCfg) -> nn.Module:
    """What listens beside the networks, untrained: Fisher vectors of cepstra, a linear decision."""
    features = mel_cfg("psf", cfg.features.sample_rate, n_mels=40)
    made = create("fisher_svm", labels=cfg.labels, features=features, components=cfg.texture)
    return made.requires_grad_(False)


_TINY = BandsCfg(sample_rate=1000, n_fft=32, hop=20, window_length=26)


@register(
    ESResNetCfg,
    esresnet=ESResNetCfg(features=bands_cfg("esresnet"), fold_channels=False),
    esresnet_attention=ESResNetCfg(
        features=bands_cfg("esresnet"), attention=True, attention_bias=0.0, fold_channels=False
    ),
    esresnext_fbsp=ESResNetCfg(
        features=bands_cfg("esresnext_fbsp"),
        backbone="resnext50_32x4d",
        attention=True,
        fold_channels=False,
    ),
    esresnet_separable=ESResNetCfg(backbone="separable", attention=True, last_kernel=(1, 1)),
    esresnet_test=ESResNetCfg(
        labels=("noise", "speech"), features=_TINY, multiplier=0.125, attention=True, channels=2
    ),
    esresnext_test=ESResNetCfg(
        labels=("noise", "speech"),
        features=BandsCfg(sample_rate=1000, n_fft=32, hop=20, window_length=26, learned=True),
        backbone="separable",
        multiplier=0.25,
        attention=True,
        last_kernel=(1, 1),
        fold_channels=False,
    ),
)
class ESResNet(nn.Module):
    """One decision per clip.

    Attention compares maps of two sizes, so a clip's result hangs on its exact length: clips of
    a batch are run in groups of equal length, each cut to its own. In training a norm's statistics
    are then those of a group, and a group of one clip is refused by the last mask's norm; train on
    clips of one length.

    Weights that no output depends on are single elements, which `dead_parameters` cannot name: the
    last mask sees one point, so that with a 3x5 kernel fourteen of fifteen taps per channel only
    meet padding (28,672 of the published 30,634,098), and a learned transform's outputs above the
    last band (two of 1,025, three values each) are left out of the picture.
    """

    task = "classification"
    causal = False
    latency = None
    receptive_field = None  # the whole clip
    dead_parameters: tuple[str, ...] = ()

    def __init__(self, cfg: ESResNetCfg):
        super().__init__()
        self.cfg, self.labels, self.several = cfg, cfg.labels, cfg.several
        self.frontend = Bands(cfg.features)
        nets = [
            backbone(cfg.backbone, cfg.features.n_bands, cfg.multiplier, depth=cfg.depth)
            for _ in range(cfg.members)
        ]
        net = nets[0]
        self.backbone: nn.Module = net if cfg.members == 1 else Together(nets)
        self.attention = nn.ModuleList()  # of one member after the other
        if cfg.attention:
            if len(net.stages) != len(KERNELS):
                raise ValueError(
                    f"backbone={cfg.backbone!r} has {len(net.stages)} stages: expected "
                    f"{len(KERNELS)} where there is attention; use attention=False"
                )
            high, wide = cfg.last_kernel
            channels = [*net.stage_channels, net.out_channels]
            for i, kernel in (*enumerate((*KERNELS, (high, wide))),) * cfg.members:
                self.attention.append(
                    PoolAttention2d(channels[i], channels[i + 1], kernel, cfg.attention_bias)
                )
            he_init(self.attention)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(net.out_channels * cfg.members, len(cfg.labels))
        self.texture = texture_of(cfg) if cfg.texture else None
        self.channels = cfg.channels if cfg.channels > 1 else None
        self.sample_rate = cfg.features.sample_rate  # [Hz]
        self.hop = self.frontend.hop  # [samples]
        self.minimum_length = self.frontend.minimum_length  # [samples]; silence fills up to it
        self.seconds = cfg.seconds  # [s]; of a clip

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T] or [B, C, T], lengths [B] in samples -> logits [B, K].

        Args:
            waveform: of [-1, 1], at `sample_rate`; one without channels is given to all of them.
            lengths: of each clip; what lies beyond is not looked at.
        """
        y: Tensor = self.head(self.dropout(self.pooled(waveform, lengths)))
        return y if self.texture is None else y + self._heard(waveform, lengths)

    def clip(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T] or [B, C, T], lengths [B] in samples -> logits [B, K]."""
        return self(waveform, lengths)  # type: ignore[no-any-return]

    def clip_logits(self, picture: Tensor) -> Tensor:
        """What the front-end gives, [B, 3, F, L] or [B, C, 3, F, L] -> the networks' logits [B, K].

        They are the model's where there is no `texture`, which hears the waveform.
        """
        pooled = self._pooled(picture if picture.ndim == 5 else picture[:, None])
        y: Tensor = self.head(self.dropout(pooled))
        return y

    def opinions(self, picture: Tensor) -> Tensor:
        """What the front-end gives -> logits of every member [M, B, K]; theirs is the mean."""
        if self.cfg.members == 1:
            return self.clip_logits(picture)[None]
        pooled = self._pooled(picture if picture.ndim == 5 else picture[:, None])
        n, heads = self.cfg.members, self.head.weight.chunk(self.cfg.members, dim=1)
        each = zip((n * self.dropout(pooled)).chunk(n, dim=1), heads, strict=True)
        return torch.stack([F.linear(x, weight, self.head.bias) for x, weight in each])

    def picture(self, waveform: Tensor) -> Tensor:
        """waveform [B, T] or [B, C, T] -> what the network sees [B, C, 3, F, L], in dB."""
        y: Tensor = self.frontend(self._filled(self._channels(waveform)))
        return y

    def class_maps(self, waveform: Tensor) -> Tensor:
        """waveform [B, T] or [B, C, T] -> maps [B, K, F', L'] of what speaks for each class.

        The mean of a class's map and the head's bias of that class are its logit, of the clip as it
        begins where `turns` ask for more. The last mask is one number per feature and clip, so
        that it scales the maps as it scales their mean. What a `texture` adds to the logit has no
        place in the picture, and none in the maps.

        Source: Zhou et al. 2015 (1512.04150), eq. 2.
        """
        picture = self.picture(waveform)
        x = picture.flatten(0, 1)
        parts = [self._maps(x, member) for member in range(self.cfg.members)]
        ones = x.new_ones(len(x), parts[0].shape[1], 1, 1)
        parts = [y * self._masked(y, ones, member) for member, y in enumerate(parts)]
        x = torch.cat(parts, dim=1) / self.cfg.members
        maps = torch.einsum("bdfl,kd->bkfl", x, self.head.weight)
        return maps.reshape(*picture.shape[:2], *maps.shape[1:]).sum(dim=1)

    def pooled(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T] or [B, C, T], lengths [B] in samples -> features [B, D], summed over C.

        Raises:
            ValueError: if the waveform has another number of axes or channels, or no samples.
        """
        x = self._channels(waveform)
        if lengths is None:
            return self._pooled(self.picture(x))
        if lengths.numel() and int(lengths.min()) < 1:
            raise ValueError(f"lengths={lengths.tolist()}: expected at least 1 sample each")
        y = x.new_zeros(len(x), self.head.in_features)
        for length in torch.unique(lengths).tolist():
            rows = lengths == length
            y = y.masked_scatter(
                rows[:, None], self._pooled(self.frontend(self._filled(x[rows, :, :length])))
            )
        return y

    def _heard(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """waveform [B, T] or [B, 1, T], lengths [B] in samples -> the texture's logits [B, K]."""
        y: Tensor = self.texture(self._channels(waveform)[:, 0], lengths)  # type: ignore[misc]
        return y

    def _channels(self, waveform: Tensor) -> Tensor:
        """waveform [B, T] or [B, C, T] -> [B, C, T]."""
        n, shape = self.cfg.channels, list(waveform.shape)
        if waveform.ndim == 2:
            waveform = waveform[:, None].expand(-1, n, -1)
        if waveform.ndim != 3 or waveform.shape[1] != n or not waveform.shape[-1]:
            raise ValueError(
                f"waveform has shape {shape}: expected [B, T] or [B, {n}, T] with T of at least 1; "
                "use waveform[None] for one signal, mix channels down or change channels="
            )
        return waveform

    def _filled(self, x: Tensor) -> Tensor:
        """x [..., T] -> with silence up to `minimum_length`."""
        return F.pad(x, (0, max(self.minimum_length - x.shape[-1], 0)))

    def _pooled(self, picture: Tensor) -> Tensor:
        """Pictures [B, C, 3, F, L] -> features [B, D]."""
        turns, n_frames = 1 if self.training else self.cfg.turns, picture.shape[-1]
        y = self._summed(picture)
        for i in range(1, turns):  # one by one: maps of all at once would take their memory
            y = y + self._summed(picture.roll(i * n_frames // turns, -1))
        return y / turns if turns > 1 else y

    def _summed(self, picture: Tensor) -> Tensor:
        """Pictures [B, C, 3, F, L] -> features [B, D], as they are."""
        if self.cfg.fold_channels:
            return self._vector(picture.flatten(0, 1)).reshape(*picture.shape[:2], -1).sum(dim=1)
        return torch.stack([self._vector(x) for x in picture.unbind(1)]).sum(dim=0)

    def _maps(self, picture: Tensor, member: int) -> Tensor:
        """Picture [B, 3, F, L] -> the maps of a member's last stage [B, D, F', L']."""
        trunk: Any = self.backbone
        net = trunk.nets[member] if self.cfg.members > 1 else trunk
        x: Tensor = net.stem(picture)
        for i, stage in enumerate(net.stages):
            y: Tensor = stage(x)
            x = self.attention[MASKS * member + i](x, y) if self.attention else y
        return x

    def _masked(self, x: Tensor, y: Tensor, member: int) -> Tensor:
        """Maps [B, D, F', L'] and their means [B, D, 1, 1] -> these, behind the last mask."""
        if not self.attention:
            return y
        y = self.attention[MASKS * member + MASKS - 1](x, y)
        return y

    def _vector(self, picture: Tensor) -> Tensor:
        """Picture [B, 3, F, L] -> features [B, M D], of one member after the other.

        They are parts of a mean of members, so that the head's logits are the mean of theirs.
        """
        parts = []
        for member in range(self.cfg.members):
            x = self._maps(picture, member)
            parts.append(self._masked(x, x.mean(dim=(2, 3), keepdim=True), member)[:, :, 0, 0])
        return torch.cat(parts, dim=1) / self.cfg.members
