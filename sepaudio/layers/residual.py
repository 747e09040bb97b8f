"""Residual blocks: a shortcut and a branch of convolutions, in any of five orderings.

Sources: He et al. 2015 (1512.03385), figure 5; He et al. 2016 (1603.05027), figure 4; Xie et al.
2016 (1611.05431), figure 3c; Zagoruyko & Komodakis 2016 (1605.07146), figure 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from .activation import activation
from .conv import PictureConv
from .norm import picture_norm
from .regularise import DropPath
from .unit import ConvUnit

# What comes before the first convolution, after the last one, and after the sum. Between two
# convolutions there always is a norm and an activation.
ORDERINGS = {
    "original": ("", "norm", "act"),
    "norm after addition": ("", "", "norm act"),
    "act before addition": ("", "norm act", ""),
    "act only": ("act", "norm", ""),
    "full pre-activation": ("norm act", "", ""),
}


@dataclass(frozen=True)
class Conv:
    """One convolution of a branch, as data; see `PictureConv`."""

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    groups: int = 1


def basic(channels: int, stride: int = 1) -> tuple[Conv, ...]:
    """Two 3x3 convolutions."""
    return Conv(channels, 3, stride), Conv(channels, 3)


def bottleneck(
    inner: int, channels: int, stride: int = 1, groups: int = 1, stride_first: bool = False
) -> tuple[Conv, ...]:
    """1x1 to `inner` channels, 3x3, 1x1 to `channels`.

    Args:
        inner: channels of the 3x3 convolution; a quarter of `channels` in ResNet.
        channels: channels out.
        stride: of the block.
        groups: of the 3x3 convolution; ResNeXt's cardinality.
        stride_first: the first 1x1 takes the stride, as in the paper; the 3x3 does in all
            published weights ("v1.5").
    """
    before, within = (stride, 1) if stride_first else (1, stride)
    return Conv(inner, 1, before), Conv(inner, 3, within, groups), Conv(channels)


class Residual(nn.Module):
    """after(shortcut(x) + branch(before(x))).

    A shortcut that is no identity sees before(x), as pre-activation has it.

    Args:
        branch: what is added.
        shortcut: for branches that change the shape; None for the input itself.
        before: what the branch and a shortcut with weights have in common.
        after: follows the sum.
        drop: of the branch, see `DropPath`.
    """

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module | None = None,
        *,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
        drop: DropPath | None = None,
    ):
        super().__init__()
        self.before = before or nn.Identity()
        self.branch, self.drop = branch, drop or DropPath()
        self.shortcut, self.after = shortcut, after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        y = self.before(x)
        way = x if self.shortcut is None else self.shortcut(y)
        total: Tensor = self.after(way + self.drop.of(self.branch, y))
        return total


class Summed(nn.Module):
    """Several branches on the same input, added up.

    Source: Abdi & Nahavandi 2016 (1609.05672), eq. 7.
    """

    def __init__(self, branches: Sequence[nn.Module]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', F', L']."""
        first, *others = (branch(x) for branch in self.branches)
        total: Tensor = sum(others, first)
        return total


class PadShortcut(nn.Module):
    """Means over stride x stride points, and channels of zeros to fill up; without weights.

    Source: He et al. 2015 (1512.03385), section 3.3, option A; the mean is RevNet's.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.stride, self.more = stride, out_channels - in_channels
        if self.more < 0:
            raise ValueError(
                f"{in_channels} channels in, {out_channels} out: expected at least as many out; "
                "use a shortcut with weights"
            )

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L] -> [B, C', ceil(F / stride), ceil(L / stride)]."""
        if self.stride > 1:  # at the edges of odd sizes the mean is that of fewer points
            x = F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
        half = self.more // 2
        return F.pad(x, (0, 0, 0, 0, half, self.more - half))


def preceding(what: str, channels: int, norm: str = "batch", act: str = "relu") -> nn.Module:
    """A norm, an activation, both or none; `what` is "norm act", "norm", "act" or ""."""
    made = {"norm": lambda: picture_norm(norm, channels), "act": lambda: activation(act)}
    steps = [made[step]() for step in what.split()]
    return nn.Sequential(*steps) if steps else nn.Identity()


def branch_of(
    in_channels: int,
    convs: Sequence[Conv],
    ordering: str = "original",
    *,
    norm: str = "batch",
    act: str = "relu",
    dropout: float = 0.0,
    conv: Callable[..., nn.Module] = PictureConv,
) -> nn.Sequential:
    """The convolutions of a block with a norm and an activation between them.

    Args:
        in_channels: channels in.
        convs: one after the other.
        ordering: a key of ORDERINGS; says what follows the last one.
        norm: a key of PICTURE_NORMS.
        act: a key of ACTIVATIONS.
        dropout: before the last convolution.
        conv: makes a convolution, called as PictureConv.
    """
    last, units = ORDERINGS[ordering][1].split(), nn.Sequential()
    for n, spec in enumerate(convs):
        inner = n < len(convs) - 1
        if dropout and not inner:
            units.append(nn.Dropout(dropout))
        units.append(
            ConvUnit(
                in_channels,
                spec.channels,
                spec.kernel,
                spec.stride,
                groups=spec.groups,
                norm=norm if inner or "norm" in last else "none",
                act=act if inner or "act" in last else "none",
                bias=False,
                conv=conv,
            )
        )
        in_channels = spec.channels
    return units


def residual(
    in_channels: int,
    convs: Sequence[Conv],
    ordering: str = "original",
    *,
    norm: str = "batch",
    act: str = "relu",
    squeeze: nn.Module | None = None,
    dropout: float = 0.0,
    drop: DropPath | None = None,
    branches: int = 1,
    conv: Callable[..., nn.Module] = PictureConv,
) -> Residual:
    """The residual block of some convolutions.

    Where shape changes, the shortcut is a 1x1 convolution, with a norm where there is one after
    the branch's last convolution.

    Args:
        in_channels: channels in.
        convs: of the branch, see `basic` and `bottleneck`.
        ordering: a key of ORDERINGS.
        norm: a key of PICTURE_NORMS.
        act: a key of ACTIVATIONS.
        squeeze: what the branch ends with, such as a squeeze-and-excitation.
        dropout: before the last convolution of the branch.
        drop: of the branch.
        branches: how many of them there are; each then has a norm of its own before it, and a
            shortcut with weights sees the input without one.
        conv: makes a convolution of a branch, called as PictureConv.

    Raises:
        ValueError: no ordering has that name.
    """
    if ordering not in ORDERINGS:
        raise ValueError(f"ordering={ordering!r}: expected one of {', '.join(ORDERINGS)}")
    first, last, after = ORDERINGS[ordering]
    channels, stride = convs[-1].channels, 1
    for spec in convs:
        stride *= spec.stride

    def before() -> nn.Module:
        return preceding(first, in_channels, norm, act)

    def branch() -> nn.Sequential:
        return branch_of(
            in_channels, convs, ordering, norm=norm, act=act, dropout=dropout, conv=conv
        )

    shared, made = before() if branches == 1 else nn.Identity(), branch()
    if branches > 1:
        each = [nn.Sequential(before(), *made)]
        each += [nn.Sequential(before(), *branch()) for _ in range(branches - 1)]
        made = nn.Sequential(Summed(each))
    if squeeze is not None:
        made.append(squeeze)
    way = None
    if stride > 1 or in_channels != channels:
        kind = norm if "norm" in last else "none"
        way = ConvUnit(in_channels, channels, 1, stride, norm=kind, act="none", bias=False)
    return Residual(
        made, way, before=shared, after=preceding(after, channels, norm, act), drop=drop
    )
