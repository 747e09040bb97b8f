"""Conv-TasNet of torchaudio, from its state dict.

All sizes can be seen in the weights. Three things cannot: the mask, the rate, and how many blocks
make a stack.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..layers import TCNCfg
from ..models.convtasnet import ConvTasNet, ConvTasNetCfg
from .names import renamed

MASKS = ("relu", "sigmoid")
BASE = (8, 3)  # blocks a stack and stacks of conv_tasnet_base
PLACES = {
    "encoder.filters": "encoder.weight",
    "decoder.filters": "decoder.weight",
    "norm": "mask_generator.input_norm",
    "bottleneck": "mask_generator.input_conv",
    "mask_act": "mask_generator.output_prelu",
    "mask_conv": "mask_generator.output_conv",
}
BLOCK = {
    "inputs": "conv_layers.0",
    "acts_in": "conv_layers.1",
    "norms_in": "conv_layers.2",
    "depthwise": "conv_layers.3",
    "acts_out": "conv_layers.4",
    "norms_out": "conv_layers.5",
    "residuals": "res_out",
    "skips": "skip_out",
}


def their_name(name: str) -> str:
    """torchaudio's name of a weight of ours.

    >>> their_name("tcn.skips.3.bias")
    'mask_generator.conv_layers.3.skip_out.bias'
    """
    if name in PLACES:
        return PLACES[name]
    place, _, leaf = name.rpartition(".")
    if place in PLACES:
        return f"{PLACES[place]}.{leaf}"
    _, group, number = place.split(".")
    return f"mask_generator.conv_layers.{number}.{BLOCK[group]}.{leaf}"


def from_torchaudio(
    state: dict[str, Any],
    *,
    sample_rate: int | None = None,
    mask: str | None = None,
    n_blocks: int | None = None,
) -> nn.Module:
    """torchaudio's ConvTasNet as ours.

    Its last block has no residual output. Ours has one that nothing hears (`dead_parameters`); its
    weights are set to zero.

    Args:
        state: its `state_dict()`.
        sample_rate: [Hz]; 8000 for the weights that torchaudio publishes.
        mask: relu for conv_tasnet_base and the published weights, sigmoid by the class's default.
        n_blocks: a stack; not needed for a network as deep as conv_tasnet_base.

    Raises:
        ValueError: it is no such state dict, or one of the above is needed.
    """
    if sample_rate is None:
        raise ValueError("sample_rate is not in the file: expected Hz; say sample_rate=8000 or so")
    if mask not in MASKS:
        raise ValueError(
            f"mask={mask!r}: expected relu (conv_tasnet_base, and what torchaudio publishes) or "
            "sigmoid (the class's default); the weights do not show it"
        )
    n_filters, _, kernel_size = _shape(state, "encoder.weight")
    hidden, bottleneck, _ = _shape(state, "mask_generator.conv_layers.0.conv_layers.0.weight")
    taps = _shape(state, "mask_generator.conv_layers.0.conv_layers.3.weight")[-1]
    masks = _shape(state, "mask_generator.output_conv.weight")[0]
    depth = sum(name.endswith(".skip_out.weight") for name in state)
    if n_blocks is None and depth == BASE[0] * BASE[1]:
        n_blocks = BASE[0]
    if n_blocks is None or n_blocks < 1 or depth % n_blocks:
        raise ValueError(
            f"n_blocks={n_blocks}: expected how many of the {depth} blocks make a stack "
            "(msk_num_layers); the weights do not show it"
        )
    cfg = ConvTasNetCfg(
        n_src=masks // n_filters,
        sample_rate=sample_rate,
        n_filters=n_filters,
        kernel_size=kernel_size,
        stride=kernel_size // 2,
        pad="half",
        tcn=TCNCfg(
            bottleneck=bottleneck,
            hidden=hidden,
            skip=bottleneck,
            conv_kernel=taps,
            n_blocks=n_blocks,
            n_repeats=depth // n_blocks,
        ),
        mask=mask,
    )
    model = ConvTasNet(cfg)
    ours = model.state_dict()
    dead = {name: torch.zeros_like(ours.pop(name)) for name in model.dead_parameters}
    theirs = {name: their_name(name) for name in ours}
    model.load_state_dict({**renamed(state, ours, theirs), **dead})
    return model


def _shape(state: dict[str, Any], name: str) -> torch.Size:
    value = state.get(name)
    if not isinstance(value, Tensor) or value.ndim != 3:
        raise ValueError(
            f"no filters {name!r} in it: expected the state dict of a torchaudio.models.ConvTasNet"
        )
    return value.shape
