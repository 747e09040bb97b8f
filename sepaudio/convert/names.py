"""A state dict under other names, checked tensor by tensor."""

from collections.abc import Mapping

import torch
from torch import Tensor

COUNTER = "num_batches_tracked"


def renamed(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], theirs: Mapping[str, str]
) -> dict[str, Tensor]:
    """The tensors of `state` under our names.

    Args:
        state: published tensors.
        expected: ours, of which only the shapes are looked at.
        theirs: the published name of each of ours.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    state = dict(state)
    for name in theirs.values():
        if name.endswith(COUNTER):  # files from before torch 0.4.1 have none; inference needs none
            state.setdefault(name, torch.zeros((), dtype=torch.long))
    known = set(theirs.values())
    unknown = [name for name in state if name not in known]
    missing = [name for name in theirs.values() if name not in state]
    if unknown or missing:
        raise ValueError(
            f"state has {_some(unknown)} unknown and {_some(missing)} missing; "
            "expected the weights of the published network of this name"
        )
    for name, value in expected.items():
        found = state[theirs[name]]
        if not isinstance(found, Tensor):
            kind = type(found).__name__
            raise ValueError(f"{theirs[name]} is a {kind}: expected a tensor; save it again")
        if found.shape != value.shape:
            raise ValueError(
                f"{theirs[name]} has shape {list(found.shape)}: expected {list(value.shape)}"
            )
    return {name: state[theirs[name]] for name in expected}


def _some(names: list[str]) -> str:
    """How many names, and the first three."""
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({first})" if names else "0"
