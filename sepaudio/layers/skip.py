"""Ways down to coarser maps and up again, that keep what was there before.

Source: Ronneberger et al. 2015 (1505.04597), figure 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fitted(x: Tensor, size: torch.Size | tuple[int, ...]) -> Tensor:
    """x [B, C, F, L] stretched to another size, corner on corner; the same size is x itself."""
    if x.shape[2:] == torch.Size(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def doubling(in_channels: int, out_channels: int, kernel: int = 2) -> nn.ConvTranspose2d:
    """A transposed convolution to maps of just twice the size.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel: an even number; 2 gives every place to four places, larger ones overlap.

    Raises:
        ValueError: the kernel is odd.
    """
    if kernel < 2 or kernel % 2:
        raise ValueError(f"kernel={kernel}: expected an even number from 2 on")
    layer = nn.ConvTranspose2d(in_channels, out_channels, kernel, 2, kernel // 2 - 1)
    taps = (kernel // 2) ** 2  # that meet in a place
    nn.init.normal_(layer.weight, std=(1 / (in_channels * taps)) ** 0.5)
    return layer


class Around(nn.Module):
    """What `inner` makes of its input, stretched to its size, and behind it the input itself.

    Args:
        inner: of any stride.
    """

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C' + C, F, L]."""
        return torch.cat([fitted(self.inner(x), x.shape[2:]), x], dim=1)
