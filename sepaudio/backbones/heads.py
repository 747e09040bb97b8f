"""Heads other than the mean and one linear layer: features -> logits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..layers import activation


class DenseHead(nn.Module):
    """Linear layers over a whole picture of one size, to which any other is averaged.

    Each hidden layer is followed by an activation and dropout. A picture of just that size passes
    unchanged, so that the head is the published one there.

    Args:
        channels: of the features (D).
        size: (F, L) that the first linear layer expects.
        hidden: units of the hidden layers.
        n_classes: K.
        act: a key of ACTIVATIONS.
        dropout: share of the units that training leaves out.
        first: a layer between the averaging and the first linear layer.
        channels_after: of that layer.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        hidden: Sequence[int],
        n_classes: int,
        *,
        act: str = "relu",
        dropout: float = 0.0,
        first: nn.Module | None = None,
        channels_after: int = 0,
    ):
        super().__init__()
        self.size = nn.AdaptiveAvgPool2d(size)
        self.first = nn.Identity() if first is None else first
        width, layers = (channels_after or channels) * size[0] * size[1], list[nn.Module]()
        for units in hidden:
            layers += [nn.Linear(width, units), activation(act), nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_classes))

    def forward(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> logits [B, K]."""
        y: Tensor = self.layers(torch.flatten(self.first(self.size(features)), 1))
        return y


class MapHead(nn.Module):
    """A 1x1 convolution to one map per class; the logit is the mean of its map.

    Source: Lin et al. 2013 (1312.4400), section 3.2.

    Args:
        channels: of the features (D).
        n_classes: K.
        dropout: share of the features that training leaves out.
        act: of the maps.
    """

    def __init__(self, channels: int, n_classes: int, dropout: float = 0.0, act: str = "relu"):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(channels, n_classes, 1)
        self.act = activation(act)

    def maps(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> maps [B, K, F, L]: where each class is heard."""
        y: Tensor = self.act(self.conv(self.dropout(features)))
        return y

    def forward(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> logits [B, K]."""
        return self.maps(features).mean(dim=(2, 3))


class EmbeddingHead(nn.Module):
    """Mean over frequency and time, a normalised embedding, and one linear layer.

    Args:
        channels: of the features (D).
        embedding: its size (E).
        n_classes: K.
        dropout: share of the means that training leaves out.
        eps: of the embedding's batch norm.
    """

    def __init__(
        self,
        channels: int,
        embedding: int,
        n_classes: int,
        dropout: float = 0.0,
        eps: float = 1e-5,
    ):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(channels, embedding, bias=False)
        self.norm = nn.BatchNorm1d(embedding, eps=eps)
        self.linear = nn.Linear(embedding, n_classes)

    def embedding(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> embedding [B, E]."""
        y: Tensor = self.norm(self.embed(self.dropout(features.mean(dim=(2, 3)))))
        return y

    def forward(self, features: Tensor) -> Tensor:
        """features [B, D, F, L] -> logits [B, K]."""
        y: Tensor = self.linear(self.embedding(features))
        return y
