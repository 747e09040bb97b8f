"""`sepaudio evaluate`: figures of a classifier on a manifest."""

from __future__ import annotations

import json
from pathlib import Path


def run(arguments: list[str]) -> int:
    """Print a table, and write everything as JSON when asked."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="sepaudio evaluate",
        description="Accuracy of a classifier on the recordings of a manifest (a CSV with path, "
        "kind, license, source, split), per window.",
    )
    parser.add_argument("model", help="name of weights, or a model folder")
    parser.add_argument("manifests", nargs="+", help="CSV files")
    parser.add_argument("--split", default="test", help="train, valid, test or all")
    parser.add_argument(
        "--seconds", type=list[float], default=[0.5, 1.0, 2.0], help="window lengths, as [1,2]"
    )
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("-o", "--output", type=str | None, default=None, help="JSON file to write")
    options = parser.parse_args(arguments)
    from ..files import atomic_text
    from ..verbs import evaluate as verb
    from ..verbs.classify import resolve

    net = resolve(options.model, options.device)
    scores = verb.evaluate(
        net, options.manifests, split=options.split, seconds=options.seconds, device=options.device
    )
    print(verb.as_markdown(scores, list(net.labels)), end="")
    if options.output is not None:
        text = json.dumps(verb.as_dict(scores), indent=2) + "\n"
        atomic_text(Path(options.output), text)
    return 0
