"""A convolution that hears itself: its output comes back through a second one, some times.

Source: Liang & Hu 2015 (recurrent convolutional layer), equations 1 and 2.
"""

from torch import Tensor, nn

from .conv import PictureConv
from .norm import MaskedBatchNorm


class RecurrentConv(nn.Module):
    """x(t) = ReLU(norm_t(W u + V x(t - 1))), x before the first turn being nothing.

    Its neighbourhood grows with every turn, its weights do not; each turn has a norm of its own.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number.
        turns: T; 0 is a convolution, a norm and an activation.

    Differs: a batch norm in the place of the paper's local response normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        turns: int = 3,
    ):
        super().__init__()
        self.forth = PictureConv(in_channels, out_channels, kernel_size, bias=False)
        self.norms = nn.ModuleList(MaskedBatchNorm(out_channels) for _ in range(turns + 1))
        self.act = nn.ReLU()
        self.back = (
            PictureConv(out_channels, out_channels, kernel_size, bias=False) if turns else None
        )

    def forward(self, u: Tensor) -> Tensor:
        """u [B, C, F, L] -> [B, C', F, L]."""
        first, *others = self.norms
        given = self.forth(u)
        x: Tensor = self.act(first(given))
        for norm in others:
            assert self.back is not None
            x = self.act(norm(given + self.back(x)))
        return x
