"""Convolutions whose weights another network makes: static hypernetworks.

Source: Ha et al. 2016 (1609.09106), section 3.1, eq. 2 and 3, and section 4.2 for larger kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import PADDING, convolve


class KernelGenerator(nn.Module):
    """Two linear layers from an embedding to a tile [tile, tile, k, k] of a convolution's weight.

    Args:
        tile: channels in and out of a tile.
        embedding: numbers that a tile is made from.
        kernel_size: k.
    """

    def __init__(self, tile: int = 16, embedding: int = 64, kernel_size: int = 3):
        super().__init__()
        self.tile, self.embedding, self.kernel_size = tile, embedding, kernel_size
        self.inner = nn.Linear(embedding, tile * embedding)  # W_i and B_i
        self.outer = nn.Linear(embedding, tile * kernel_size**2)  # W_out and B_out
        for layer in (self.inner, self.outer):
            nn.init.normal_(layer.weight, std=embedding**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings [..., E] -> tiles [..., in, out, k, k]."""
        rows = self.inner(embeddings).unflatten(-1, (self.tile, self.embedding))
        k = self.kernel_size
        tiles: Tensor = self.outer(rows).unflatten(-1, (self.tile, k, k))
        return tiles


class HyperConv(nn.Module):
    """`PictureConv` without weights but an embedding for each tile of its kernel.

    The generator is shared, so it is not a part of this layer: its owner is the network.

    Args:
        generator: makes the tiles.
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: the generator's.
        stride: (frequency, time) or one number.
        groups: 1.
        bias: False.
        padding: one of PADDING.

    Raises:
        ValueError: the kernel is not the generator's, or groups or a bias are asked for.
    """

    def __init__(
        self,
        generator: KernelGenerator,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        padding: str = "same",
    ):
        super().__init__()
        if kernel_size != generator.kernel_size or groups != 1 or bias or padding not in PADDING:
            raise ValueError(
                f"kernel_size={kernel_size}, groups={groups}, bias={bias}, padding={padding!r}: "
                f"expected {generator.kernel_size}, 1, False and one of {', '.join(PADDING)}"
            )
        self.shape, self.kernel_size = (in_channels, out_channels), generator.kernel_size
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.padding, self._generator = padding, [generator]  # in a list it is not registered
        # every point sums in_channels * k * k products of a kernel that has variance std²
        tiles = [-(-channels // generator.tile) for channels in self.shape]
        std = (2 / (out_channels * generator.kernel_size**2)) ** 0.5
        self.embedding = nn.Parameter(std * torch.randn(*tiles, generator.embedding))

    def kernel(self) -> Tensor:
        """The weight [out, in, k, k] of the convolution."""
        tiles = self._generator[0](self.embedding)  # [a, b, in, out, k, k]
        tiles = tiles.permute(1, 3, 0, 2, 4, 5)
        whole: Tensor = tiles.flatten(2, 3).flatten(0, 1)
        return whole[: self.shape[1], : self.shape[0]]

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        return convolve(x, self.kernel(), stride=self.stride, padding=self.padding)
