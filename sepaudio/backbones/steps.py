"""Steps that networks are written down in: convolutions, pools, forks into branches of steps.

A step is a value that knows three things: the layer it stands for, the stride of that layer, and
how many places of input it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import nn

from ..layers import (
    Branches,
    ConvUnit,
    FrozenSum,
    MaskedBatchNorm,
    SameMaxPool,
    activation,
    picture_norm,
)
from .table import wide

Size: TypeAlias = int | tuple[int, int]  # of (frequency, time), or of both


class Step(Protocol):
    """One layer, or several that belong together."""

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """The layer and its channels out, for so many in; the branch began with `before`."""

    def stride(self) -> int:
        """Places of input per place of output."""

    def least(self, places: int, axis: int) -> int:
        """Places of input that are needed for so many of output, over frequency 0 or time 1."""


Steps: TypeAlias = tuple[Step, ...]


def _along(size: Size, axis: int) -> int:
    return size if isinstance(size, int) else size[axis]


@dataclass(frozen=True)
class Conv:
    """A `ConvUnit`.

    Attributes:
        channels: out; None for as many as came into the branch.
        kernel: of the convolution.
        step: its stride.
        groups: 0 for as many as channels come in: depthwise, with `channels` not looked at.
        padding: see `PictureConv`.
        norm: see `ConvUnit`, as what follows.
        act: of the unit.
        order: of the unit.
        bias: of the unit.
        eps: of the unit.
    """

    channels: int | None = wide(None)
    kernel: Size = 1
    step: int = 1
    groups: int = 1
    padding: str = "same"
    norm: str = "batch"
    act: str = "relu"
    order: str = "conv norm act"
    bias: bool | None = None
    eps: float = 1e-5

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        out = before if self.channels is None else self.channels
        out = channels if not self.groups else out
        unit = ConvUnit(
            channels,
            out,
            self.kernel,
            self.step,
            groups=self.groups or channels,
            norm=self.norm,
            act=self.act,
            order=self.order,
            bias=self.bias,
            eps=self.eps,
            padding=self.padding,
        )
        return unit, out

    def stride(self) -> int:
        """See `Step`."""
        return self.step

    def least(self, places: int, axis: int) -> int:
        """See `Step`."""
        kernel = _along(self.kernel, axis)
        padded = 0 if self.padding == "valid" else kernel - 1
        return max(1, (places - 1) * self.step + kernel - padded)


@dataclass(frozen=True)
class Pool:
    """Maximum or mean over a window.

    Attributes:
        kind: "max", "mean", or "same max", see `SameMaxPool`.
        kernel: of the window.
        step: its stride.
        padding: on each side.
        ceil: a last window that begins inside the picture and ends beyond counts too.
        count_padding: the mean counts padding as zeros.
    """

    kind: str
    kernel: int
    step: int
    padding: int = 0
    ceil: bool = False
    count_padding: bool = True

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        if self.kind == "same max":
            return SameMaxPool(self.kernel, self.step), channels
        sizes = (self.kernel, self.step, self.padding)
        if self.kind == "max":
            return nn.MaxPool2d(*sizes, ceil_mode=self.ceil), channels
        return nn.AvgPool2d(*sizes, self.ceil, self.count_padding), channels

    def stride(self) -> int:
        """See `Step`."""
        return self.step

    def least(self, places: int, axis: int) -> int:
        """See `Step`."""
        if self.kind == "same max":
            return (places - 1) * self.step + 1
        reach = self.kernel - 2 * self.padding
        if not self.ceil:
            return max(1, (places - 1) * self.step + reach)
        begins = (places - 1) * self.step - self.padding + 1
        return max(1, (places - 2) * self.step + reach + 1, begins if places > 1 else 1)


@dataclass(frozen=True)
class Pad:
    """Zeros on each side, for convolutions whose padding follows no rule."""

    size: int

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        return nn.ZeroPad2d(self.size), channels

    def stride(self) -> int:
        """See `Step`."""
        return 1

    def least(self, places: int, axis: int) -> int:
        """See `Step`."""
        return max(1, places - 2 * self.size)


def _one(step: object) -> int:
    """The stride of what changes no size; see `Step`."""
    return 1


def _same(step: object, places: int, axis: int) -> int:
    """The input that it needs; see `Step`."""
    return places


@dataclass(frozen=True)
class Norm:
    """A norm, and an activation after it.

    Attributes:
        name: see `picture_norm`; or "batch_plain", batch norm without gain and bias.
        act: a key of ACTIVATIONS.
        eps: of the norm.
    """

    name: str = "batch"
    act: str = "none"
    eps: float = 1e-5
    stride, least = _one, _same

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        if self.name == "batch_plain":
            norm: nn.Module = MaskedBatchNorm(channels, eps=self.eps, affine=False)
        else:
            norm = picture_norm(self.name, channels, self.eps)
        return nn.Sequential(norm, activation(self.act)), channels


@dataclass(frozen=True)
class Dropout:
    """Zeros for a share of the values in training; of whole channels with `whole`."""

    share: float
    whole: bool = False
    stride, least = _one, _same

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        return (nn.Dropout2d if self.whole else nn.Dropout)(self.share), channels


@dataclass(frozen=True)
class Layer:
    """A layer that changes no size, from a function of the channels that come in."""

    layer: Callable[[int], nn.Module]
    channels: int | None = None  # out; None for as many as come in
    stride, least = _one, _same

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        return self.layer(channels), channels if self.channels is None else self.channels


@dataclass(frozen=True)
class Fork:
    """Branches of steps, see `Branches`; a branch without steps is the input itself.

    Attributes:
        branches: each gives pictures of one size.
        combine: see `Branches`, as what follows; or "freeze", "freeze fixed", see `FrozenSum`.
        scale: of all branches but the first.
        act: of the result.
    """

    branches: tuple[Steps, ...]
    combine: str = "concat"
    scale: float = 1.0
    act: str = "none"

    def make(self, channels: int, before: int) -> tuple[nn.Module, int]:
        """See `Step`."""
        made = [sequence(branch, channels) for branch in self.branches]
        branches, widths = [layer for layer, _ in made], [out for _, out in made]
        if self.combine.startswith("freeze"):
            fixed = self.combine == "freeze fixed"
            return nn.Sequential(FrozenSum(branches, fixed=fixed), activation(self.act)), widths[0]
        layer = Branches(branches, self.combine, scale=self.scale, act=self.act)
        return layer, sum(widths) if self.combine == "concat" else widths[0]

    def stride(self) -> int:
        """See `Step`."""
        return max(stride(branch) for branch in self.branches)

    def least(self, places: int, axis: int) -> int:
        """See `Step`."""
        return max(least(branch, places, axis) for branch in self.branches)


def sequence(steps: Steps, channels: int) -> tuple[nn.Module, int]:
    """The layers of steps one after the other, and the channels that come out."""
    made, before = [], channels
    for step in steps:
        layer, channels = step.make(channels, before)
        made.append(layer)
    return nn.Sequential(*made), channels


def stride(steps: Steps) -> int:
    """Places of input per place of output."""
    total = 1
    for step in steps:
        total *= step.stride()
    return total


def least(steps: Steps, places: int = 1, axis: int = 0) -> int:
    """Places of input that are needed for so many of output."""
    for step in reversed(steps):
        places = step.least(places, axis)
    return places
