"""The bottleneck residual block of ResNet and ResNeXt.

Sources: He et al. 2015 (1512.03385), figure 5; Xie et al. 2016 (1611.05431), figure 3c.
"""

from torch import Tensor, nn

from .activation import activation
from .conv import PictureConv
from .norm import MaskedBatchNorm


class Bottleneck(nn.Module):
    """1x1 to `inner` channels, k x k, 1x1 to `out_channels`, added to the input.

    Each convolution has a batch norm, each but the last an activation; one more follows the sum.
    Where shape changes, the shortcut is a 1x1 convolution with a norm, else the input itself.

    Args:
        in_channels: channels in.
        inner: channels of the k x k convolution; a quarter of `out_channels` in ResNet.
        out_channels: channels out.
        stride: of the block.
        kernel_size: (frequency, time) or one number; odd.
        groups: of the k x k convolution; ResNeXt's cardinality.
        act: name of the activation.
        stride_first: the first 1x1 takes the stride.

    Differs: the k x k convolution takes the stride, as in all published weights ("v1.5");
        `stride_first` is the paper.
    """

    def __init__(
        self,
        in_channels: int,
        inner: int,
        out_channels: int,
        stride: int = 1,
        *,
        kernel_size: int | tuple[int, int] = 3,
        groups: int = 1,
        act: str = "relu",
        stride_first: bool = False,
    ):
        super().__init__()
        before, within = (stride, 1) if stride_first else (1, stride)
        self.reduce = nn.Conv2d(in_channels, inner, 1, before, bias=False)
        self.reduce_norm = MaskedBatchNorm(inner)
        self.spatial = PictureConv(inner, inner, kernel_size, within, groups=groups, bias=False)
        self.spatial_norm = MaskedBatchNorm(inner)
        self.expand = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.expand_norm = MaskedBatchNorm(out_channels)
        self.act = activation(act)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                MaskedBatchNorm(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y = self.act(self.reduce_norm(self.reduce(x)))
        y = self.act(self.spatial_norm(self.spatial(y)))
        y = self.expand_norm(self.expand(y))
        total: Tensor = self.act(y + self.shortcut(x))
        return total
