"""Weights of the authors' ESResNet and ESResNe(X)t-fbsp -> those of our `models/esresnet.py`.

Their repositories are ESResNet (commit 138c073) and ESResNeXt-fbsp (commit 7c1488a); a published
file is read with torch.load(path, weights_only=True).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .. import registry
from .imagenet import published_name
from .names import renamed

ATTENTION = {"depthwise": "conv_depth", "pointwise": "conv_point", "norm": "bn"}
FBSP = {"order": "m", "bandwidth": "fb", "centre": "fc"}


def esresnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ESResNet or ESResNetAttention -> those of `esresnet` or `esresnet_attention`.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _converted(state, "esresnet", "classifier")


def esresnext_fbsp(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ESResNeXtFBSP -> those of `esresnext_fbsp`, with attention=False if it has none.

    Raises:
        ValueError: a tensor is missing, unknown or of another shape; the message names it.
    """
    return _converted(state, "esresnext_fbsp", "fc")


def from_esresnet(
    state: dict[str, Tensor], *, labels: Sequence[str] | None = None, channels: int = 1
) -> nn.Module:
    """A network of the authors as ours; the weights show which of theirs it is.

    Args:
        state: its state dict.
        labels: of the classes, in the order of its logits; by default those of ESC-50 for 50
            classes, else their numbers.
        channels: of the sound that it is for, 1 or 2; the weights do not show it.

    Raises:
        ValueError: it is no such network, or the labels are not as many as its classes.
    """
    name, head = ("esresnext_fbsp", "fc") if "fc.bias" in state else ("esresnet", "classifier")
    weights = _converted(state, name, head)
    attention, n = any(key.startswith("attention") for key in weights), len(weights["head.bias"])
    if labels is None:
        esc50 = registry.config(name).labels
        labels = esc50 if n == len(esc50) else [str(i) for i in range(n)]
    if isinstance(labels, str) or len(labels) != n:
        raise ValueError(f"labels={labels!r}: expected a list of {n}, one a class")
    if attention and name == "esresnet":
        name = "esresnet_attention"
    cfg = {"labels": tuple(labels), "attention": attention, "channels": channels}
    model = registry.create(name, **cfg)
    model.load_state_dict(weights)
    return model


def _converted(state: Mapping[str, Tensor], name: str, head: str) -> dict[str, Tensor]:
    if f"{head}.bias" not in state:
        raise ValueError(f"state has no {head}.bias: expected the weights of a published {name}")
    labels = tuple(str(i) for i in range(len(state[f"{head}.bias"])))
    attention = any(key.startswith("att") for key in state)
    with torch.device("meta"):
        expected = registry.create(name, labels=labels, attention=attention).state_dict()
    theirs = {ours: their_name(ours, head) for ours in expected}
    weights = {key: value for key, value in state.items() if key != "window"}  # a constant here
    if not weights.get("fbsp.bias", torch.ones(1)).numel():  # one that is switched off
        del weights["fbsp.bias"]
    return renamed(weights, expected, theirs)


def their_name(name: str, head: str) -> str:
    """Published name of a tensor of ours.

    >>> their_name("attention.0.norm.bias", "fc")
    'att1.bn.bias'
    """
    room, _, rest = name.partition(".")
    if room == "backbone":
        return published_name(rest)
    if room == "head":
        return f"{head}.{rest}"
    if room == "attention":
        i, part, leaf = rest.split(".")
        return f"att{int(i) + 1}.{ATTENTION[part]}.{leaf}"
    return f"fbsp.{FBSP[name.rpartition('.')[2]]}"
