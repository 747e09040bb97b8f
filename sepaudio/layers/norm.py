"""Normalisations of [B, C, L] maps, with names that cannot be confused.

| name | papers' name | statistics over | sees the future |
| --- | --- | --- | --- |
| global | gLN | channels and all frames | yes |
| cumulative | cgLN, causal cLN | channels and all frames so far | no |
| channel | cLN, layer norm | channels of one frame | no |
| batch | BN | batch and all frames, per channel | in training only |

Source: Luo & Mesgarani 2019 (1809.07454), section 2.3: biased variance, a gain and a bias per
channel, eps 1e-8. Every norm takes the same call, so that a block can hold any of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context
from .conv import causal_or_refuse
from .pool import mask_time

EPS = 1e-8


class _Affine(nn.Module):
    """A gain and a bias per channel."""

    def __init__(self, channels: int, eps: float = EPS):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def _scale(self, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None], (x - mean) * scale, self.weight[:, None])


class GlobalNorm(_Affine):
    """Over channels and the whole signal; padding beyond `lengths` is left out."""

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L], lengths [B] in frames -> [B, C, L], zero beyond the lengths."""
        causal_or_refuse(False, context, "GlobalNorm")
        if lengths is None:  # one group of all channels is the same, in one pass
            return F.group_norm(x, 1, self.weight, self.bias, self.eps)
        n = (lengths * x.shape[1]).to(x.dtype)[:, None, None]
        mean = mask_time(x, lengths).sum(dim=(1, 2), keepdim=True) / n
        variance = mask_time(x - mean, lengths).square().sum(dim=(1, 2), keepdim=True) / n
        return mask_time(self._scale(x, mean, (variance + self.eps).rsqrt()), lengths)


class CumulativeNorm(_Affine):
    """Over channels and all frames up to and with the present one.

    The running sums are kept in float64 (on devices that have it), about the first frame's
    mean: a float32 accumulator loses a fifth of the variance within a day of frames.
    """

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L] -> [B, C, L]; `lengths` changes nothing, the padding comes later."""
        if not x.shape[-1]:
            return x
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        past = context.recall()  # [B, 4]: frames, sum and sum of squares about the origin, origin
        if past is None:
            origin = x[..., :1].to(wide).mean(dim=1)
            past = torch.cat([torch.zeros_like(origin).expand(-1, 3), origin], dim=1)
        count, total, squares, origin = past.to(wide).chunk(4, dim=1)
        centred = x - origin[..., None].to(x.dtype)
        sums = total + centred.mean(dim=1).to(wide).cumsum(dim=-1)  # [B, L]
        sums_of_squares = squares + centred.square().mean(dim=1).to(wide).cumsum(dim=-1)
        counts = count + torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=wide)
        context.remember(
            torch.stack([counts[:, -1], sums[:, -1], sums_of_squares[:, -1], origin[:, 0]], dim=1)
        )
        shift = sums / counts
        variance = (sums_of_squares / counts - shift.square()).clamp_min(0)
        scale = (variance + self.eps).rsqrt()
        return self._scale(centred, shift[:, None].to(x.dtype), scale[:, None].to(x.dtype))


class ChannelNorm(_Affine):
    """Over the channels of each frame by itself."""

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, L] -> [B, C, L]."""
        if not x.shape[-1]:
            return x
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        return self._scale(x, mean, (variance + self.eps).rsqrt())


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch norm of [B, C, L] or [B, C, F, L] with the call of the other norms; eps 1e-5.

    The one class here that inherits from a torch layer: its parameter and buffer names are
    those of every published checkpoint.
    """

    def forward(self, x: Tensor, context: Context = WHOLE, lengths: Tensor | None = None) -> Tensor:
        """x [B, C, (F,) L] -> the same shape, zero beyond the lengths when they are given."""
        y = super().forward(x[:, :, None] if x.ndim == 3 else x)
        return mask_time(y[:, :, 0] if x.ndim == 3 else y, lengths)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            raise ValueError(f"x has {input.ndim} axes: expected [B, C, L] or [B, C, F, L]")


class FixedNorm(nn.Module):
    """A fixed mean and deviation per channel, measured on training data; at first 0 and 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @torch.no_grad()
    def measured(self, mean: Tensor, std: Tensor) -> None:
        """Take what was measured per channel [C]; what hardly varies counts as varying by 1e-3."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, L] -> [B, C, L]."""
        return (x - self.mean[:, None]) / self.std[:, None]


NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "global": GlobalNorm,
    "cumulative": CumulativeNorm,
    "channel": ChannelNorm,
    "batch": lambda channels, _: MaskedBatchNorm(channels),
}


def norm(name: str, channels: int, causal: bool = False, eps: float = EPS) -> nn.Module:
    """The norm called `name`; `eps` is added to the variance (batch norm keeps its own, 1e-5).

    Raises:
        ValueError: no norm has that name, or it sees the future and `causal` is asked.
    """
    if name not in NORMS:
        raise ValueError(f"norm={name!r}: expected one of {', '.join(NORMS)}")
    if causal and name == "global":
        raise ValueError(
            "norm='global' with causal=True: global norm sees the future; "
            "use 'channel' or 'cumulative'"
        )
    return NORMS[name](channels, eps)


class PictureChannelNorm(_Affine):
    """Layer norm of pictures: over the channels of each point by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C, F, L]."""
        y = F.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, self.eps)
        return y.movedim(-1, 1)


PICTURE_NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "none": lambda channels, eps: nn.Identity(),
    "batch": lambda channels, eps: MaskedBatchNorm(channels, eps=eps),
    "channel": PictureChannelNorm,
    # a_j over sqrt-like powers of its five neighbours' energy; torch divides alpha by their number
    "response": lambda channels, eps: nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
}


def picture_norm(name: str, channels: int, eps: float = 1e-5) -> nn.Module:
    """The norm of [B, C, F, L] pictures called `name`.

    | name | papers' name | statistics over |
    | --- | --- | --- |
    | batch | BN | batch and all points, per channel |
    | channel | LN, channels first | channels of one point |
    | response | LRN (Krizhevsky et al. 2012, section 3.3) | five neighbouring channels |
    | none | | |

    Raises:
        ValueError: no such norm has that name.
    """
    if name not in PICTURE_NORMS:
        raise ValueError(f"norm={name!r}: expected one of {', '.join(PICTURE_NORMS)}")
    return PICTURE_NORMS[name](channels, eps)
