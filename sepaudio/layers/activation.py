"""Activations by name."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "prelu": nn.PReLU,
    "leaky_relu": nn.LeakyReLU,
    "leaky_relu_tenth": lambda: nn.LeakyReLU(0.1),
    "swish": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
}


def activation(name: str) -> nn.Module:
    """The activation called `name`, as a module of its own.

    Raises:
        ValueError: no activation has that name; the message lists them.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r}: expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softmax": lambda x: torch.softmax(x, dim=1),
    "tanh": torch.tanh,
    "none": lambda x: x,
}


def masks_of(name: str) -> Callable[[Tensor], Tensor]:
    """From any numbers [B, S, N, L] to masks; softmax shares each point out among the sources.

    Raises:
        ValueError: no mask has that name; the message lists them.
    """
    if name not in MASKS:
        raise ValueError(f"mask={name!r}: expected one of {', '.join(MASKS)}")
    return MASKS[name]
