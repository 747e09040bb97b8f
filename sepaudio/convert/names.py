"""Foreign names of weights to ours, by rules, and nothing lost on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

SHOWN = 3  # names in a message


def load_renamed(model: nn.Module, state: Mapping[str, Any], rules: Mapping[str, str]) -> None:
    """Load foreign weights into a model.

    Args:
        model: takes them; every weight of its own must be among them.
        state: foreign name to tensor.
        rules: pattern of a whole foreign name to our name, as `re.sub` takes them.

    Raises:
        ValueError: a weight is missing, unknown or of another shape; the message names it.
    """
    wanted = model.state_dict()
    theirs = {ours_of(name, rules) or name: name for name in state}
    unknown = [name for ours, name in theirs.items() if ours not in wanted]
    missing = [name for name in wanted if name not in theirs]
    if unknown or missing:
        raise ValueError(
            f"weights do not fit {type(model).__name__}: unknown are {_some(unknown)}, missing "
            f"are {_some(missing)} (our names); expected those of the whole network, all of it"
        )
    for ours, name in theirs.items():
        value = state[name]
        if not isinstance(value, Tensor) or value.shape != wanted[ours].shape:
            shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} has shape {shape}: expected {list(wanted[ours].shape)}")
    model.load_state_dict({ours: state[name] for ours, name in theirs.items()})


def ours_of(name: str, rules: Mapping[str, str]) -> str | None:
    r"""Our name of a foreign weight; None where no rule has one.

    >>> ours_of("TCN.3.skip_conv.bias", {r"TCN\.(\d+)\.skip_conv\.(\w+)": r"skips.\1.\2"})
    'skips.3.bias'
    """
    for pattern, ours in rules.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    return None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more
