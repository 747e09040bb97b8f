"""ResNet and ResNeXt of bottleneck blocks.

Sources: He et al. 2015 (1512.03385), table 1; Xie et al. 2016 (1611.05431), table 1.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..layers import Bottleneck, MaskedBatchNorm, PictureConv, activation, mask_time
from .staged import Stage, Staged, scaled

WIDTHS = (64, 128, 256, 512)  # of the four stages, before the expansion
EXPANSION = 4


class ResNetStem(nn.Module):
    """7x7 convolution of stride 2, norm, ReLU, 3x3 max pool of stride 2."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = PictureConv(in_channels, out_channels, 7, 2, bias=False)
        self.norm = MaskedBatchNorm(out_channels)
        self.act = activation("relu")

    def forward(self, picture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """picture [B, C, F, L], lengths [B] in frames -> [B, C', ceil(F / 4), ceil(L / 4)]."""
        x = self.act(self.norm(self.conv(mask_time(picture, lengths))))
        if lengths is not None:
            x = mask_time(x, -(-lengths // 2))  # after a ReLU a zero never beats a true frame
        return F.max_pool2d(x, 3, 2, 1)


class ResNet(Staged):
    """Picture [B, C, F, L] -> features [B, 2048·multiplier, F / 32, L / 32].

    Args:
        in_channels: channels of the picture.
        multiplier: scales all widths; each is rounded to a multiple of eight.
        blocks: per stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        groups: of the 3x3 convolutions; 32 in ResNeXt-50 32x4d.
        group_width: channels of a group in the first stage; 64 in ResNet, 4 in ResNeXt-50 32x4d.
        stride_first: see `Bottleneck`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        multiplier: float = 1.0,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        groups: int = 1,
        group_width: int = 64,
        *,
        stride_first: bool = False,
    ):
        if len(blocks) != len(WIDTHS):
            raise ValueError(f"blocks={blocks}: expected a count for each of {len(WIDTHS)} stages")
        channels = [scaled(WIDTHS[0], multiplier)]
        strides = [4, 1, 2, 2, 2]
        stem = ResNetStem(in_channels, channels[0])
        stages = []
        for full, count, stride in zip(WIDTHS, blocks, strides[1:], strict=True):
            width = scaled(full, multiplier)
            inner = max(1, width * group_width // WIDTHS[0]) * groups
            wide = EXPANSION * width
            stage = [
                Bottleneck(
                    wide if i else channels[-1],
                    inner,
                    wide,
                    1 if i else stride,
                    groups=groups,
                    stride_first=stride_first,
                )
                for i in range(count)
            ]
            stages.append(Stage(stage, stride))
            channels.append(wide)
        super().__init__(stem, stages, channels, strides)


resnet50 = partial(ResNet, blocks=(3, 4, 6, 3))
resnext50_32x4d = partial(ResNet, blocks=(3, 4, 6, 3), groups=32, group_width=4)
