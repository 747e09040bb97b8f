"""`sepaudio profile`: what a model costs."""

from __future__ import annotations

import json
from dataclasses import asdict


def run(arguments: list[str]) -> int:
    """Print the profile of one model as tables, or as JSON."""
    from jsonargparse import ArgumentParser
    from rich.table import Table

    from .. import hub, registry
    from ..verbs.profile import profile
    from . import console

    parser = ArgumentParser(
        prog="sepaudio profile",
        description="Parameters, multiply-adds, receptive field and latency of a model, and what "
        "dense convolutions in place of its separable ones would have cost.",
    )
    parser.add_argument("model", help="architecture, name of weights, or a model folder")
    parser.add_argument("--seconds", type=float, default=1.0, help="of audio [s]")
    parser.add_argument("--layers", action="store_true", help="show every layer")
    parser.add_argument("--json", action="store_true", help="everything as one JSON object")
    options = parser.parse_args(arguments)
    known = options.model in registry.names(tests=True)
    model = options.model if known else hub.load(options.model, untrained=True)
    result = profile(model, options.seconds)
    if options.json:
        print(json.dumps({**asdict(result), "name": options.model}))
        return 0
    out = console()
    rate = result.sample_rate
    table = Table("", "", "dense instead", box=None, pad_edge=False, show_header=True)
    weights = result.dense_weights - result.weights + result.parameters
    table.add_row("parameters", f"{result.parameters:,}", f"{weights:,}")
    table.add_row(
        f"multiply-adds in {result.seconds:g} s", f"{result.macs:,}", f"{result.dense_macs:,}"
    )
    table.add_row("sample rate", f"{rate} Hz")
    table.add_row("hop", _time(result.hop, rate))
    table.add_row(
        "latency", "whole clip" if result.latency is None else _time(result.latency, rate)
    )
    field = result.receptive_field
    table.add_row("receptive field", "whole clip" if field is None else _time(field, rate))
    table.add_row("streams", "yes" if result.causal else "no")
    out.print(f"[bold]{options.model}[/bold]")
    out.print(table)
    if options.layers:
        table = Table(box=None, pad_edge=False)
        for name in ("layer", "kind"):
            table.add_column(name)
        for name in ("parameters", "multiply-adds", "calls", "dense weights", "dense m.-adds"):
            table.add_column(name, justify="right")
        for row in result.layers:
            numbers = (row.parameters, row.macs, row.calls, row.dense_weights, row.dense_macs)
            table.add_row(row.name, row.kind, *(f"{n:,}" for n in numbers))
        out.print(table)
    return 0


def _time(samples: int, rate: int) -> str:
    return f"{samples:,} samples, {1000 * samples / rate:.4g} ms"
