"""How long each candidate of a search takes on this machine: a table, measured and kept as CSV.

Source: Wu et al. 2018 (1812.03443), section 3.2: the latency of a network is the sum of those of
its blocks, each measured once.
"""

from __future__ import annotations

import csv
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..files import atomic_text, look
from ..layers import Choice, choices

Key = TypeVar("Key")
REST = "all else"  # the place of what is no choice: front-end, stem, head


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One measured layer.

    Attributes:
        place: name of the `Choice` in the model; or REST.
        option: name of the candidate.
        shape: of what comes in, such as "1x16x29x53".
        ms: median of the repeated forwards [ms].
        repeats: how many.
        threads: of the arithmetic.
        machine: kind of processor.
        torch: its version.
        python: its version.
    """

    place: str
    option: str
    shape: str
    ms: float
    repeats: int
    threads: int
    machine: str
    torch: str
    python: str


class LatencyTable:
    """What every candidate of a network costs, and so what any network of them costs.

    Attributes:
        rows: as measured.
        rest: of everything that is no choice [ms].
        ms: per place the times of its candidates [N], in the order of the model.
    """

    def __init__(self, rows: Iterable[Timed], model: nn.Module):
        """Order rows as a model has its places.

        Raises:
            ValueError: a candidate of the model is not among them.
        """
        self.rows = tuple(rows)
        known = {(row.place, row.option): row.ms for row in self.rows}
        wanted = [(name, n) for name, place in choices(model).items() for n in place.names]
        for key in [(REST, ""), *wanted]:
            if key not in known:
                raise ValueError(
                    f"the latency table has no {' '.join(key)}: expected one of this network; "
                    "measure it again"
                )
        self.rest = known[REST, ""]
        self.ms = [
            torch.tensor([known[name, option] for option in place.names])
            for name, place in choices(model).items()
        ]

    def expected(self, weights: Sequence[Tensor]) -> Tensor:
        """Weights [N] of the candidates of each place -> latency [ms], linear in them.

        Source: sections 3.2 and 3.3.
        """
        parts = [w @ ms.to(w) for w, ms in zip(weights, self.ms, strict=True)]
        return self.rest + torch.stack(parts).sum()

    def of(self, picks: Sequence[int]) -> float:
        """Latency of the network of one candidate in each place [ms]."""
        return self.rest + sum(float(ms[i]) for i, ms in zip(picks, self.ms, strict=True))

    def write(self, path: str | Path) -> None:
        """Keep it as CSV."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [f.name for f in fields(Timed)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), "ms": f"{row.ms:.5f}"} for row in self.rows)
        atomic_text(path, out.getvalue())


def read(path: str | Path, model: nn.Module) -> LatencyTable:
    """The table in a file that `LatencyTable.write` wrote.

    Raises:
        ValueError: no such file, another one, or the table of another network.
    """
    look(path)
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    try:
        rows = [Timed(**_typed(line)) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no latency table ({error}): measure it again") from error
    return LatencyTable(rows, model)


def _typed(line: dict[str, str]) -> dict[str, Any]:
    whole = {key: int(line[key]) for key in ("repeats", "threads")}
    return {**line, **whole, "ms": float(line["ms"])}


@torch.inference_mode()
def measure(model: Any, waveform: Tensor, repeats: int = 50, threads: int = 1) -> LatencyTable:
    """Time every candidate in its place, and everything else together.

    With one thread it is the processor's time of that thread, which other programs do not delay;
    with more it is the clock's. Layers are timed by turns, so that a slow moment falls on all of
    them; layers of the same kind and shape are timed once.

    Args:
        model: with `Choice` in it.
        waveform: [1, T] what it is judged by; its values do not matter.
        repeats: of which the median is taken.
        threads: of the arithmetic.
    """
    with _still(model, threads):
        given = _inputs(model, waveform)
        calls: dict[tuple[str, str], Callable[[], Any]] = {}
        alike: dict[tuple[str, str], tuple[str, str]] = {}
        first: dict[str, tuple[str, str]] = {}
        for name, place in choices(model).items():
            x = given[name]
            for option, layer in zip(place.names, place.options, strict=True):
                sizes = [tuple(y.shape) for y in (*layer.parameters(), x, layer(x))]
                kind = f"{layer} {sizes}"
                alike[name, option] = first.setdefault(kind, (name, option))
                if alike[name, option] == (name, option):
                    calls[name, option] = partial(layer, x)
        ms = _by_turns(calls, repeats)
        with _hollow(model, given):
            rest = _by_turns({REST: lambda: model(waveform)}, repeats)[REST]
    about: dict[str, Any] = {
        "repeats": repeats, "threads": threads, "machine": platform.machine(),
        "torch": version("torch"), "python": platform.python_version(),
    }  # fmt: skip
    shapes = {name: "x".join(map(str, x.shape)) for name, x in given.items()}
    rows = [
        Timed(place=REST, option="", shape="x".join(map(str, waveform.shape)),
              ms=rest, **about)
    ]  # fmt: skip
    rows += [
        Timed(place=name, option=option, shape=shapes[name], ms=ms[key], **about)
        for (name, option), key in alike.items()
    ]
    return LatencyTable(rows, model)


@torch.inference_mode()
def latencies(
    models: Mapping[str, Any], waveform: Tensor, repeats: int = 50, threads: int = 1
) -> dict[str, float]:
    """Median times of whole forwards [ms], by turns; arguments as of `measure`."""
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(_still(model, threads))
        return _by_turns({key: partial(net, waveform) for key, net in models.items()}, repeats)


def _by_turns(calls: Mapping[Key, Callable[[], Any]], repeats: int) -> dict[Key, float]:
    """Median times [ms] of calls that take turns."""
    times = {key: list[float]() for key in calls}
    for turn in range(repeats + 1):
        for key, call in calls.items():
            seconds = _seconds(call)
            if turn:  # the first is slower
                times[key].append(seconds)
    return {key: 1000 * statistics.median(found) for key, found in times.items()}


def _seconds(call: Callable[[], Any]) -> float:
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    call()
    return clock() - begin


@contextmanager
def _still(model: nn.Module, threads: int) -> Iterator[None]:
    """In evaluation mode, with so many threads; as before afterwards."""
    was, before = model.training, torch.get_num_threads()
    model.eval()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        model.train(was)
        torch.set_num_threads(before)


def _inputs(model: nn.Module, waveform: Tensor) -> dict[str, Tensor]:
    """What each place is given."""
    given: dict[str, Tensor] = {}
    hooks = []
    for name, place in choices(model).items():

        def note(module: nn.Module, args: Any, name: str = name) -> None:
            given[name] = args[0].clone()

        hooks.append(place.register_forward_pre_hook(note))
    try:
        model(waveform)
    finally:
        for hook in hooks:
            hook.remove()
    return given


class _Known(nn.Module):
    """Gives what is known already."""

    def __init__(self, y: Tensor):
        super().__init__()
        self.y = y

    def forward(self, x: Tensor) -> Tensor:
        return self.y


@contextmanager
def _hollow(model: nn.Module, given: dict[str, Tensor]) -> Iterator[None]:
    """Without the work of the places."""
    places: dict[str, Choice] = choices(model)
    for name, place in places.items():
        model.set_submodule(name, _Known(place(given[name])))
    try:
        yield
    finally:
        for name, place in places.items():
            model.set_submodule(name, place)
