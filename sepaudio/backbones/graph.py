"""A network is a stem and stages of steps, a head, and auxiliary heads: `graph` builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from torch import nn

from .network import Network
from .steps import Steps, least, sequence, stride

Head: TypeAlias = Callable[[int], nn.Module | None]  # channels of the features -> head


def graph(
    stem: Steps,
    stages: Sequence[Steps],
    in_channels: int,
    head: Head = lambda channels: None,
    auxiliary: Mapping[int, Head] | None = None,
) -> Network:
    """The network of steps.

    Args:
        stem: the first steps.
        stages: the others.
        in_channels: of the picture.
        head: makes the head.
        auxiliary: makes auxiliary heads, by the index of the stage whose output they hear.
    """
    parts, channels = [], [in_channels]
    for steps in (stem, *stages):
        part, out = sequence(steps, channels[-1])
        parts.append(part)
        channels.append(out)
    whole = tuple(step for steps in (stem, *stages) for step in steps)
    return Network(
        parts[0],
        parts[1:],
        channels[1:],
        [stride(steps) for steps in (stem, *stages)],
        head(channels[-1]),
        minimum_size=(least(whole, axis=0), least(whole, axis=1)),
        auxiliary={i: make(channels[i + 2]) for i, make in (auxiliary or {}).items()},
    )
