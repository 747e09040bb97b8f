"""What every image network is: a stem, stages one after the other, and a head for classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..layers import PictureConv


def he_init(net: nn.Module) -> None:
    """Normal weights of deviation √(2 / fan out) in every convolution.

    Source: He et al. 2015 (1502.01852), eq. 14.
    """
    for module in net.modules():
        if isinstance(module, PictureConv | nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.weight.shape[0] / module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)


class Network(nn.Module):
    """Picture [B, C, F, L] -> features [B, D, F', L'], or logits [B, K] where there is a head.

    Args:
        stem: the first layers.
        stages: the rest, one after the other.
        channels: after the stem and after every stage.
        strides: of the stem and of every stage.
        head: features -> logits; None where only the features are asked for.
        minimum_size: of a picture, [bins, frames].
        auxiliary: heads that only training hears, by the index of the stage they listen to.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
        head: nn.Module | None = None,
        *,
        minimum_size: tuple[int, int] = (1, 1),
        auxiliary: Mapping[int, nn.Module | None] | None = None,
    ):
        super().__init__()
        if not len(stages) + 1 == len(channels) == len(strides):
            raise ValueError(
                f"{len(stages)} stages with {len(channels)} channels and {len(strides)} strides: "
                "expected one of each for the stem and every stage"
            )
        self.stem, self.stages = stem, nn.ModuleList(stages)
        heard = {str(i): made for i, made in (auxiliary or {}).items() if made is not None}
        self.auxiliary, self.head = nn.ModuleDict(heard), head
        self.minimum_size = minimum_size
        self.stage_channels, self.stage_strides = tuple(channels), tuple(strides)
        self.out_channels, self.stride = self.stage_channels[-1], math.prod(strides)
        he_init(self)

    def features(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> [B, D, F', L'], about F / stride and L / stride.

        Raises:
            ValueError: the picture is smaller than `minimum_size`.
        """
        return self.heard(picture, auxiliary=False)[0]

    def maps(self, picture: Tensor) -> list[Tensor]:
        """picture [B, C, F, L] -> what the stem and every stage give, finest first.

        Their channels are `stage_channels`; each has the stride of all before it.

        Raises:
            ValueError: the picture is smaller than `minimum_size`.
        """
        self.check(picture)
        maps = [self.stem(picture)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def all_logits(self, picture: Tensor) -> list[Tensor]:
        """picture [B, C, F, L] -> logits [B, K] of the head, then of the auxiliary heads.

        Raises:
            ValueError: the network has no head, or the picture is smaller than `minimum_size`.
        """
        if self.head is None:
            raise ValueError("n_classes=0: expected a network with a head; name its n_classes")
        x, heard = self.heard(picture)
        return [self.head(x), *heard]

    def heard(self, picture: Tensor, auxiliary: bool = True) -> tuple[Tensor, list[Tensor]]:
        """picture [B, C, F, L] -> features [B, D, F', L'], logits [B, K] of the auxiliary heads.

        Args:
            picture: [B, C, F, L]
            auxiliary: False to leave the heads out.

        Raises:
            ValueError: the picture is smaller than `minimum_size`.
        """
        self.check(picture)
        x, logits = self.stem(picture), []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if auxiliary and str(i) in self.auxiliary:
                logits.append(self.auxiliary[str(i)](x))
        return x, logits

    def check(self, picture: Tensor) -> None:
        """Refuse a picture that is too small.

        Raises:
            ValueError: the picture is smaller than `minimum_size`.
        """
        size = tuple(picture.shape[2:])
        if size[0] < self.minimum_size[0] or size[1] < self.minimum_size[1]:
            raise ValueError(
                f"picture has {size[0]} bins and {size[1]} frames: expected at least "
                f"{self.minimum_size[0]} and {self.minimum_size[1]}; "
                "take more bins, a longer clip, or a network with less stride"
            )

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> features [B, D, F', L'], with a head logits [B, K]."""
        x = self.features(picture)
        return x if self.head is None else self.head(x)


class Together(nn.Module):
    """Networks of one kind, each with weights of its own, which look at the same picture.

    Args:
        nets: one or more.
    """

    def __init__(self, nets: Sequence[Network]):
        super().__init__()
        self.nets, one = nn.ModuleList(nets), nets[0]
        self.minimum_size, self.stride = one.minimum_size, one.stride
        self.stage_channels, self.stage_strides = one.stage_channels, one.stage_strides
        self.out_channels = one.out_channels * len(nets)

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> features [B, M D, F', L'], of one network after the other."""
        return torch.cat([net(picture) for net in self.nets], dim=1)


class LinearHead(nn.Module):
    """Mean over frequency and time, dropout, one linear layer: features -> logits.

    Args:
        channels: of the features (D).
        n_classes: K.
        dropout: share of the means that training leaves out.
        before: what the features pass first, such as a norm and an activation.
        after: what the means [B, D, 1, 1] pass, such as a norm.
    """

    def __init__(
        self,
        channels: int,
        n_classes: int,
        dropout: float = 0.0,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
    ):
        super().__init__()
        self.before = nn.Identity() if before is None else before
        self.after = nn.Identity() if after is None else after
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> logits [B, K]."""
        means = self.after(self.before(features).mean(dim=(2, 3), keepdim=True))
        y: Tensor = self.linear(self.dropout(means.flatten(1)))
        return y


def head_of(channels: int, n_classes: int, dropout: float = 0.0) -> LinearHead | None:
    """The head most networks have; none for no classes."""
    return LinearHead(channels, n_classes, dropout) if n_classes else None


def companions(network: Network, n_classes: int) -> nn.ModuleDict:
    """Heads for `network.auxiliary`: one on every stage but the last.

    Source: Lee et al. 2014 (1409.5185), section 2. Differs: means and a linear layer in the place
    of an SVM on all points.

    Raises:
        ValueError: the network has one stage only.
    """
    channels = network.stage_channels[1:-1]
    if not channels:
        raise ValueError("companions=True: expected a backbone of two stages or more")
    return nn.ModuleDict({str(i): LinearHead(c, n_classes) for i, c in enumerate(channels)})
