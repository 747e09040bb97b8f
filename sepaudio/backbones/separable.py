"""A small trunk of inverted residuals in the form of MobileNet v3, in four stages as ResNet's.

Source: Howard et al. 2019 (1905.02244), section 5, whose rules it follows: ReLU where maps are
large, h-swish and squeeze-and-excitation where they are small.
"""

from torch import Tensor, nn

from ..layers import InvertedResidual, MaskedBatchNorm, PictureConv, activation, mask_time
from .staged import Stage, Staged, scaled

FIRST = 16  # channels of the first convolution
STEM = (48, 24)  # (hidden, out) of the stem's block
# per stage: blocks, channels out, stride, kernel, hidden of the first block and of the others,
# inner channels of the squeeze-and-excitation, activation
STAGES = (
    (2, 24, 1, 3, 72, 72, 0, "relu"),
    (3, 48, 2, 5, 96, 144, 16, "hard_swish"),
    (4, 96, 2, 3, 288, 288, 24, "hard_swish"),
    (3, 160, 2, 5, 480, 480, 32, "hard_swish"),
)


class SeparableStem(nn.Module):
    """3x3 convolution of stride 2, norm, h-swish, then an inverted residual of stride 2."""

    def __init__(self, in_channels: int, first: int, hidden: int, out_channels: int):
        super().__init__()
        self.conv = PictureConv(in_channels, first, 3, 2, bias=False)
        self.norm = MaskedBatchNorm(first)
        self.act = activation("hard_swish")
        self.block = InvertedResidual(first, hidden, out_channels, 3, 2, act="relu")

    def forward(self, picture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """picture [B, C, F, L], lengths [B] in frames -> [B, C', ceil(F / 4), ceil(L / 4)]."""
        x = self.act(self.norm(self.conv(mask_time(picture, lengths))))
        y: Tensor = self.block(x, None if lengths is None else -(-lengths // 2))
        return y


class SeparableTrunk(Staged):
    """Picture [B, C, F, L] -> features [B, 160·multiplier, F / 32, L / 32].

    916,784 parameters, so that a million holds it with ESResNet's attention and 50 classes;
    461 million multiply-adds for a picture of 3x341x394.

    Args:
        in_channels: channels of the picture.
        multiplier: scales all widths; each is rounded to a multiple of eight.
    """

    def __init__(self, in_channels: int = 3, multiplier: float = 1.0):
        hidden, out = (scaled(c, multiplier) for c in STEM)
        stem = SeparableStem(in_channels, scaled(FIRST, multiplier), hidden, out)
        channels, strides, stages = [out], [4], []
        for count, full, stride, kernel, first, other, inner, act in STAGES:
            wide = scaled(full, multiplier)
            squeeze = scaled(inner, multiplier) if inner else 0
            stage = [
                InvertedResidual(
                    wide if i else channels[-1],
                    scaled(other if i else first, multiplier),
                    wide,
                    kernel,
                    1 if i else stride,
                    act=act,
                    squeeze=squeeze,
                )
                for i in range(count)
            ]
            stages.append(Stage(stage, stride))
            channels.append(wide)
            strides.append(stride)
        super().__init__(stem, stages, channels, strides)
