"""Weights of a network on Fourier bins for windows of another length."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

FILTERS = ("encoder", "decoder")  # follow from the window, and are not learned


def stretched(theirs: Any, model: Any) -> dict[str, Tensor]:
    """The weights of `theirs` for the window of `model`; as they are where both have the same.

    What there is for every bin is interpolated over frequency, so that the network goes on about
    where it was. More bins say more together: what hears them is scaled down by their number.
    """
    state: dict[str, Tensor] = theirs.state_dict()
    if not _on_bins(theirs) or not _on_bins(model):
        return state
    old, new = (m.cfg.kernel_size // 2 + 1 for m in (theirs, model))
    if old == new:
        return state
    wanted = model.state_dict()
    for name, weight in state.items():
        part = name.split(".")[0]
        if part in FILTERS:
            state[name] = wanted[name]
        elif name in wanted and wanted[name].ndim == weight.ndim:
            sizes = zip(weight.shape, wanted[name].shape, strict=True)
            for dim in (i for i, (n, m) in enumerate(sizes) if n * new == m * old != 0 and n != m):
                scale = old / new if part == "bottleneck" else 1.0
                state[name] = scale * _over_bins(weight, dim, old, new)
    return state


def _on_bins(model: Any) -> bool:
    return getattr(getattr(model, "cfg", None), "filters", "") == "fourier"


def _over_bins(weight: Tensor, dim: int, old: int, new: int) -> Tensor:
    """One dimension, of one or several times `old` bins, as so many times `new` ones."""
    x = weight.movedim(dim, -1)
    y = F.interpolate(x.reshape(1, -1, old), size=new, mode="linear", align_corners=True)
    return y.reshape(*x.shape[:-1], -1).movedim(-1, dim).contiguous()
