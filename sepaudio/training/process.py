"""What a run asks of its process: memory that is kept, and a trainer that keeps its advice."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

COMPILERS = ("g++", "clang++")
MANY = 8  # blocks of the longest stack from which on a single block is compiled for all


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advice about our loader and logger, which know better, kept off the terminal."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message="Torchinductor does not support.*complex")
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        # CUDA has threads of its own; the processes that are forked beside them only draw.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
        try:
            yield
        finally:
            log.setLevel(level)


@contextmanager
def where_it_learned(model: nn.Module) -> Iterator[nn.Module]:
    """A trained model, brought from the CPU to this process's CUDA device for what is left to do.

    It comes back in the end; without such a device it stays where it is.
    """
    import torch

    there = torch.cuda.is_available()
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if there else None
    try:
        yield model if place is None else model.to(place)
    finally:
        if place is not None:
            model.to("cpu")


def together(find: Callable[[int, int], Sequence[Any]]) -> list[Any]:
    """What all processes of a run find, each its part of the items, in the items' order.

    Args:
        find: part, parts -> what comes of the items part, part + parts, ...; plain values or
            tensors on the CPU.
    """
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return list(find(0, 1))
    parts = distributed.get_world_size()
    found: list[Any] = [None] * parts
    distributed.all_gather_object(found, list(find(distributed.get_rank(), parts)))
    return [found[i % parts][i // parts] for i in range(sum(map(len, found)))]


def leave_in_order() -> None:
    """Let this process close its links to a run's other ones before it ends.

    Threads that still watch them then would end it as if it had failed, and torchrun all others.
    """
    atexit.register(_leave)


def _leave() -> None:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def keep_memory() -> None:
    """Tell glibc to keep freed memory: small networks spend a third of a step on page faults."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: ask the system for a block of its own
            mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: give memory back


def fast_products() -> None:
    """Let CUDA devices multiply matrices of float32 as they do it in convolutions: in TF32."""
    import torch

    torch.set_float32_matmul_precision("high")


def compiled(objective: Callable[..., Any], model: Any) -> Callable[..., Any]:
    """The same function, whose arithmetic is fused when it is first called.

    Of a network of many blocks that differ in their weights alone a single block is compiled, which
    takes seconds; of others everything, which takes minutes. Of a function that only prepares what
    an `objective` of its own hears, that is what is compiled.

    Args:
        objective: model, batch -> loss.
        model: what it is called with.

    Raises:
        ValueError: there is no C++ compiler.
    """
    import torch

    if not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        raise ValueError(
            f"optim.compile=true: expected a C++ compiler ({' or '.join(COMPILERS)}); install one, "
            "or pass optim.compile=false"
        )
    blocks = [m for m in model.modules() if hasattr(m, "fuse")]
    if any(len(stack.plan) >= MANY for stack in blocks):
        for stack in blocks:  # the short ones too, such as a speaker encoder's
            stack.fuse()
        return objective
    inner = getattr(objective, "objective", None)
    if inner is None:
        return torch.compile(objective)
    return replace(objective, objective=torch.compile(inner))  # type: ignore[type-var]
