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
    calls = _watch(net, torch.zeros(1, samples))
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


def _watch(net: nn.Module, x: Any) -> dict[str, list[tuple[int, ...]]]:
    """Output shapes of every convolution and linear layer, by name, for one forward."""
    import torch

    from ..layers import PictureConv, TimeConv

    kinds = (TimeConv, PictureConv, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, kinds):

            def note(_m: Any, _a: Any, y: Any, name: str = name) -> None:
                shapes.setdefault(name, []).append(tuple(y.shape))

            hooks.append(module.register_forward_hook(note))
    was = net.training
    net.eval()
    try:
        with torch.no_grad():
            net(x.to(next(net.parameters())))
    finally:
        net.train(was)
        for hook in hooks:
            hook.remove()
    return shapes


def _layers(net: nn.Module, shapes: dict[str, list[tuple[int, ...]]]) -> list[Layer]:
    """Rows for everything that owns weights; a separable pair carries its dense cost."""
    from ..layers import SeparableConv1d, SeparableConv2d

    modules = dict(net.named_modules())
    dense: dict[str, tuple[int, int]] = {}  # name of a separable half -> dense weights, macs
    for name, module in modules.items():
        if isinstance(module, SeparableConv1d | SeparableConv2d):
            depthwise, pointwise = module.depthwise.weight, module.pointwise.weight
            inner = math.prod(depthwise.shape[2:])
            weights = inner * module.depthwise.groups * pointwise.shape[0]
            outputs = sum(math.prod(s[2:]) for s in shapes.get(f"{name}.pointwise", ()))
            dense[f"{name}.depthwise"] = (0, 0)
            dense[f"{name}.pointwise"] = (weights, weights * outputs)
    rows: list[Layer] = []
    seen: set[int] = set()
    for name, module in modules.items():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        calls = shapes.get(name, [])
        if not own and not calls:
            continue
        weight = getattr(module, "weight", None)
        weights = macs = 0
        if calls and weight is not None:
            per_position = weight[0].numel()  # weights behind one output value
            weights = weight.numel() if any(weight is p for p in own) else 0
            macs = sum(per_position * math.prod(shape) for shape in calls)
        dense_weights, dense_macs = dense.get(name, (weights, macs))
        rows.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                parameters=sum(p.numel() for p in own),
                macs=macs,
                calls=max(len(calls), 1),
                weights=weights,
                dense_weights=dense_weights,
                dense_macs=dense_macs,
            )
        )
    return rows
