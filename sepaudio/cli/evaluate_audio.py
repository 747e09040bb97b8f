"""`sepaudio evaluate --references ...`: figures of separated audio, whatever made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run(arguments: list[str]) -> int:
    """Score audio files, or read scores; 1 when a pair failed."""
    from jsonargparse import ArgumentParser

    from ..verbs import evaluate_audio as verb
    from ..verbs.scores import from_csv
    from .scores import add_options, asked, report, with_levels

    parser = ArgumentParser(prog="sepaudio evaluate", description=verb.__doc__)
    where: dict[str, Any] = {"type": str | None, "default": None}
    parser.add_argument("--references", nargs="?", help="folder of clean sources", **where)
    parser.add_argument("--estimates", help="folder of what was made of the mixtures", **where)
    parser.add_argument("--mixtures", help="folder of mixtures, for improvements", **where)
    parser.add_argument("--scores", help="CSV to read instead of audio", **where)
    parser.add_argument(
        "--truncate", action="store_true", help="stop at each reference's last sample but zeros"
    )
    add_options(parser)
    parser.add_argument("-o", "--output", help="folder for scores.csv, summary.json", **where)
    options = parser.parse_args(with_levels(arguments))
    if options.scores is not None:
        if options.references or options.estimates or options.mixtures or options.metrics:
            parser.error("--scores replaces --references, --estimates, --mixtures and --metrics")
        return report({Path(options.scores).stem: from_csv(options.scores)}, options)
    if options.references is None or options.estimates is None:
        parser.error("--references and --estimates: expected both, each a folder")
    found = verb.evaluate_audio(
        options.references,
        options.estimates,
        options.mixtures,
        figures=asked(options) or verb.USUAL,
        truncate=options.truncate,
    )
    return report({"scores": found}, options, truncated=options.truncate)
