"""`sepaudio classify`: a table on a terminal, CSV or JSON lines elsewhere."""

from __future__ import annotations

import csv
import io as text_io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ..files import atomic_text, check_target
from ..verbs.classify import DEFAULT, SILENCE_DB, Classification

Format = Literal["auto", "table", "csv", "jsonl"]
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".txt": "csv", "": "csv"}


def run(arguments: list[str]) -> int:
    """Classify files; 0 when all went well, 1 when some failed."""
    from jsonargparse import ArgumentParser

    from .. import io
    from ..verbs import classify as verb
    from ..verbs import explain

    parser = ArgumentParser(
        prog="sepaudio classify",
        description="Name what recordings are. " + (verb.__doc__ or "").split("\n\n", 1)[1],
    )
    common(parser)
    parser.add_argument("-f", "--format", type=Format, default="auto", help="of the results")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="file to write")
    parser.add_argument("-k", "--top-k", type=int | None, default=None, help="classes to show")
    parser.add_argument(
        "--window", type=float | None, default=None, help="[s] decided at once; the model's own"
    )
    parser.add_argument(
        "--plot-input", type=str | None, default=None, help="picture of what the network sees"
    )
    parser.add_argument(
        "--explain", type=str | None, default=None, help="picture of what speaks for the label"
    )
    options = parser.parse_args(arguments)
    if options.top_k is not None and options.top_k < 1:
        parser.error(f"--top-k {options.top_k}: expected 1 or more")
    paths = io.find(options.paths)
    spare(options.output, paths)
    ready(options.output)
    format = _format(options.format, options.output)
    net = verb.resolve(options.model, options.device)
    pictures = {options.plot_input: False, options.explain: True}
    pictures.pop(None, None)
    for path, maps in pictures.items():
        explain.check(path, net, maps)
        spare(path, paths)
        ready(path)
    if pictures and (len(paths) != 1 or str(paths[0]) == "-"):
        raise ValueError(f"{len(paths)} recordings: expected one file to draw a picture of")
    results = verb.classify_files(
        paths,
        model=net,
        device=options.device,
        window=options.window,
        silence_db=options.silence_db,
        channel=options.channel,
        workers=options.workers,
    )
    found = collect(results, len(paths), net, options, "classify")
    labels = list(net.labels)
    text = WRITERS[format](found, labels, options.top_k)
    put(text, options.output)
    if pictures and not found[0].error:
        seen = explain.look(net, found[0], options.window, options.channel)
        for path, maps in pictures.items():
            explain.draw(path, net, seen, maps=maps)
    return tell(found)


def common(parser: Any) -> None:
    """The options that `segment` has too."""
    parser.add_argument(
        "paths", nargs="+", help="files, folders (searched), patterns, - for standard input"
    )
    parser.add_argument("-m", "--model", default=DEFAULT, help="name of weights, or a folder")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--silence-db", type=float, default=SILENCE_DB, help="what is quieter is silence [dB]"
    )
    parser.add_argument(
        "--channel", type=int | Literal["mix"], default="mix", help="mix, or a number from 0"
    )
    parser.add_argument("--workers", type=int, default=0, help="threads at once; as many as cores")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.add_argument("-v", "--verbose", action="store_true", help="say how fast it went")


def collect(results: Iterator[Any], total: int, net: Any, options: Any, verb: str) -> list[Any]:
    """All results, with a progress bar meanwhile and, if asked for, the speed afterwards."""
    began = time.perf_counter()
    found = list(_progress(results, total, options.quiet, verb))
    if options.verbose:
        tell_speed(found, began, net)
    return found


def tell_speed(found: Iterable[Any], began: float, net: Any) -> None:
    """Say how much audio was heard since a time, and how fast."""
    took = max(time.perf_counter() - began, 1e-9)
    seconds = sum(result.seconds for result in found)
    pace = (
        f"{seconds / 60 / took:.2f} hours of audio per minute, {seconds / took:.0f} times real time"
    )
    device = next(net.parameters()).device
    print(f"{seconds / 60:.1f} min of audio in {took:.1f} s on {device}: {pace}", file=sys.stderr)


def spare(output: str | None, paths: Sequence[Path]) -> None:
    """Raise a ValueError where results would replace one of the recordings."""
    if output is not None and Path(output).resolve() in {path.resolve() for path in paths}:
        raise ValueError(f"{output} is one of the recordings: write elsewhere")


def ready(output: str | None) -> None:
    """Raise an OSError where results could not be written, before hours go into them."""
    if output is not None:
        check_target(output)


def put(text: str, output: str | Path | None) -> None:
    """Write results to a file, or to standard output."""
    if output is None:
        sys.stdout.write(text)
    else:
        atomic_text(output, text)


def tell(found: Sequence[Any]) -> int:
    """Say how many files failed; the exit code."""
    failed = [result for result in found if result.error]
    if failed:
        print(f"{len(failed)} of {len(found)} files failed", file=sys.stderr)
    return 1 if failed else 0


def _format(asked: str, output: str | None) -> str:
    if asked != "auto":
        return asked
    if output is None:
        return "table" if sys.stdout.isatty() else "csv"
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{output}: expected a name that ends in {', '.join(filter(None, SUFFIXES))}; "
            "or pass --format"
        )
    return SUFFIXES[suffix]


def _progress(results: Iterator[Any], total: int, quiet: bool, verb: str) -> Iterator[Any]:
    if quiet or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, verb, total, console=console, transient=True)


def _table(found: list[Classification], labels: list[str], top_k: int | None) -> str:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("file", "label", "probability", "silence", "time"):
        table.add_column(name, overflow="fold", justify="left")
    for result in found:
        if result.error:
            table.add_row(escape(result.file), "[red]error[/red]", escape(result.error), "", "")
            continue
        best = ", ".join(f"{name} {p:.2f}" for name, p in result.top(top_k or 3).items())
        table.add_row(
            escape(result.file),
            f"[bold]{result.label}[/bold]",
            best,
            f"{result.silence:.0%}",
            f"{result.seconds:.1f} s",
        )
    out = text_io.StringIO()
    width = None if sys.stdout.isatty() else 200
    Console(file=out, width=width, force_terminal=sys.stdout.isatty() or None).print(table)
    return out.getvalue()


def _csv(found: list[Classification], labels: list[str], top_k: int | None) -> str:
    out = text_io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "label", "probability", *labels, "silence", "seconds", "error"])
    for result in found:
        top = result.top(top_k)
        chances = [f"{top[label]:.6f}" if label in top else "" for label in labels]
        sure = "" if result.probability is None else f"{result.probability:.6f}"
        rest = [f"{result.silence:.4f}", f"{result.seconds:.3f}", result.error or ""]
        writer.writerow([result.file, result.label, sure, *chances, *rest])
    return out.getvalue()


def _jsonl(found: list[Classification], labels: list[str], top_k: int | None) -> str:
    rows = [{**vars(result), "probabilities": result.top(top_k)} for result in found]
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


WRITERS: dict[str, Callable[[list[Classification], list[str], int | None], str]] = {
    "table": _table,
    "csv": _csv,
    "jsonl": _jsonl,
}
