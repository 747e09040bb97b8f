"""What a model costs: parameters, multiply-adds, receptive field, latency, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a profile.

    Attributes:
        name: its path in the model.
        kind: its class.
        parameters: its own, each shared weight counted once, where it comes first.
        macs: multiply-adds for the profiled audio, over all calls.
        calls: how often it was played.
        dense_weights: weights of the full convolution that a separable one stands for; its own
            weights elsewhere. Biases are not counted.
        weights: without biases, for comparison with `dense_weights`.
        dense_macs: multiply-adds of that full convolution.
    """

    name: str
    kind: str
    parameters: int
    macs: int
    calls: int
    weights: int
    dense_weights: int
    dense_macs: int


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a model costs for `seconds` of audio; front-end filters count as arithmetic, FFTs not.

    `latency` is the look-ahead and `receptive_field` what one output can depend on, in samples;
    None where it is the whole clip.
    """

    name: str
    seconds: float
    parameters: int
    buffers: int
    macs: int
    dense_macs: int
    weights: int
    dense_weights: int
    sample_rate: int
    hop: int
    latency: int | None
    receptive_field: int | None
    causal: bool
    layers: tuple[Layer, ...]


def profile(model: str | nn.Module, seconds: float = 1.0) -> Profile:
    """Count what one forward of `seconds` of audio takes, batch 1.

    Args:
        model: registered name or a model.
        seconds: [s]

    Raises:
        ValueError: no such model, or no audio.
    """
    import torch

    name = model if isinstance(model, str) else type(model).__name__
    net: Any = registry.create(model) if isinstance(model, str) else model
    samples = round(seconds * net.sample_rate)
    if samples < 1:
        raise ValueError(f"seconds={seconds}: expected at least one sample")
    channels = getattr(net, "channels", None)
    inputs = [torch.zeros(1, *([] if channels is None else [channels]), samples)]
    if getattr(net, "task", None) == "extraction":
        inputs.append(torch.zeros(1, net.embedding_size))
    calls = _watch(net, inputs)
    layers = tuple(_layers(net, calls))
    return Profile(
        name=name,
        seconds=seconds,
        parameters=sum(p.numel() for p in net.parameters()),
        buffers=sum(b.numel() for b in net.buffers()),
        macs=sum(layer.macs for layer in layers),
        dense_macs=sum(layer.dense_macs for layer in layers),
        weights=sum(layer.weights for layer in layers),
        dense_weights=sum(layer.dense_weights for layer in layers),
        sample_rate=net.sample_rate,
        hop=net.hop,
        latency=net.latency,
        receptive_field=net.receptive_field,
        causal=net.causal,
        layers=layers,
    )


def separable_cost(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], depth_multiplier: int = 1
) -> tuple[int, int]:
    """Weights of a depthwise-separable convolution and of the dense one it stands for.

    >>> separable_cost(16, 32, (3, 3))
    (656, 4608)
    """
    taps, wide = math.prod(kernel), in_channels * depth_multiplier
    return taps * wide + wide * out_channels, taps * in_channels * out_channels


def _macs(module: Any, given: Any, y: Any) -> int:
    """Multiply-adds of one call."""
    from ..frontends import Bands, Decoder, Encoder
    from ..layers import HyperConv

    if isinstance(module, Encoder):
        return int(y.numel() * module.filters[0].numel())
    if isinstance(module, Decoder):
        return int(given[0].numel() * module.filters[0].numel())
    if isinstance(module, Bands):
        wavelets = 2 * (module.cfg.n_fft // 2 + 1) * module.cfg.window_length
        frames = math.prod(y.shape[:-3]) * y.shape[-1]
        filters = 0 if module.filters is None else module.filters.value.numel()
        return int((wavelets * module.cfg.learned + filters) * frames)
    if isinstance(module, HyperConv):  # its generator is counted by itself
        return int(y.numel() * module.shape[0] * module.kernel_size**2)
    return int(y.numel() * module.weight[0].numel())  # weights behind one output value


def _watch(net: nn.Module, inputs: list[Any]) -> dict[str, list[int]]:
    """Multiply-adds of every layer that multiplies, by name and call, for one forward."""
    import torch

    from ..frontends import Bands, Decoder, Encoder
    from ..layers import HyperConv, PictureConv, ScaledConv, TimeConv

    made = (TimeConv, PictureConv, ScaledConv, HyperConv, Encoder, Decoder, Bands)
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear)
    calls: dict[str, list[int]] = {}
    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, (*made, *kinds)):

            def note(m: Any, given: Any, y: Any, name: str = name) -> None:
                calls.setdefault(name, []).append(_macs(m, given, y))

            hooks.append(module.register_forward_hook(note))
    was = net.training
    net.eval()
    try:
        with torch.no_grad():
            like = next(net.parameters())
            net(*(x.to(like) for x in inputs))
    finally:
        net.train(was)
        for hook in hooks:
            hook.remove()
    return calls


def _separable(net: nn.Module) -> dict[str, tuple[int, int]]:
    """Names of the halves of separable convolutions -> (taps, depth multiplier).

    A dense convolution would have the pointwise half's weights times taps / multiplier, and no
    depthwise half (0 taps).
    """
    from ..layers import TCN, InvertedResidual, SeparableConv1d, SeparableConv2d

    found: dict[str, tuple[int, int]] = {}
    for name, module in net.named_modules():
        if isinstance(module, SeparableConv1d | SeparableConv2d):
            depthwise = module.depthwise
            wider = depthwise.weight.shape[0] // depthwise.groups
            found[f"{name}.depthwise"] = (0, 1)
            found[f"{name}.pointwise"] = (depthwise.weight[0].numel(), wider)
        elif isinstance(module, TCN):
            for i in range(len(module.depthwise)):
                found[f"{name}.depthwise.{i}"] = (0, 1)
            for kind in ("residuals", "skips"):
                for i in range(len(getattr(module, kind))):
                    found[f"{name}.{kind}.{i}"] = (module.cfg.conv_kernel, 1)
        elif isinstance(module, InvertedResidual):
            found[f"{name}.depthwise"] = (0, 1)
            found[f"{name}.project"] = (module.depthwise.weight[0].numel(), 1)
    return found


def _layers(net: nn.Module, calls: dict[str, list[int]]) -> list[Layer]:
    """Rows for everything that owns weights; a separable pair carries its dense cost."""
    separable = _separable(net)
    rows: list[Layer] = []
    seen: set[int] = set()
    for name, module in net.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        played = calls.get(name, [])
        if not own and not any(played):
            continue
        weight = getattr(module, "weight", getattr(module, "filters", None))
        weights = 0
        if played and weight is not None and any(weight is p for p in own):
            weights = weight.numel()
        macs = sum(played)
        taps, wider = separable.get(name, (1, 1))
        rows.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                parameters=sum(p.numel() for p in own),
                macs=macs,
                calls=max(len(played), 1),
                weights=weights,
                dense_weights=weights * taps // wider,
                dense_macs=macs * taps // wider,
            )
        )
    return rows
