"""`sepaudio evaluate --labels ... --predictions ...`: figures of labels, whatever made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run(arguments: list[str]) -> int:
    """Judge labels or timelines; print tables, and write what is asked for."""
    from jsonargparse import ArgumentParser

    from ..files import atomic_json, atomic_text
    from ..verbs import evaluate_labels as verb
    from ..verbs import judged, report, report_labels, scores
    from ..verbs.evaluate_timelines import TimelineCfg

    parser = ArgumentParser(prog="sepaudio evaluate", description=verb.__doc__)
    text: dict[str, Any] = {"type": str | None, "default": None}
    parser.add_argument("--labels", nargs="?", help="the reference: a file or a folder", **text)
    parser.add_argument("--predictions", help="what is judged: a file or a folder", **text)
    parser.add_argument("--compare", help="predictions of another system", **text)
    parser.add_argument(
        "--missing",
        default="error",
        help="recordings without a prediction: "
        + "; ".join(f"{name}: {what}" for name, what in verb.MISSING.items()),
    )
    parser.add_argument("--draws", type=int, default=judged.DRAWS, help="of files, for intervals")
    usual = TimelineCfg()
    timelines = parser.add_argument_group("timelines")
    for name, what in (("frame", "length of a frame [s]"), ("segment", "length of a segment [s]"),
                       ("collar", "how far ends of events may be off [s]")):  # fmt: skip
        timelines.add_argument(f"--{name}", type=float, default=getattr(usual, name), help=what)
    parser.add_argument(
        "-o", "--output", help="folder for files.csv, confusion.csv and summary.json", **text
    )
    parser.add_argument("--plot", help="picture of the confusion", **text)
    options = parser.parse_args(arguments)
    if options.labels is None or options.predictions is None:
        parser.error("--labels and --predictions: expected both, each a file or a folder")
    if options.plot is not None:
        report.check_plot(options.plot)
    cfg = TimelineCfg(frame=options.frame, segment=options.segment, collar=options.collar)
    how: dict[str, Any] = {"cfg": cfg, "missing": options.missing}
    ours = verb.evaluate_labels(options.labels, options.predictions, **how)
    summary = judged.summarise(ours, options.draws)
    print(report_labels.as_markdown(summary), end="")
    if options.compare is not None:
        theirs = verb.evaluate_labels(options.labels, options.compare, **how)
        shared = set(ours.files) & set(theirs.files)
        one, other = (
            verb.evaluate_labels(options.labels, path, only=shared, **how)
            for path in (options.predictions, options.compare)
        )
        found = judged.compare(one, other, options.draws)
        summary["compared"] = {"with": options.compare, "figures": scores.as_dict(found)}
        name = f"{Path(options.predictions).stem} - {Path(options.compare).stem}"
        print(f"\n{report.compared_as_markdown({name: found})}", end="")
    if options.output is not None:
        folder = Path(options.output)
        folder.mkdir(parents=True, exist_ok=True)
        atomic_text(folder / "files.csv", judged.to_csv(ours))
        atomic_text(folder / "confusion.csv", judged.confusion_csv(ours))
        atomic_json(folder / "summary.json", summary)
    if options.plot is not None:
        report_labels.plot(options.plot, ours)
    return 0
