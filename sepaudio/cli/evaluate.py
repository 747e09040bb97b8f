"""`sepaudio evaluate`: a classifier on a manifest, or any other model on lists of mixtures.

With `--references` or `--scores` it is about audio, not about a model: see `evaluate_audio`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any


def run(arguments: list[str]) -> int:
    """Print a table, and write everything as JSON when asked."""
    if {word.split("=")[0] for word in arguments} & {"--references", "--scores"}:
        from .evaluate_audio import run as run_audio

        return run_audio(arguments)
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        prog="sepaudio evaluate",
        description="Accuracy of a classifier on the recordings of a manifest (a CSV with path, "
        "kind, license, source, split), per window. SI-SNR of a separator or an extractor on lists "
        "of mixtures (a CSV with mixture_id, source_1_path ...). Of audio that is there, whatever "
        "made it: `sepaudio evaluate --references DIR --estimates DIR`, of which "
        "`sepaudio evaluate --references --help` tells.",
    )
    parser.add_argument("model", help="name of weights, or a model folder")
    parser.add_argument("manifests", nargs="+", help="CSV files: manifests, or lists of mixtures")
    parser.add_argument("--split", default="test", help="train, valid, test or all")
    parser.add_argument(
        "--seconds", type=list[float], default=[0.5, 1.0, 2.0], help="window lengths, as [1,2]"
    )
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "-o",
        "--output",
        type=str | None,
        default=None,
        help="JSON file to write; of mixtures a folder for one CSV a list, a summary and examples",
    )
    options = parser.parse_args(arguments)
    from ..files import atomic_text
    from ..verbs import evaluate as verb
    from ..verbs.given import place

    net = place(options.model, options.device, "classification", "separation", "extraction")
    if net.task != "classification":
        return _mixtures(net, options.manifests, options.output)
    scores = verb.evaluate(
        net, options.manifests, split=options.split, seconds=options.seconds, device=options.device
    )
    print(verb.as_markdown(scores, list(net.labels)), end="")
    if options.output is not None:
        text = json.dumps(verb.as_dict(scores), indent=2) + "\n"
        atomic_text(Path(options.output), text)
    return 0


def _mixtures(net: Any, lists: list[str], output: str | None) -> int:
    """Score lists of mixtures; print a table, write every mixture and the summary."""
    from ..files import atomic_json, atomic_text
    from ..verbs import evaluate_mixtures as verb

    folder = None if output is None else Path(output)
    print(verb.HEAD, end="")
    found = {}
    for name in lists:
        stem = Path(name).stem
        examples = None if folder is None else folder / stem
        scored = verb.evaluate_mixtures(net, name, examples=examples)
        found[stem] = verb.summary(scored)
        print(verb.as_markdown(stem, found[stem]), end="", flush=True)
        if folder is not None:
            atomic_text(folder / f"{stem}.csv", verb.as_csv(scored))
    if folder is not None:
        atomic_json(folder / "summary.json", {name: asdict(one) for name, one in found.items()})
    return 0
