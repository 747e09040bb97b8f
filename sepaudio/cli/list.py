"""`sepaudio list`: architectures and weights, apart."""

from __future__ import annotations

from typing import Any


def run(arguments: list[str]) -> int:
    """Print both lists."""
    import torch
    from jsonargparse import ArgumentParser
    from rich.table import Table

    from .. import hub, registry
    from . import console

    parser = ArgumentParser(
        prog="sepaudio list",
        description="Architectures can be trained and profiled; weights are trained already "
        "and ship with the package.",
    )
    parser.parse_args(arguments)
    out = console()
    table = Table("weights", "architecture", "labels", "licence", "about", box=None, pad_edge=False)
    for name, about in sorted(hub.weights().items()):
        labels = ", ".join(about["labels"])
        table.add_row(name, about["architecture"], labels, about["license"], about["about"])
    out.print(table)
    out.print()
    table = Table("architecture", "job", "parameters", "rate", "streams", box=None, pad_edge=False)
    for name in registry.names():
        with torch.device("meta"):  # sizes without memory
            model: Any = registry.create(name)
        count = sum(p.numel() for p in model.parameters())
        streams = "yes" if model.causal else "no"
        table.add_row(name, model.task, f"{count:,}", f"{model.sample_rate} Hz", streams)
    out.print(table)
    return 0
