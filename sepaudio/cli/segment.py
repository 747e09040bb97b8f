"""`sepaudio segment`: timelines as CSV, JSON lines, RTTM, TextGrid or Audacity labels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..verbs.classify import DEFAULT
from .classify import collect, common, put, ready, spare, tell

Format = Literal["auto", "csv", "jsonl", "rttm", "textgrid", "audacity"]
OPTIONS = {
    "switch": "price of a change of class for viterbi [nats x s]",
    "median": "length of the median filter [s]",
    "hysteresis": "by how much another class must lead, unless by viterbi",
    "offset": "how far the model's answers lie behind the sound [s]",
    "speech-reach": "how much sooner speech begins and later it ends in the answers [s]",
    "min-duration": "shortest stretch of a class [s]",
    "min-silence": "shortest silence [s]",
    "noise-bias": "by how much noise is favoured [nats]; what the weights ask for unless given",
}


def run(arguments: list[str]) -> int:
    """Segment files; 0 when all went well, 1 when some failed."""
    from jsonargparse import ArgumentParser

    from .. import io
    from ..verbs import segment as verb
    from ..verbs.report import check_plot

    parser = ArgumentParser(prog="sepaudio segment", description=(verb.__doc__ or "").strip())
    common(parser)
    parser.add_argument("-f", "--format", type=Format, default="auto", help="csv unless -o says")
    parser.add_argument(
        "-o",
        "--output",
        type=str | None,
        default=None,
        help="file to write; a folder for a TextGrid or label track each of several recordings",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files in that folder")
    parser.add_argument("--plot", type=str | None, default=None, help="picture of one recording")
    parser.add_argument(
        "--overlap",
        action="store_true",
        help=f"speech and music each by itself, by the weights {verb.OVERLAPPING}",
    )
    usual = verb.SegmentCfg()
    parser.add_argument(
        "--smoothing", type=Literal[verb.SMOOTHING], default=usual.smoothing, help="how"
    )
    for name, what in OPTIONS.items():
        default = getattr(usual, name.replace("-", "_"))
        kind: Any = float if default is not None else float | None
        parser.add_argument(f"--{name}", type=kind, default=default, help=what)
    options = parser.parse_args(arguments)
    names = ("smoothing", "silence_db", *(name.replace("-", "_") for name in OPTIONS))
    cfg = verb.SegmentCfg(**{name: getattr(options, name) for name in names})
    paths = io.find(options.paths)
    format = _format(options.format, options.output)
    targets = _targets(paths, format, options)
    if options.plot is not None:
        if len(paths) != 1:
            raise ValueError(f"--plot with {len(paths)} recordings: expected one; name one file")
        check_plot(options.plot)
        ready(options.plot)
    if options.overlap and options.model == DEFAULT:
        options.model = verb.OVERLAPPING
    net = verb.resolve(options.model, options.device)
    if options.overlap and not getattr(net, "several", False):
        raise ValueError(
            f"--overlap with {options.model}, which says one class at a time: expected a model "
            f"that judges classes by themselves; leave --model out for {verb.OVERLAPPING}"
        )
    results = verb.segment_files(
        paths, model=net, cfg=cfg, channel=options.channel, workers=options.workers
    )
    found = collect(results, len(paths), net, options, "segment")
    _write(found, format, targets)
    if options.plot is not None and not found[0].error:
        from ..verbs.picture import draw

        blocks = io.blocks(paths[0], verb.BLOCK, net.sample_rate, options.channel)
        draw(options.plot, found[0], blocks, int(net.sample_rate))
    return tell(found)


def _format(asked: str, output: str | None) -> str:
    from ..data.timeline import format_of

    if asked != "auto":
        return asked
    return "csv" if output is None else format_of(output)


def _targets(paths: Sequence[Path], format: str, options: Any) -> list[Path | None]:
    """The one file for all recordings, or a file for each; None is standard output."""
    from ..data.timeline import known
    from ..verbs.estimates import names

    output, one = options.output, known(format)
    spare(output, paths)
    if format == "rttm":
        _need_other_stems(
            paths, "are both {!r} in RTTM, which knows recordings by their names without suffix"
        )
    if not one.single:
        ready(output)
        return [None if output is None else Path(output)]
    if len(paths) == 1 and not (output and Path(output).is_dir()):
        ready(output)
        return [None if output is None else Path(output)]
    if output is None:
        raise ValueError(
            f"{len(paths)} recordings: {format} holds one; name a folder with -o, or use csv"
        )
    template = f"{{stem}}{one.suffixes[0]}"
    _need_other_stems(paths, f"would both be written to {{}}{one.suffixes[0]}")
    return [row[0] for row in names(paths, Path(output), template, 1, options.overwrite)]


def _need_other_stems(paths: Sequence[Path], why: str) -> None:
    """Raise a ValueError, `why` with the stem in it, for recordings that share one."""
    known: dict[str, Path] = {}
    for path in paths:
        other = known.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(
                f"{other} and {path} {why.format(path.stem)}: rename one, or use csv or jsonl"
            )


def _write(found: Sequence[Any], format: str, targets: Sequence[Path | None]) -> None:
    """Write timelines; where the format cannot hold errors, they go to standard error."""
    from ..data import timeline

    if format not in ("csv", "jsonl"):
        for one in found:
            if one.error:
                print(one.error, file=sys.stderr)
    if not timeline.known(format).single:
        put(timeline.text(found, format), targets[0])
        return
    for one, target in zip(found, targets, strict=True):
        if not one.error:
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
            put(timeline.text([one], format), target)
