"""What users hand to a verb: arrays, files, and models by name, folder or themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import files, hub, io, parallel

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]
Result = TypeVar("Result")
LOUDEST = 1000.0  # beyond it samples are integers taken for floats, or damage
VERBS = {"separation": "separate", "extraction": "extract", "classification": "classify"}


def place(model: str | Path | nn.Module, device: str, *tasks: str) -> Any:
    """The model meant by a name, a folder or itself, on a device, in evaluation mode.

    Raises:
        ValueError: it does none of the jobs `tasks`, or the device is not there.
    """
    import torch

    if device == "auto":
        mps = torch.backends.mps.is_available()
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} is not usable here ({str(error).splitlines()[0]}); use 'auto'"
        ) from error
    net: Any = model.to(where) if isinstance(model, torch.nn.Module) else hub.load(model, where)
    found = getattr(net, "task", "")
    if found not in tasks:
        hint = f"; use `{VERBS[found]}`" if found in VERBS else ""
        does, wanted = found or "no job of ours", " or ".join(tasks)
        raise ValueError(f"{type(net).__name__} does {does}: expected {wanted}{hint}")
    return net.eval()


def mono(x: Any, name: str = "x") -> Array:
    """x [T] or [C, T] as one channel [T], the mean of all; `name` is what errors call it.

    Raises:
        ValueError: x is empty, no floats, not finite, or has its channels last.
    """
    samples = np.asarray(x)
    if samples.ndim not in (1, 2):
        raise ValueError(f"{name} has shape {list(samples.shape)}: expected [T] or [C, T]")
    if samples.size == 0:
        raise ValueError(f"{name} has no samples: expected at least one")
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise ValueError(f"{name} has shape {list(samples.shape)}: expected [C, T]; pass x.T")
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"{name} has dtype {samples.dtype}: expected floats with full scale 1; "
            "divide integers by their largest value"
        )
    if not np.isfinite(samples).all():
        raise ValueError(
            f"{name} has NaN or infinite samples: expected finite ones; mend the source"
        )
    return np.asarray(samples if samples.ndim == 1 else samples.mean(axis=0), dtype=np.float32)


def at_rate(x: Any, sample_rate: int, wanted: int) -> Array:
    """x [T] or [C, T] as mono [T'] at another rate [Hz]; see `mono`."""
    y = mono(x)
    if sample_rate < 1:
        raise ValueError(f"sample_rate={sample_rate}: expected Hz, such as 16000")
    return y if sample_rate == wanted else io.resample(y, sample_rate, int(wanted))


def need_full_scale(x: Array, seconds: float) -> None:
    """Raise a ValueError for samples [T], which begin at `seconds`, that no microphone gives."""
    peak = float(np.abs(x).max())
    if peak > LOUDEST:
        raise ValueError(
            f"samples reach {peak:.4g} at {seconds:.1f} s: expected full scale 1; "
            "divide by the largest value of the format"
        )


def each_file(
    paths: Iterable[str | Path],
    hear: Callable[[Iterator[Array], int], Result],
    failed: Callable[..., Result],
    *,
    seconds: float,
    sample_rate: int,
    channel: str | int,
    workers: int = 0,
) -> Iterator[Result]:
    """What is heard in each of some files, read block by block, in their order.

    As many files are heard at once as there are cores, each by one thread; of a long file the next
    blocks are decoded meanwhile. torch runs on one thread in each: more of its own only get into
    the way of small networks, and round otherwise, so that results would depend on them.

    Args:
        paths: files; "-" reads one from standard input.
        hear: what is done with the blocks [T], given how many threads it may use for them; gives
            a dataclass with a `file`.
        failed: its class, made with `file` and `error` where that is not possible.
        seconds: length of a block.
        sample_rate: that blocks are brought to [Hz].
        channel: "mix" averages the channels, a number picks one, from 0.
        workers: threads at once; 0 for as many as cores.

    Raises:
        ValueError: workers is negative.
    """
    workers = how_many(workers)
    paths = list(paths)
    if any(str(path) == "-" for path in paths):
        files.stdin()  # here, where Ctrl-C can end the waiting
    at_once = max(min(workers, len(paths)), 1)

    def work(path: str | Path, check: Callable[[], None]) -> Result:
        def checked(blocks: Iterator[Array]) -> Iterator[Array]:
            for block in blocks:
                check()
                yield block

        try:
            blocks = io.blocks(path, seconds, sample_rate=sample_rate, channel=channel)
            with closing(parallel.ahead(checked(blocks))) as coming:
                result: Any = hear(coming, workers // at_once)
        except (ValueError, OSError) as error:
            return failed(file=str(path), error=str(error))
        found: Result = replace(result, file=str(path))
        return found

    yield from parallel.spread(paths, work, at_once)


def how_many(workers: int) -> int:
    """As many workers as asked for; for 0 as many as there are cores.

    Raises:
        ValueError: workers is negative.
    """
    if workers < 0:
        raise ValueError(f"workers={workers}: expected 1 or more, or 0 for as many as cores")
    return workers or parallel.cores()
