"""Convolutions that hold weights only: dilation and past come with the call."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..context import WHOLE, Context


def causal_or_refuse(causal: bool, context: Context, what: str) -> None:
    """Raise where a layer that sees the future is asked to stream."""
    if context.streaming and not causal:
        raise ValueError(f"{what} is not causal, so it cannot stream; build it with causal=True")


class TimeConv(nn.Module):
    """1-D convolution over time, stride 1, as many frames out as in.

    Causal: all context is on the left. Otherwise it is shared, the odd frame on the right.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: [frames]
        groups: groups of channels that do not mix; `in_channels` for a depthwise one.
        bias: add a bias per output channel.
        causal: output l depends on no input after l.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        groups: int = 1,
        bias: bool = True,
        causal: bool = False,
    ):
        super().__init__()
        self.causal, self.groups = causal, groups
        conv = nn.Conv1d(in_channels, out_channels, kernel_size, groups=groups, bias=bias)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor, dilation: int = 1, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> [B, C', L]."""
        causal_or_refuse(self.causal, context, "TimeConv")
        reach = (self.weight.shape[-1] - 1) * dilation  # [frames] of context
        if not reach:
            if not x.shape[-1]:
                return x.new_zeros(len(x), len(self.weight), 0)
            if (x.is_cuda or torch.compiler.is_compiling()) and self.groups == 1:
                return multiplied(x, self.weight, self.bias)
            return F.conv1d(x, self.weight, self.bias, groups=self.groups)
        if not context.streaming and self._fuses():
            before = reach if self.causal else reach // 2
            return shifted(x, self.weight, self.bias, dilation, before)
        if not self.causal and reach % 2 == 0:  # no copy of the signal just to pad it
            return F.conv1d(x, self.weight, self.bias, 1, reach // 2, dilation, self.groups)
        x = context.left(x, reach) if self.causal else F.pad(x, (reach // 2, reach - reach // 2))
        if x.shape[-1] <= reach:  # a chunk without a frame
            return x.new_zeros(len(x), len(self.weight), 0)
        return F.conv1d(x, self.weight, self.bias, dilation=dilation, groups=self.groups)

    def _fuses(self) -> bool:
        """Whether a compiler that fuses arithmetic does better than a library's convolution."""
        depthwise = self.weight.shape[1] == 1 and self.groups == len(self.weight)
        return depthwise and torch.compiler.is_compiling()


def multiplied(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of one tap, x [B, C, L] -> [B, C', L], as the product of matrices it is.

    CUDA's convolutions would turn the axes of x and of the result around first.
    """
    y = torch.bmm(weight[:, :, 0].expand(len(x), -1, -1), x)
    return y if bias is None else y + bias[:, None].to(y.dtype)


def shifted(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, before: int) -> Tensor:
    """A depthwise convolution, x [B, C, L] -> [B, C, L], as the sum of shifted signals it is.

    So a compiler can make it one with what comes before and after, which for so few taps takes
    less time than any convolution between two passes over memory.

    Args:
        x: signal.
        weight: [C, 1, k]
        bias: [C]
        dilation: [frames]
        before: of the context, which is silent; the rest is after [frames].
    """
    taps, frames = weight.shape[-1], x.shape[-1]
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    weight = weight.to(x.dtype)
    padded = F.pad(x, (before, (taps - 1) * dilation - before))
    y = sum(
        padded[..., tap * dilation : tap * dilation + frames] * weight[:, :, tap]
        for tap in range(taps)
    )
    assert isinstance(y, Tensor)
    return y if bias is None else y + bias[:, None].to(y.dtype)


PADDING = ("same", "valid", "tensorflow")


class PictureConv(nn.Module):
    """2-D convolution over frequency and time.

    Padding "same" is symmetric, (k - 1) * dilation // 2, as torchvision and timm pad, so that
    stride 2 gives ceil(L / 2) frames for odd kernels. "valid" is none. "tensorflow" gives
    ceil(L / stride) for any kernel by padding as much as the size of the picture needs, the odd
    one behind. Causal, with "same": over time, all padding is on the left.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency [bins], time [frames]), or one number for both.
        stride: the same of the step.
        groups: groups of channels that do not mix.
        bias: add a bias per output channel.
        causal: output frame l depends on no input frame after l * stride.
        padding: one of PADDING.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        bias: bool = True,
        causal: bool = False,
        padding: str = "same",
    ):
        super().__init__()
        if padding not in PADDING or (causal and padding != "same"):
            known = "same" if causal else ", ".join(PADDING)
            raise ValueError(f"padding={padding!r} with causal={causal}: expected {known}")
        self.causal, self.groups, self.padding = causal, groups, padding
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, groups=groups, bias=bias)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(
        self, x: Tensor, dilation: int | tuple[int, int] = 1, context: Context = WHOLE
    ) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L'], ceil(F / stride) with "same" and odd kernels."""
        causal_or_refuse(self.causal, context, "PictureConv")
        if context.streaming and self.stride[1] > 1:
            raise ValueError(
                f"stride={self.stride}: a stream needs a time stride of 1; classify whole windows"
            )
        dilation = (dilation, dilation) if isinstance(dilation, int) else dilation
        padding = self.padding
        if self.causal:
            high, wide = ((k - 1) * d for k, d in zip(self.weight.shape[2:], dilation, strict=True))
            x = F.pad(context.left(x, wide), (0, 0, high // 2, high - high // 2))
            padding = "valid"
        return convolve(x, self.weight, self.bias, self.stride, dilation, self.groups, padding)


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    padding: str = "same",
) -> Tensor:
    """x [B, C, F, L], weight [C', C / groups, k, k'] -> [B, C', F', L'], as in `PictureConv`."""
    high, wide = ((k - 1) * d for k, d in zip(weight.shape[2:], dilation, strict=True))
    around = (0, 0)
    if padding == "tensorflow":
        x = tensorflow_pad(x, (high + 1, wide + 1), stride)
    elif padding == "same" and high % 2 == 0 and wide % 2 == 0:
        around = (high // 2, wide // 2)  # no copy of the picture just to pad it
    elif padding == "same":
        x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    if x.shape[-1] + 2 * around[1] <= wide:
        return x.new_zeros(
            len(x), len(weight), -(-(x.shape[2] + 2 * around[0] - high) // stride[0]), 0
        )
    return F.conv2d(x, weight, bias, stride, around, dilation, groups)


def tensorflow_pad(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], fill: float = 0.0
) -> Tensor:
    """x [B, C, F, L] padded so that ceil(F / stride) x ceil(L / stride) places come out.

    Args:
        x: picture.
        kernel: extent of the window, dilation included.
        stride: of the window.
        fill: what the padding holds.
    """
    sides: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        least = max((-(-size // s) - 1) * s + k - size, 0)
        sides += [least // 2, least - least // 2]
    return F.pad(x, sides, value=fill)
