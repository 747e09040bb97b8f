"""Chains of layers that can be run backwards, so that learning keeps no maps but the last.

Sources: Gomez et al. 2017 (1707.04585), eq. 6 to 8 and algorithm 1; Jacobsen et al. 2018
(1802.07088), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Reversible(nn.Module):
    """Couplings of two halves of the channels: (a, b) -> (b, a + function(b)), one after another.

    Two of them are RevNet's unit; with a squeeze, which moves 2 x 2 points of both halves to
    channels, one is i-RevNet's. In training nothing is kept for the backward pass but the output:
    inputs are computed again from it, so memory does not grow with depth, and time does by a third.
    Running statistics of batch norms are updated once, by the forward pass.

    Args:
        functions: of one half, each with as many channels out as that half has after the squeeze;
            they must draw nothing at random, since they are run twice.
        squeezes: whether each coupling halves frequency and time; none by default.
        stored: keep all maps, as other layers do: faster, and equal.
    """

    def __init__(
        self,
        functions: Sequence[nn.Module],
        squeezes: Sequence[bool] | None = None,
        stored: bool = False,
    ):
        super().__init__()
        self.functions = nn.ModuleList(functions)
        self.squeezes = tuple(squeezes or [False] * len(functions))
        self.stored = stored

    def couplings(self) -> list[tuple[nn.Module, bool]]:
        """Each function, and whether it halves the size."""
        return list(zip(self.functions, self.squeezes, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, F, L], or [B, C, L] without squeezes, C even -> [B, C', F', L'].

        Functions may run in half precision; the halves are kept in single
        precision, else they could not be computed again.
        """
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        if self.stored or not torch.is_grad_enabled():
            return self.run(x)
        y: Tensor = _Forgetting.apply(self, x, *self.parameters())  # type: ignore[no-untyped-call]
        return y

    def run(self, x: Tensor) -> Tensor:
        """The same, as ordinary layers."""
        a, b = x.chunk(2, dim=1)
        for function, squeeze in self.couplings():
            added = function(b)
            if squeeze:
                a, b = F.pixel_unshuffle(a, 2), F.pixel_unshuffle(b, 2)
            a, b = b, a + added
        return torch.cat([a, b], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """What `forward` makes y of; without gradients."""
        with torch.no_grad(), _same_statistics(self):
            p, q = y.chunk(2, dim=1)
            for function, squeeze in reversed(self.couplings()):
                b = F.pixel_shuffle(p, 2) if squeeze else p
                a = q - function(b)
                p, q = F.pixel_shuffle(a, 2) if squeeze else a, b
            return torch.cat([p, q], dim=1)


class _Forgetting(torch.autograd.Function):
    """Runs a chain; goes back coupling by coupling, with one function's graph at a time."""

    @staticmethod
    def forward(ctx: Any, chain: Reversible, x: Tensor, *parameters: Tensor) -> Tensor:
        y = chain.run(x)
        ctx.chain, ctx.parameters = chain, parameters
        ctx.needs_input = x.requires_grad
        kind = x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"
        ctx.autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        found: dict[nn.Parameter, Tensor] = {}
        p, q = y.chunk(2, dim=1)
        p_grad, q_grad = grad.chunk(2, dim=1)
        with _same_statistics(ctx.chain), torch.autocast(*ctx.autocast):
            for function, squeeze in reversed(ctx.chain.couplings()):
                b = (F.pixel_shuffle(p, 2) if squeeze else p).detach().requires_grad_()
                learning = [w for w in function.parameters() if w.requires_grad]
                with torch.enable_grad():
                    added = function(b)
                towards = q_grad.to(added.dtype)
                grads = torch.autograd.grad(added, [b, *learning], towards, allow_unused=True)
                b_grad, a, a_grad = grads[0], q - added.detach(), q_grad
                if squeeze:
                    a, a_grad = F.pixel_shuffle(a, 2), F.pixel_shuffle(a_grad, 2)
                    p_grad = F.pixel_shuffle(p_grad, 2)
                for parameter, value in zip(learning, grads[1:], strict=True):
                    if value is not None:
                        found[parameter] = found[parameter] + value if parameter in found else value
                p, q = a, b.detach()
                p_grad, q_grad = a_grad, p_grad + b_grad if b_grad is not None else p_grad
        x_grad = torch.cat([p_grad, q_grad], dim=1) if ctx.needs_input else None
        return None, x_grad, *(found.get(parameter) for parameter in ctx.parameters)


@contextmanager
def _same_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms in training use the batch's statistics and remember nothing of them."""
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tracked = [m.track_running_stats for m in norms]
    for norm in norms:
        if norm.training:
            norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, was in zip(norms, tracked, strict=True):
            norm.track_running_stats = was
