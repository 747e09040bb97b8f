"""Convolutions taken apart: depthwise then pointwise, or column then row.

Sources: Sifre 2014; Chollet 2016 (1610.02357); Howard et al. 2017 (1704.04861), section 3.1.
A k x k convolution from C to C' channels costs k²·C·C' weights; taken apart k²·C + C·C'.
"""

from torch import Tensor, nn

from ..context import WHOLE, Context
from .conv import PictureConv, TimeConv


class SeparableConv1d(nn.Module):
    """Depthwise convolution over time, then a 1x1 convolution over channels.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: [frames]
        depth_multiplier: filters per input channel in the depthwise half.
        bias: bias of the pointwise half (Keras' convention); the depthwise half has none,
            since a pointwise convolution without norm between would repeat it.
        causal: see `TimeConv`.
        between: norm or activation between the halves.
        groups: of the pointwise half, which do not mix: more than 1 is super-separable (Kaiser et
            al. 2017, 1706.03059, section 2.1), a separable convolution for each group.

    Raises:
        ValueError: the groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        depth_multiplier: int = 1,
        bias: bool = True,
        causal: bool = False,
        between: nn.Module | None = None,
        groups: int = 1,
    ):
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups={groups} with {in_channels} channels in and {out_channels} out: expected "
                "a divisor of both"
            )
        wide = in_channels * depth_multiplier
        self.depthwise = TimeConv(
            in_channels, wide, kernel_size, groups=in_channels, bias=False, causal=causal
        )
        self.between = nn.Identity() if between is None else between
        self.pointwise = TimeConv(wide, out_channels, 1, groups=groups, bias=bias, causal=causal)

    def forward(self, x: Tensor, dilation: int = 1, context: Context = WHOLE) -> Tensor:
        """x [B, C, L] -> [B, C', L]."""
        y: Tensor = self.pointwise(self.between(self.depthwise(x, dilation, context)))
        return y


class SeparableConv2d(nn.Module):
    """Depthwise convolution over a picture, then a 1x1 convolution over channels.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number.
        stride: of the depthwise half.
        depth_multiplier: filters per input channel in the depthwise half.
        bias: bias of the pointwise half; False where a norm follows.
        causal: over time; see `PictureConv`.
        between: norm and activation between the halves (MobileNet has both, Xception none).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        depth_multiplier: int = 1,
        bias: bool = True,
        causal: bool = False,
        between: nn.Module | None = None,
    ):
        super().__init__()
        wide = in_channels * depth_multiplier
        self.depthwise = PictureConv(
            in_channels, wide, kernel_size, stride, groups=in_channels, bias=False, causal=causal
        )
        self.between = nn.Identity() if between is None else between
        self.pointwise = nn.Conv2d(wide, out_channels, 1, bias=bias)

    def forward(
        self, x: Tensor, dilation: int | tuple[int, int] = 1, context: Context = WHOLE
    ) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y: Tensor = self.pointwise(self.between(self.depthwise(x, dilation, context)))
        return y


class SpatialSeparableConv2d(nn.Module):
    """A column kernel over frequency, then a row kernel over time: 2k weights for k².

    Equal to a full convolution whose kernels are of rank one. For one channel in and out, the
    kernel is the outer product of the two.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number.
        stride: the column takes its frequency part, the row its time part.
        bias: of the row kernel.
        causal: over time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        *,
        bias: bool = True,
        causal: bool = False,
    ):
        super().__init__()
        high, wide = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        down, along = (stride,) * 2 if isinstance(stride, int) else stride
        self.column = PictureConv(
            in_channels, out_channels, (high, 1), (down, 1), bias=False, causal=causal
        )
        self.row = PictureConv(
            out_channels, out_channels, (1, wide), (1, along), bias=bias, causal=causal
        )

    def forward(self, x: Tensor, context: Context = WHOLE) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y: Tensor = self.row(self.column(x, 1, context.at("column")), 1, context.at("row"))
        return y
