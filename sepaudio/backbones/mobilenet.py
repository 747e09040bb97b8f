"""MobileNet v1: a stack of depthwise-separable convolutions.

Source: Howard et al. 2017 (1704.04861), table 1; the width multiplier of section 3.3.
"""

from torch import Tensor, nn

from ..layers import MaskedBatchNorm, PictureConv, SeparableConv2d, activation, mask_time
from .staged import he_init, scaled

# (channels, stride) of the thirteen separable layers
V1 = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def _norm_act(channels: int, act: str) -> nn.Sequential:
    return nn.Sequential(MaskedBatchNorm(channels), activation(act))


class MobileNetV1(nn.Module):
    """Picture [B, C, F, L] -> features [B, 1024·multiplier, F / 32, L / 32].

    Args:
        in_channels: channels of the picture.
        multiplier: α, scales all widths; each is rounded to a multiple of eight.
        act: "relu6" as in the authors' code and timm, or "relu" as in the paper's figure.
    """

    stride = 32

    def __init__(self, in_channels: int = 3, multiplier: float = 1.0, act: str = "relu6"):
        super().__init__()
        first, *widths = (scaled(c, multiplier) for c in (32, *(c for c, _ in V1)))
        self.stem = PictureConv(in_channels, first, 3, 2, bias=False)
        self.stem_after = _norm_act(first, act)
        self.blocks, self.afters = nn.ModuleList(), nn.ModuleList()
        self.strides = [2, *(stride for _, stride in V1)]
        channels = first
        for out, stride in zip(widths, self.strides[1:], strict=True):
            between = _norm_act(channels, act)
            self.blocks.append(
                SeparableConv2d(channels, out, 3, stride, bias=False, between=between)
            )
            self.afters.append(_norm_act(out, act))
            channels = out
        self.out_channels = channels
        he_init(self)

    def forward(self, picture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """picture [B, C, F, L], lengths [B] in frames -> [B, D, ceil(F / 32), ceil(L / 32)].

        Padding is blanked before every spatial convolution, so that a picture gives the same
        features alone and in a batch with longer ones.
        """
        x: Tensor = self.stem_after(self.stem(mask_time(picture, lengths)))
        for stride, block, after in zip(self.strides, self.blocks, self.afters, strict=False):
            lengths = None if lengths is None else -(-lengths // stride)
            x = after(block(mask_time(x, lengths)))
        return x

    def lengths(self, lengths: Tensor) -> Tensor:
        """Frames [B] of a picture -> frames [B] of its features."""
        for stride in self.strides:
            lengths = -(-lengths // stride)
        return lengths
