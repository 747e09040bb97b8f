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

    from .scores import add_options

    parser = ArgumentParser(
        prog="sepaudio evaluate",
        description="Accuracy of a classifier on the recordings of a manifest (a CSV with path, "
        "kind, license, source, split), per window. SI-SNR of a separator or an extractor on lists "
        "of mixtures (a CSV with mixture_id, source_1_path ...). Of audio that is there, whatever "
        "made it: `sepaudio evaluate --references DIR --estimates DIR`, of which "
        "`sepaudio evaluate --references --help` tells. Of labels or timelines that are there: "
        "`sepaudio evaluate --labels REFERENCE --predictions FILE`, see `--labels --help`.",
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
        help="JSON file to write; of mixtures a folder for one CSV a list, a summary and examples",
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
    options = parser.parse_args(arguments)
    from ..files import atomic_text
    from ..verbs import evaluate as verb
    from ..verbs.given import place

    net = place(options.model, options.device, "classification", "separation", "extraction")
    if net.task != "classification":
        return _mixtures(net, options)
    for name in ("metrics", "compare", "plot", "genders"):
        if getattr(options, name) is not None:
            parser.error(f"--{name} is for lists of mixtures, but {options.model} classifies")
    began = time.perf_counter()
    scores = verb.evaluate(
        net, options.manifests, split=options.split, seconds=options.seconds, device=options.device
    )
    took = time.perf_counter() - began
    minutes = sum(score.minutes for score in scores)  # heard anew for every length of the windows
    speed = 60 * minutes / took
    print(verb.as_markdown(scores, list(net.labels)), end="")
    device = next(net.parameters()).device
    print(
        f"{minutes:.1f} min of audio in {took:.1f} s on {device}: {speed:.0f} times real time",
        file=sys.stderr,
    )
    if options.output is not None:
        told = [{**one, "times_real_time": speed} for one in verb.as_dict(scores)]
        atomic_text(Path(options.output), json.dumps(told, indent=2) + "\n")
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
