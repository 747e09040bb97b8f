"""`sepaudio convert`: weights of other packages as a model folder."""

from __future__ import annotations

import json
from typing import Any


def run(arguments: list[str]) -> int:
    """Convert one file."""
    from jsonargparse import ArgumentParser

    from ..convert import CONVERTERS
    from ..verbs.convert import UNKNOWN, convert

    sources = "; ".join(f"{name}: {source.what}" for name, source in CONVERTERS.items())
    parser = ArgumentParser(
        prog="sepaudio convert",
        description="Write a model folder from weights of another package. Files that would run "
        f"code when read are refused. Sources: {sources}.",
    )
    parser.add_argument("file", help=".safetensors, .pth, .pt, .bin, .ckpt or .th")
    parser.add_argument("--from", dest="source", required=True, help=", ".join(CONVERTERS))
    parser.add_argument("--to", type=str | None, default=None, help="architecture")
    parser.add_argument("--sample-rate", type=int | None, default=None, help="[Hz]")
    parser.add_argument(
        "--say", nargs="+", default=[], help="what else the file does not say, as mask=relu"
    )
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--license", default=UNKNOWN, help="of the weights, such as CC-BY-4.0")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    options = parser.parse_args(arguments)
    said = dict(map(_pair, options.say))
    for key, value in (("architecture", options.to), ("sample_rate", options.sample_rate)):
        if value is not None:
            said[key] = value
    model = convert(
        options.file,
        options.source,
        options.output,
        license=options.license,
        overwrite=options.overwrite,
        said=said,
    )
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.output}: {type(model).__name__}, {parameters:,} parameters")
    return 0


def _pair(text: str) -> tuple[str, Any]:
    """key=value; a number where it reads as one."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise ValueError(f"{text!r}: expected key=value, such as mask=relu")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
