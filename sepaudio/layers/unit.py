"""Convolution, norm and activation: the unit that image networks are built of."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .activation import activation
from .conv import PictureConv
from .norm import picture_norm

ORDERS = ("conv norm act", "norm act conv", "act conv norm")


class ConvUnit(nn.Module):
    """A convolution with a norm and an activation, in one of three orders.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: (frequency, time) or one number.
        stride: the same of the step.
        groups: groups of channels that do not mix; `in_channels` for a depthwise one.
        norm: a key of PICTURE_NORMS.
        act: a key of ACTIVATIONS.
        order: one of ORDERS.
        bias: of the convolution; by default where no norm follows it.
        eps: of the norm.
        padding: see `PictureConv`.
        conv: makes the convolution, called as PictureConv.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        norm: str = "batch",
        act: str = "relu",
        order: str = "conv norm act",
        bias: bool | None = None,
        eps: float = 1e-5,
        padding: str = "same",
        conv: Callable[..., nn.Module] = PictureConv,
    ):
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"order={order!r}: expected one of {', '.join(ORDERS)}")
        steps = order.split()
        if bias is None:
            bias = norm == "none" or order == "norm act conv"

        def convolution() -> nn.Module:
            return conv(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                groups=groups,
                bias=bias,
                padding=padding,
            )

        normed = in_channels if steps[0] == "norm" else out_channels
        parts: dict[str, Callable[[], nn.Module]] = {
            "conv": convolution,
            "norm": lambda: picture_norm(norm, normed, eps),
        }
        for step in steps:  # modules lie in the order in which they play, as files have them
            self.add_module(step, parts[step]() if step in parts else activation(act))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        for part in self.children():
            x = part(x)
        return x
