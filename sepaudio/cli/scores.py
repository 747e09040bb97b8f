"""What both forms of `sepaudio evaluate` for audio share: options, tables, files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..verbs.scores import Row


def add_options(parser: Any) -> None:
    """Options of what is measured, compared and written."""
    from ..verbs.measure import FIGURES

    path: dict[str, Any] = {"type": str | None, "default": None}
    parser.add_argument(
        "--metrics", help=f"beside SI-SNR, with commas between: some of {','.join(FIGURES)}", **path
    )
    parser.add_argument("--sir", default="-5,-2,2,5", help="where ranges of input SIR meet [dB]")
    parser.add_argument("--compare", help="another system: CSV or its folder", **path)
    parser.add_argument("--plot", help="picture of what was found", **path)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def with_levels(arguments: list[str]) -> list[str]:
    """`--sir -5,5` as `--sir=-5,5`, since argparse takes what begins with a dash for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--sir" and argument[:1] == "-" and argument[1:2].isdigit():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def asked(options: Any) -> list[str] | None:
    """The figures named by --metrics; None without it."""
    return None if options.metrics is None else [x.strip() for x in options.metrics.split(",")]


def report(found: Mapping[str, Iterable[Row]], options: Any, **about: Any) -> int:
    """Measure list by list and tell: tables to standard output, errors to standard error.

    Args:
        found: rows by list; measured when they are asked for.
        options: those of `add_options`, and `output`: a folder, or None.
        **about: plain values for the summaries.

    Returns:
        The exit code: 1 when a row failed.
    """
    from ..files import atomic_json, atomic_text
    from ..verbs import report as verb
    from ..verbs import scores

    sir = _levels(options.sir)
    scores.groups([], sir)  # refuses what does not rise before anything is measured
    if options.plot is not None:
        verb.check_plot(options.plot)
    theirs = {} if options.compare is None else _theirs(Path(options.compare), list(found))
    folder = None if options.output is None else Path(options.output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Row]] = {}
    summaries: dict[str, Any] = {}
    for name, measured in found.items():
        rows[name] = list(_progress(measured, name, options.quiet))
        summaries[name] = {**about, **scores.summarise(rows[name], sir)}
        if folder is not None:
            atomic_text(folder / f"{name}.csv", scores.to_csv(rows[name]))
    print(verb.as_markdown(summaries), end="")
    compared = {name: scores.compare(rows[name], theirs[name]) for name in theirs}
    for name, one in compared.items():
        summaries[name]["compared"] = {"with": options.compare, "figures": scores.as_dict(one)}
    if compared:
        print(f"\n{verb.compared_as_markdown(compared)}", end="")
    if folder is not None:
        atomic_json(folder / "summary.json", summaries)
    if options.plot is not None:
        verb.plot(options.plot, rows)
    for name, summary in summaries.items():
        _complain(rows[name], summary)
    return 1 if any(summary["failed"] for summary in summaries.values()) else 0


def _levels(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--sir {text!r}: expected levels in dB, as -5,-2,2,5") from None


def _theirs(path: Path, names: list[str]) -> dict[str, list[Row]]:
    """Scores to compare with, by list."""
    from ..verbs.scores import from_csv

    if path.is_dir():
        return {name: from_csv(path / f"{name}.csv") for name in names}
    if len(names) > 1:
        raise ValueError(
            f"--compare {path} for the lists {', '.join(names)}: expected the folder that holds "
            "a CSV of each"
        )
    return {names[0]: from_csv(path)}


def _progress(measured: Iterable[Row], name: str, quiet: bool) -> Iterable[Row]:
    if quiet or not sys.stderr.isatty():
        return measured
    from rich.console import Console
    from rich.progress import track

    return track(measured, name, console=Console(stderr=True), transient=True)


def _complain(rows: list[Row], summary: dict[str, Any]) -> None:
    for what in ("references", "estimates"):
        if summary[f"silent_{what}"]:
            print(f"{summary[f'silent_{what}']} {what} are silent", file=sys.stderr)
    for row in rows:
        if row.error:
            print(f"{row.file}: {row.error}", file=sys.stderr)
    if summary["failed"]:
        print(f"{summary['failed']} of {summary['rows']} rows failed", file=sys.stderr)
