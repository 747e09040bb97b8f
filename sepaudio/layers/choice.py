"""A place in a network for which a search finds the layer.

Sources: Wu et al. 2018 (1812.03443), section 3.3; Jang et al. 2016 (1611.01144), section
2, with 2.2 for hard samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Choice(nn.Module):
    """One of several layers, or a weighted sum of all of them while it is open which.

    y = Σ w_i f_i(x). Without `draw` and `choose` before it, it is the likeliest layer alone.

    Attributes:
        logits: [N] of the probabilities of the layers.
        weights: [N] w of the next forward; None for the likeliest layer alone.

    Args:
        options: layers that take and give the same shapes, by their names.
    """

    def __init__(self, options: Mapping[str, nn.Module]):
        super().__init__()
        if not options:
            raise ValueError("no options: expected one layer or more")
        self.names = tuple(options)
        self.options = nn.ModuleList(options.values())
        self.logits = nn.Parameter(torch.zeros(len(options)))
        self.weights: Tensor | None = None

    def draw(self, temperature: float, hard: bool = False) -> None:
        """Weights from Gumbel-softmax: near one layer when cold, near the mean of all when hot.

        Draws from torch's generator.

        Args:
            temperature: above 0.
            hard: weights are 1 and 0, but have the gradient of the soft ones.

        Raises:
            ValueError: the temperature is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: expected more than 0")
        self.weights = F.gumbel_softmax(self.logits, temperature, hard=hard)

    def choose(self, index: int) -> None:
        """Weight 1 for one layer, 0 for the others, which then are not computed."""
        self.weights = F.one_hot(torch.tensor(index), len(self.options)).to(self.logits)

    def forward(self, x: Tensor) -> Tensor:
        """X [B, C, F, L] -> [B, C', F', L']."""
        weights = self.weights
        if weights is None:
            layer: Tensor = self.options[int(self.logits.argmax())](x)
            return layer
        used = range(len(self.options)) if weights.requires_grad else weights.nonzero()[:, 0]
        total = [weights[i] * self.options[int(i)](x) for i in used]
        y: Tensor = reduce(torch.add, total)
        return y


def choices(model: nn.Module) -> dict[str, Choice]:
    """The open places of a network, in the order of its layers."""
    return {name: part for name, part in model.named_modules() if isinstance(part, Choice)}
