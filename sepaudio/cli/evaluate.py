"""`sepaudio evaluate`: a classifier on a manifest, or any other model on lists of mixtures.

With `--references` or `--scores` it is about audio, not about a model: see `evaluate_audio`; with
`--labels` about labels and timelines: see `evaluate_labels`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def run(arguments: list[str]) -> int:
    """Print a table, and write everything as JSON when asked."""
    words = {word.split("=")[0] for word in arguments}
    if words & {"--references", "--scores"}:
        from .evaluate_audio import run as run_audio

        return run_audio(arguments)
    if words & {"--labels", "--predictions"}:
        from .evaluate_labels import run as run_labels

        return run_labels(arguments)
    from jsonargparse import ArgumentParser

    from .scores import add_options, with_levels

    parser = ArgumentParser(
        prog="sepaudio evaluate",
        description="A classifier on the recordings of a manifest (a CSV with path, kind, license, "
        "source, split), per window and as a whole: accuracy, F1, average precision, calibration, "
        "confusion, with --compare against another model (its name or folder). SI-SNR of a "
        "separator or an extractor on lists of mixtures (a CSV with mixture_id, source_1_path and "
        "so on). Of audio that is there, whatever made it: `sepaudio evaluate --references DIR "
        "--estimates DIR`, of which `sepaudio evaluate --references --help` tells. Of labels or "
        "timelines that are there: `sepaudio evaluate --labels REFERENCE --predictions FILE`, see "
        "`--labels --help`.",
    )
    parser.add_argument("model", help="name of weights, or a model folder")
    parser.add_argument("manifests", nargs="+", help="CSV files: manifests, or lists of mixtures")
    parser.add_argument("--split", default="test", help="train, valid, test or all")
    parser.add_argument(
        "--seconds",
        type=list[float] | None,
        default=None,
        help="window lengths, as [1,2]; by default the model's own, or 0.5, 1 and 2",
    )
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "-o",
        "--output",
        type=str | None,
        default=None,
        help="JSON file to write; or a folder: of a classifier for files.csv, confusion.csv, "
        "summary.json; of mixtures for one CSV a list, a summary and examples",
    )
    of_mixtures = parser.add_argument_group("lists of mixtures")
    add_options(of_mixtures)
    of_mixtures.add_argument(
        "--whole", action="store_true", help="measure the padding of lists of mode max too"
    )
    of_mixtures.add_argument(
        "--genders",
        type=str | None,
        default=None,
        help="CSV with speaker and gender, such as a manifest, for lists that have none",
    )
    of_mixtures.add_argument(
        "--least",
        type=float | None,
        default=None,
        help="probability of the enrolled speaker below which an estimate is silenced, if not the "
        "model's own; 0: never",
    )
    of_mixtures.add_argument("--examples", type=int, default=3, help="mixtures written as audio")
    options = parser.parse_args(with_levels(arguments))
    from ..verbs.given import place

    net = place(options.model, options.device, "classification", "separation", "extraction")
    if net.task != "classification":
        return _mixtures(net, options)
    for name in ("metrics", "genders"):
        if getattr(options, name) is not None:
            parser.error(f"--{name} is for lists of mixtures, but {options.model} classifies")
    return _classifier(net, options)


def _classifier(net: Any, options: Any) -> int:
    """Score a classifier on the recordings of manifests."""
    from ..files import atomic_json, atomic_text
    from ..verbs import evaluate as verb
    from ..verbs import judged, report, report_labels
    from ..verbs import scores as rows
    from ..verbs.given import place

    if options.plot is not None:
        report.check_plot(options.plot)
    other = options.compare and place(options.compare, options.device, "classification")
    if other and other.labels != net.labels:
        raise ValueError(
            f"{options.compare} knows {', '.join(other.labels)}: expected the classes of "
            f"{options.model}, {', '.join(net.labels)}, in this order"
        )
    how = {"split": options.split, "seconds": options.seconds}
    labels, began = list(net.labels), time.perf_counter()
    found = verb.listen(net, options.manifests, **how)
    took = time.perf_counter() - began
    # heard anew for every length of the windows
    minutes = sum(track.seconds for tracks in found.values() for track in tracks) / 60
    speed = 60 * minutes / took
    windows = []
    if not getattr(net, "several", False):
        windows = [verb.summarise(tracks, labels, s) for s, tracks in found.items()]
        print(verb.as_markdown(windows, labels))
    length = max(found)
    ours = verb.judge(found[length], labels)
    summary = judged.summarise(ours)
    print(f"Recordings as a whole, by windows of {length:g} s: ", end="")
    print(report_labels.as_markdown(summary), end="")
    pace = f"{minutes / took:.2f} hours of audio per minute, {speed:.0f} times real time"
    device = next(net.parameters()).device
    print(f"{minutes:.1f} min of audio in {took:.1f} s on {device}: {pace}", file=sys.stderr)
    if other:
        heard = verb.listen(other, options.manifests, **how)
        theirs = verb.judge(heard[max(heard)], labels)
        compared = judged.compare(ours, theirs)
        summary["compared"] = {"with": options.compare, "figures": rows.as_dict(compared)}
        name = f"{options.model} - {options.compare}"
        print(f"\n{report.compared_as_markdown({name: compared})}", end="")
    told = [{**one, "times_real_time": speed} for one in verb.as_dict(windows)]
    if options.output is not None and Path(options.output).suffix == ".json":
        atomic_text(Path(options.output), json.dumps(told, indent=2) + "\n")
    elif options.output is not None:
        folder = Path(options.output)
        folder.mkdir(parents=True, exist_ok=True)
        atomic_text(folder / "files.csv", judged.to_csv(ours))
        atomic_text(folder / "confusion.csv", judged.confusion_csv(ours))
        atomic_json(folder / "summary.json", {**summary, "windows": told})
    if options.plot is not None:
        report_labels.plot(options.plot, ours)
    return 0


def _mixtures(net: Any, options: Any) -> int:
    """Score lists of mixtures."""
    from ..data.manifest import genders
    from ..verbs.evaluate_mixtures import evaluate_mixtures
    from .scores import asked, report

    known = None if options.genders is None else genders(options.genders)
    found = {}
    for path in map(Path, options.manifests):
        if path.stem in found:
            raise ValueError(f"{path} and another list are called {path.stem}: rename one")
        found[path.stem] = evaluate_mixtures(
            net,
            path,
            figures=asked(options) or (),
            truncate=not options.whole,
            genders=known,
            least=options.least,
            device=options.device,
            examples=None if options.output is None else Path(options.output) / path.stem,
            n_examples=options.examples,
        )
    return report(found, options, truncated=not options.whole)
