"""Weights of a network of the same structure, tensor by tensor in the order of definition."""

from collections.abc import Mapping

from torch import Tensor, nn


def in_order(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """The tensors of a published network under the names of ours.

    Published image networks differ in names and agree in order, so that no list of names is
    needed where our modules are defined in that order. Linear layers and 1x1 convolutions are the
    same numbers in another shape.

    Args:
        state: of the published network, as its `state_dict` gives it.
        net: ours; only the shapes are looked at.

    Raises:
        ValueError: there are more or fewer tensors, or a pair differs in shape; both are named.
    """
    expected = net.state_dict()
    if len(state) != len(expected):
        raise ValueError(
            f"state has {len(state)} tensors: expected the {len(expected)} of {type(net).__name__}"
        )
    found = {}
    for (theirs, given), (ours, wanted) in zip(state.items(), expected.items(), strict=True):
        flat = [n for n in given.shape if n != 1], [n for n in wanted.shape if n != 1]
        if flat[0] != flat[1]:
            raise ValueError(
                f"{theirs} has shape {list(given.shape)}: expected {list(wanted.shape)}, as {ours}"
            )
        found[ours] = given.reshape(wanted.shape)
    return found
