"""Where estimates of files go: names that cannot clash, nothing overwritten unasked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, io, parallel
from .given import Array, how_many

# samples, rate -> estimates [S, T], rate, and what is to be told of them
Separate = Callable[[Array, int], tuple[Array, int, Any]]


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """What became of one recording.

    Attributes:
        file: its name, as it was given.
        outputs: the files written, in the order of the sources.
        sample_rate: of them [Hz].
        seconds: duration.
        told: what the separation told of it.
        error: why there are none.
    """

    file: str
    outputs: tuple[Path, ...] = ()
    sample_rate: int = 0
    seconds: float = 0.0
    told: Any = None
    error: str | None = None


def names(
    inputs: Sequence[Path], folder: Path, template: str, n: int, overwrite: bool
) -> list[list[Path]]:
    """The files that the estimates of every input go to.

    Args:
        inputs: recordings.
        folder: where to.
        template: of the names, with {stem} of the input and {source}, from 1.
        n: estimates of each input.
        overwrite: whether files that are there may be replaced.

    Raises:
        ValueError: two would have the same name, one is an input, one is there already, or the
            folder is none or may not be written into.
    """
    above = next(p for p in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(p))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ValueError(f"{above} is no folder that may be written into: expected one; name it")
    taken: dict[Path, Path] = {}
    out = []
    heard = {path.resolve() for path in inputs}
    for path in inputs:
        row = []
        for source in range(1, n + 1):
            try:
                stem = "stdin" if str(path) == "-" else path.stem
                name = template.format(stem=stem, source=source)
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"template={template!r}: expected text with {{stem}} and {{source}}"
                ) from error
            target = folder / name
            if taken.get(target) == path:
                raise ValueError(
                    f"all sources of {path} would be written to {target}: use a template with "
                    "{source}"
                )
            if target in taken:
                raise ValueError(
                    f"{taken[target]} and {path} would both be written to {target}: use a template "
                    "with {stem} and {source}, or write to different folders"
                )
            if target.resolve() in heard:
                raise ValueError(f"{target} is one of the recordings: write elsewhere")
            if target.exists() and not overwrite:
                raise ValueError(f"{target} is there already; pass --overwrite to replace it")
            taken[target] = path
            row.append(target)
        out.append(row)
    return out


def write(
    inputs: Iterable[Path],
    targets: Sequence[Sequence[Path]],
    separate: Separate,
    channel: str | int = "mix",
    subtype: str | None = None,
    workers: int = 0,
    clip: bool = False,
) -> Iterator[Estimated]:
    """Separate files; a file that fails is a result whose `error` says why.

    Of several files as many are separated at once as there are cores, each by one thread, so that
    the estimates are the same whatever `workers`; a file alone has all of torch's threads. Each is
    in memory as a whole.
    A file that is being separated when the results are not wanted any more is still written whole.

    Args:
        inputs: recordings.
        targets: the files for the estimates of each, as `names` gives them.
        separate: what is done with the samples.
        channel: "mix" averages the channels, a number picks one, from 0.
        subtype: encoding, see `io.write`; float where the format has it, so that no level clips.
        workers: files at once; 0 for as many as cores.
        clip: cut off what the encoding cannot hold, see `io.write`.

    Raises:
        ValueError: workers is negative.
    """

    def work(job: tuple[Path, Sequence[Path]], _: Callable[[], None]) -> Estimated:
        path, row = job
        try:
            x, rate = io.read(path, channel=channel)
            estimates, out_rate, told = separate(x, rate)
            if len(estimates) != len(row):
                raise ValueError(f"{len(estimates)} estimates for {len(row)} names")
            for target, estimate in zip(row, estimates, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                io.write(target, estimate, out_rate, subtype, clip)
        except (ValueError, OSError) as error:
            return Estimated(file=files.name(path), error=str(error))
        return Estimated(
            file=files.name(path),
            outputs=tuple(row),
            sample_rate=out_rate,
            seconds=len(x) / rate,
            told=told,
        )

    jobs = list(zip(inputs, targets, strict=True))
    at_once = how_many(workers)
    if len(jobs) > 1:
        yield from parallel.spread(jobs, work, min(at_once, len(jobs)))
    else:  # by the caller, with all of torch's threads
        yield from (work(job, lambda: None) for job in jobs)
