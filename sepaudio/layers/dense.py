"""Layers that each hear all layers before them.

Source: Huang et al. 2016 (1608.06993), section 3, equation 2; Pleiss et al. 2017 (1707.06990) for
the form that recomputes instead of keeping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class DenseStack(nn.Module):
    """Layers whose input is the concatenation of the stack's input and of all outputs before.

    Args:
        layers: the n-th takes C0 + n·k channels and gives k.
        recompute: in training, do not keep what happens inside a layer, concatenation included,
            but compute it again on the way back: memory grows by k per layer. Results are the
            same, running statistics of norms included.
    """

    def __init__(self, layers: Iterable[nn.Module], *, recompute: bool = False):
        super().__init__()
        self.layers, self.recompute = nn.ModuleList(layers), recompute

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C0, F, L] -> [B, C0 + n·k, F, L]."""
        heard = [x]
        for layer in self.layers:
            heard.append(self._hear(layer, heard))
        return torch.cat(heard, dim=1)

    def _hear(self, layer: nn.Module, heard: list[Tensor]) -> Tensor:
        def run(*pictures: Tensor) -> Tensor:
            y: Tensor = layer(torch.cat(pictures, dim=1))
            return y

        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return run(*heard)
        y: Tensor = checkpoint(
            run,
            *heard,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), statistics_held(layer)),
        )
        return y


@contextmanager
def statistics_held(net: nn.Module) -> Iterator[None]:
    """Batch norms use the statistics of the batch, but do not take them into the running ones."""
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    counts = [None if count is None else count.clone() for _, count in before]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, count), was in zip(norms, before, counts, strict=True):
            norm.momentum = momentum
            if count is not None and was is not None:
                count.copy_(was)
