"""Many files on all cores, and one file decoded while a network hears what was decoded before.

Threads, not processes: what takes time, the decoder, the resampler and the network, lets other
threads run meanwhile, so that threads are as fast here (`recipes/benchmark/folders.md`) and need
neither a second import of torch nor a second model, nor a guard in the program that calls.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64


class Stopped(Exception):
    """Nobody wants the result any more."""


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def ahead(items: Iterator[Item], most: int = 2) -> Generator[Item]:
    """The same items, the next `most` of which are made in a thread while one is used.

    A single item needs no thread and gets none. What the items raise is raised here.
    """
    end = object()
    first, second = next(items, end), next(items, end)
    if first is not end:
        yield first  # type: ignore[misc]
    if second is end:
        return
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting: deque[Future[object]] = deque()
        try:
            waiting.extend(thread.submit(next, items, end) for _ in range(most))
            while second is not end:
                yield second  # type: ignore[misc]
                second = waiting.popleft().result()
                waiting.append(thread.submit(next, items, end))
        finally:
            for future in waiting:
                future.cancel()


def in_order(
    items: Iterable[Item],
    work: Callable[[Item, Callable[[], None]], Result],
    workers: int,
    most: int = AHEAD,
    start: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """What `work` makes of every item, in their order, by threads.

    Args:
        items: taken one by one.
        work: gets an item and a function to call now and then, which raises `Stopped` when whoever
            took the results has gone: after Ctrl-C nobody waits for the end of a long file.
        workers: threads.
        most: items that are taken before their results are.
        start: called once in every thread.
    """
    gone = threading.Event()

    def check() -> None:
        if gone.is_set():
            raise Stopped

    with ThreadPoolExecutor(workers, "worker", start) as threads:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(threads.submit(work, item, check))
                if len(waiting) >= most or waiting[0].done():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            gone.set()
            for future in waiting:
                future.cancel()


def spread(
    items: Iterable[Item],
    work: Callable[[Item, Callable[[], None]], Result],
    workers: int,
    most: int = AHEAD,
) -> Iterator[Result]:
    """`in_order` by threads in each of which torch runs on one."""
    import torch

    before = torch.get_num_threads()
    try:
        yield from in_order(items, work, workers, most, one_thread)
    finally:
        torch.set_num_threads(before)  # else threads that start later had one, too


def one_thread() -> None:
    """Let torch work for the calling thread on that thread alone."""
    import torch

    torch.set_num_threads(1)
