"""Steps that are recorded once on a CUDA device and then replayed.

A small network's step is some thousand kernels, and a device runs each sooner than Python asks for
the next one: it hears 32 mixtures in the time of one (recipes/benchmark/card.md). A recorded step
asks once for all of them, and once for what an optimiser does with the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as tree

WARM = 3  # steps before one is recorded, in which libraries choose their kernels
KINDS = 4  # shapes of batches that are recorded

Objective = Callable[[Any, Any], Tensor]
Numbers = dict[str, float]


def recorded(objective: Any, learning: Sequence[nn.Module], clip_norm: float | None = None) -> Any:
    """An objective whose loss and gradient are recorded once for every shape of batch.

    Of an objective that only prepares what an `objective` of its own hears, that is recorded.

    Args:
        objective: model, batch -> loss, which asks the device for no number on the way.
        learning: whose parameters get gradients.
        clip_norm: see `Recorded`.
    """
    inner = getattr(objective, "objective", None)
    if inner is None:
        return Recorded(objective, learning, clip_norm)
    return replace(objective, objective=Recorded(inner, learning, clip_norm))


@dataclass(frozen=True)
class Recorded:
    """See `recorded`. On other devices, and where no gradient is asked for, nothing is recorded.

    Attributes:
        objective: model, batch -> loss.
        learning: whose parameters get gradients.
        clip_norm: largest gradient norm, where every call is a step of its own: parameters are lent
            their gradients, which the next call overwrites. None where those of several calls add
            up.
        tapes: by the shapes of the batches.
    """

    objective: Objective
    learning: Sequence[nn.Module]
    clip_norm: float | None = None
    tapes: dict[Any, Tape] = field(default_factory=dict)

    def __call__(self, model: Any, batch: Any) -> Tensor:
        """The loss, whose gradient is there already when it is asked for.

        Raises:
            ValueError: the objective asks the device for a number, or shapes are too many.
        """
        parts = [x for x in tree.tree_leaves(batch) if isinstance(x, Tensor)]
        if not torch.is_grad_enabled() or not all(x.is_cuda for x in parts):
            return self.objective(model, batch)
        shapes = (str(tree.tree_structure(batch)), *((x.shape, x.dtype) for x in parts))
        if shapes not in self.tapes:
            if len(self.tapes) == KINDS:
                raise ValueError(
                    f"optim.graph=true: batches have more than {KINDS} shapes; leave it out"
                )
            self.tapes[shapes] = Tape(self.objective, model, self.learning, batch, self.clip_norm)
        tape = self.tapes[shapes]
        loss: Tensor = _Replayed.apply(tape, parts, tape.anchor)  # type: ignore[no-untyped-call]
        return loss


class Tape:
    """Loss and gradient of one shape of batch, as the device was asked for them once.

    Weights are read and batches lie where they did then. What recording draws and what it does to
    running statistics is undone.

    Attributes:
        parameters: those that the loss depends on.
        anchor: what autograd takes the loss to depend on.
    """

    def __init__(
        self,
        objective: Objective,
        model: Any,
        learning: Sequence[nn.Module],
        batch: Any,
        clip_norm: float | None = None,
    ):
        batch = tree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, batch)
        self._parts = [x for x in tree.tree_leaves(batch) if isinstance(x, Tensor)]
        self.anchor = torch.zeros((), device=self._parts[0].device, requires_grad=True)
        self.parameters = [p for m in learning for p in m.parameters() if p.requires_grad]
        self._clip_norm = clip_norm
        buffers = [b for m in learning for b in m.buffers()]
        before, drawn = [b.clone() for b in buffers], torch.cuda.get_rng_state()

        def differentiated() -> tuple[Tensor, Sequence[Tensor | None]]:
            # Without the cache: a weight that is rounded once would be so for all replays.
            kind, on = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
            with torch.autocast("cuda", kind, enabled=on, cache_enabled=False):
                loss = objective(model, batch)
            found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
            return loss.detach(), self._clipped(found)  # what was between them is let go

        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                _, found = differentiated()
        torch.cuda.current_stream().wait_stream(aside)
        reached = zip(self.parameters, found, strict=True)
        self.parameters = [p for p, gradient in reached if gradient is not None]
        self._graph = torch.cuda.CUDAGraph()
        with _recording(self._graph):
            self._loss, found = differentiated()
        self._gradient = [gradient for gradient in found if gradient is not None]
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        torch.cuda.set_rng_state(drawn)

    def replay(self, parts: Sequence[Tensor]) -> Tensor:
        """The loss of another batch; its gradient waits for `give`. The next overwrites both."""
        for mine, x in zip(self._parts, parts, strict=True):
            mine.copy_(x)
        self._graph.replay()
        return self._loss

    def give(self, weight: Tensor) -> None:
        """Give the parameters the gradient of so many times the loss; where it is lent, of once."""
        lent = self._clip_norm is not None
        found = self._gradient if lent else torch._foreach_mul(self._gradient, weight)
        for p, gradient in zip(self.parameters, found, strict=True):
            p.grad = gradient if lent or p.grad is None else p.grad + gradient

    def _clipped(self, found: Sequence[Tensor | None]) -> list[Tensor | None]:
        if self._clip_norm is None:
            return list(found)
        reached = [gradient for gradient in found if gradient is not None]
        norm = torch.nn.utils.get_total_norm(reached)
        share = (self._clip_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch has it
        clipped = iter(torch._foreach_mul(reached, share))
        return [None if gradient is None else next(clipped) for gradient in found]


class _Replayed(torch.autograd.Function):
    """A loss whose gradient was found with it, as autograd wants it."""

    @staticmethod
    def forward(ctx: Any, tape: Tape, parts: Sequence[Tensor], anchor: Tensor) -> Tensor:
        ctx.tape = tape
        return tape.replay(parts).clone()

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[None, None, None]:
        ctx.tape.give(weight)
        return None, None, None


class Routine:
    """Work on tensors that lie still, with numbers that differ from call to call.

    On a CUDA device it is done as it comes the first time that tensors lie where they do, recorded
    the second time, and replayed from then on.
    """

    def __init__(self) -> None:
        self._tapes: dict[Hashable, tuple[Any, list[dict[str, Tensor]]]] = {}
        self._last: Hashable = None

    def __call__(
        self,
        work: Callable[[Sequence[dict[str, Any]]], None],
        still: Sequence[Tensor],
        numbers: Sequence[Numbers],
    ) -> None:
        """Do `work(numbers)`, or what it was; the numbers are tensors then.

        Args:
            work: on the tensors.
            still: those that might lie elsewhere the next time.
            numbers: under the same names every time.
        """
        if not still or not all(x.is_cuda for x in still):
            return work(numbers)
        places = tuple(x.data_ptr() for x in still)
        again, self._last = places == self._last, places
        if places in self._tapes or (again and len(self._tapes) < KINDS):
            return self._replay(work, places, still[0].device, numbers)
        return work(numbers)

    def _replay(
        self, work: Any, places: Hashable, device: torch.device, numbers: Sequence[Numbers]
    ) -> None:
        if places not in self._tapes:
            there = [{key: torch.zeros((), device=device) for key in some} for some in numbers]
            graph = torch.cuda.CUDAGraph()
            with _recording(graph):
                work(there)
            self._tapes[places] = graph, there
        graph, there = self._tapes[places]
        for some, known in zip(numbers, there, strict=True):
            for key, value in some.items():
                known[key].fill_(value)
        graph.replay()


@contextmanager
def _recording(graph: Any) -> Iterator[None]:
    """What a device is asked for is recorded, not done.

    Of this thread alone: another one pins memory meanwhile.

    Raises:
        ValueError: it waits for a number from the device, or sends one.
    """
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            yield
    except RuntimeError as error:
        drawing = torch.cuda.default_generators[torch.cuda.current_device()]
        drawing.graphsafe_set_state(drawing.clone_state())  # it still takes itself for recorded
        raise ValueError(
            f"optim.graph=true: this recipe's steps cannot be recorded ({error}); leave it out"
        ) from error
