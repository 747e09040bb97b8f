"""Averaged weights, which a run keeps in the place of its last ones."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def averaging(mean: nn.Module, new: nn.Module) -> Callable[[float], None]:
    """What moves `mean` towards `new`, given how much of it stays; whole numbers are copied.

    Both lie where they will stay: what their states hold is looked up once, not at every step.
    """
    states = (m.state_dict().values() for m in (mean, new))
    pairs = list(zip(*states, strict=True))
    mixed = [(m, n) for m, n in pairs if m.is_floating_point()]
    others = [(m, n) for m, n in pairs if not m.is_floating_point()]

    def average(decay: float) -> None:
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(*map(list, zip(*mixed, strict=True)), None)  # type: ignore[no-untyped-call]
            for m, n in others:
                m.copy_(n)

    return average
