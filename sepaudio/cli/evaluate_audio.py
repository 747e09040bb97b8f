"""`sepaudio evaluate --references ...`: figures of separated audio, whatever made it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics import Comparison
    from ..verbs.scores import Row


def run(arguments: list[str]) -> int:
    """Score audio files, or read scores; 1 when a pair failed."""
    from jsonargparse import ArgumentParser

    from ..verbs import evaluate_audio as verb
    from ..verbs import scores

    parser = ArgumentParser(prog="sepaudio evaluate", description=verb.__doc__)
    where: dict[str, Any] = {"type": str | None, "default": None}
    parser.add_argument("--references", nargs="?", help="folder of clean sources", **where)
    parser.add_argument("--estimates", help="folder of what was made of the mixtures", **where)
    parser.add_argument("--mixtures", help="folder of mixtures, for improvements", **where)
    parser.add_argument("--scores", help="CSV to read instead of audio", **where)
    parser.add_argument(
        "--figures", type=list[str], default=list(verb.USUAL), help=f"some of {list(verb.FIGURES)}"
    )
    parser.add_argument(
        "--truncate", action="store_true", help="stop at each reference's last sample but zeros"
    )
    parser.add_argument("--compare", help="CSV of another system, to test against", **where)
    parser.add_argument("-o", "--output", help="folder for scores.csv, summary.json", **where)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.scores is not None:
        if options.references or options.estimates or options.mixtures:
            parser.error("--scores replaces --references, --estimates and --mixtures")
        rows = scores.from_csv(options.scores)
    elif options.references is None or options.estimates is None:
        parser.error("--references and --estimates: expected both, each a folder")
    else:
        found = verb.evaluate_audio(
            options.references,
            options.estimates,
            options.mixtures,
            figures=options.figures,
            truncate=options.truncate,
        )
        rows = list(_progress(found, options.quiet))
    summary = {"truncated": options.truncate, **scores.summarise(rows)}
    if options.scores is not None:
        del summary["truncated"]  # of which the CSV does not tell
    compared = None
    if options.compare is not None:
        compared = scores.compare(rows, scores.from_csv(options.compare))
        summary["compared"] = {"with": options.compare, "figures": scores.as_dict(compared)}
    _tell(rows, summary, compared)
    if options.output is not None:
        from ..files import atomic_json, atomic_text

        folder = Path(options.output)
        folder.mkdir(parents=True, exist_ok=True)
        atomic_text(folder / "scores.csv", scores.to_csv(rows))
        atomic_json(folder / "summary.json", summary)
    return 1 if summary["failed"] else 0


def _progress(found: Any, quiet: bool) -> Any:
    if quiet or not sys.stderr.isatty():
        return found
    from rich.console import Console
    from rich.progress import track

    return track(found, "evaluate", console=Console(stderr=True), transient=True)


def _tell(rows: list[Row], summary: dict[str, Any], compared: dict[str, Comparison] | None) -> None:
    """Tables to standard output, errors to standard error."""
    from rich.table import Table

    from . import console

    table = Table(box=None, pad_edge=False)
    for name in ("figure", "mean", "95 % interval", "median", "n"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for name, of in summary["figures"].items():
        low, high = of["interval"]
        spread = f"{low:.3f} to {high:.3f}"
        table.add_row(name, f"{of['mean']:.3f}", spread, f"{of['median']:.3f}", str(of["n"]))
    console().print(table)
    if compared is not None:
        table = Table(box=None, pad_edge=False)
        for name in ("figure", "difference", "95 % interval", "p", "files"):
            table.add_column(name, justify="left" if name == "figure" else "right")
        for name, one in compared.items():
            low, high = one.interval
            spread = f"{low:.3f} to {high:.3f}"
            table.add_row(name, f"{one.difference:+.3f}", spread, f"{one.p:.2g}", str(one.n))
        console().print()
        console().print(table)
        console().print(f"p: {next(iter(compared.values())).test}, files paired")
    for what in ("references", "estimates"):
        if summary[f"silent_{what}"]:
            print(f"{summary[f'silent_{what}']} {what} are silent", file=sys.stderr)
    for row in rows:
        if row.error:
            print(f"{row.file}: {row.error}", file=sys.stderr)
    if summary["failed"]:
        print(f"{summary['failed']} of {summary['rows']} rows failed", file=sys.stderr)
