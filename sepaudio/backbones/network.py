"""What every image network is: a stem, stages one after the other, and a head for classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        strides: Sequence[int],
        head: nn.Module | None = None,
    ):
        super().__init__()
        if not len(stages) + 1 == len(channels) == len(strides):
            raise ValueError(
                f"{len(stages)} stages with {len(channels)} channels and {len(strides)} strides: "
                "expected one of each for the stem and every stage"
            )
        self.stem, self.stages, self.head = stem, nn.ModuleList(stages), head
        self.stage_channels, self.stage_strides = tuple(channels), tuple(strides)
        self.out_channels, self.stride = self.stage_channels[-1], math.prod(strides)
        he_init(self)

    def features(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> [B, D, F', L'], about F / stride and L / stride."""
        x: Tensor = self.stem(picture)
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, picture: Tensor) -> Tensor:
        """picture [B, C, F, L] -> features [B, D, F', L'], with a head logits [B, K]."""
        x = self.features(picture)
        return x if self.head is None else self.head(x)


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
