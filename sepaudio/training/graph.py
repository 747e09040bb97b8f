"""Steps that are recorded once on a CUDA device and then replayed.

A small network's step is some thousand kernels, and a device runs each sooner than Python asks for
the next one: it hears 32 mixtures in the time of one (recipes/benchmark/card.md). A recorded step
asks once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as tree

WARM = 3  # steps before one is recorded, in which libraries choose their kernels
KINDS = 4  # shapes of batches that are recorded; others are computed as they come

Objective = Callable[[Any, Any], Tensor]


def recorded(objective: Any, learning: Sequence[nn.Module]) -> Any:
    """An objective whose loss and gradient are recorded once for every shape of batch.

    Of an objective that only prepares what an `objective` of its own hears, that is recorded.

    Args:
        objective: model, batch -> loss, which asks the device for no number on the way.
        learning: whose parameters get gradients.
    """
    inner = getattr(objective, "objective", None)
    if inner is None:
        return Recorded(objective, learning)
    return replace(objective, objective=Recorded(inner, learning))


@dataclass(frozen=True)
class Recorded:
    """See `recorded`. On other devices, and where no gradient is asked for, nothing is recorded.

    Attributes:
        objective: model, batch -> loss.
        learning: whose parameters get gradients.
        tapes: by the shapes of the batches.
    """

    objective: Objective
    learning: Sequence[nn.Module]
    tapes: dict[Any, Tape] = field(default_factory=dict)

    def __call__(self, model: Any, batch: Any) -> Tensor:
        """The loss, whose gradient is there already when it is asked for.

        Raises:
            ValueError: the objective asks the device for a number.
        """
        parts = [x for x in tree.tree_leaves(batch) if isinstance(x, Tensor)]
        if not torch.is_grad_enabled() or not all(x.is_cuda for x in parts):
            return self.objective(model, batch)
        shapes = (str(tree.tree_structure(batch)), *((x.shape, x.dtype) for x in parts))
        if shapes not in self.tapes:
            if len(self.tapes) == KINDS:
                return self.objective(model, batch)
            self.tapes[shapes] = Tape(self.objective, model, self.learning, batch)
        tape = self.tapes[shapes]
        loss: Tensor = _Replayed.apply(tape, parts, *tape.parameters)  # type: ignore[no-untyped-call]
        return loss


class Tape:
    """Loss and gradient of one shape of batch, as the device was asked for them once.

    Weights are read and batches lie where they did then. What recording draws and what it does to
    running statistics is undone.

    Attributes:
        parameters: those that the loss depends on.
    """

    def __init__(self, objective: Objective, model: Any, learning: Sequence[nn.Module], batch: Any):
        batch = tree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, batch)
        self._parts = [x for x in tree.tree_leaves(batch) if isinstance(x, Tensor)]
        self.parameters = [p for m in learning for p in m.parameters() if p.requires_grad]
        buffers = [b for m in learning for b in m.buffers()]
        before, drawn = [b.clone() for b in buffers], torch.cuda.get_rng_state()

        def differentiated() -> tuple[Tensor, Sequence[Tensor | None]]:
            # Without the cache: a weight that is rounded once would be so for all replays.
            kind, on = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
            with torch.autocast("cuda", kind, enabled=on, cache_enabled=False):
                loss = objective(model, batch)
            found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
            return loss.detach(), found  # what was between them is let go

        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                _, found = differentiated()
        torch.cuda.current_stream().wait_stream(aside)
        reached = zip(self.parameters, found, strict=True)
        self.parameters = [p for p, gradient in reached if gradient is not None]
        self._graph = torch.cuda.CUDAGraph()
        # Of this thread alone: another one pins memory meanwhile.
        try:
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._loss, self._gradient = differentiated()
        except RuntimeError as error:
            raise ValueError(
                f"optim.graph=true: this recipe's steps cannot be recorded ({error}); leave it out"
            ) from error
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        torch.cuda.set_rng_state(drawn)

    def replay(self, parts: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Loss and gradient for another batch; the next replay overwrites both."""
        for mine, x in zip(self._parts, parts, strict=True):
            mine.copy_(x)
        self._graph.replay()
        return self._loss, self._gradient  # type: ignore[return-value]


class _Replayed(torch.autograd.Function):
    """A loss whose gradient was found with it, as autograd wants it."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, parts: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        loss, ctx.gradient = tape.replay(parts)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *torch._foreach_mul(ctx.gradient, weight)
