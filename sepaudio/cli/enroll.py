"""`sepaudio enroll FILE ... -o speaker.safetensors`."""

from __future__ import annotations

import sys
from typing import Literal


def run(arguments: list[str]) -> int:
    """Write the embedding and print what the recordings are worth."""
    from jsonargparse import ArgumentParser

    from ..verbs.separate import EXTRACTOR

    parser = ArgumentParser(
        prog="sepaudio enroll",
        description="Make the embedding of one speaker from one or several recordings.",
    )
    parser.add_argument("paths", nargs="+", help="files, folders (searched), patterns")
    parser.add_argument(
        "-m",
        "--model",
        default=EXTRACTOR,
        help="an extractor with a speaker front-end, or what `sepaudio prepare ivector` wrote",
    )
    parser.add_argument("-o", "--output", required=True, help=".safetensors file to write")
    parser.add_argument(
        "--pooling",
        type=Literal["statistics", "vectors"] | None,
        default=None,
        help="several recordings as one long one (i-vectors' default), or the mean of vectors",
    )
    options = parser.parse_args(arguments)
    from rich.markup import escape
    from rich.table import Table

    from .. import hub, io
    from ..verbs.enroll import enroll_files
    from . import console

    made = enroll_files(io.find(options.paths), model=options.model, pooling=options.pooling)
    hub.save_embedding(made.embedding, options.output)
    table = Table(box=None, pad_edge=False)
    for name in ("file", "seconds", "voiced", "level", "clipping", "similarity"):
        table.add_column(name, overflow="fold")
    for q in made.recordings:
        similar = "" if q.similarity is None else f"{q.similarity:.2f}"
        table.add_row(
            escape(q.file),
            f"{q.seconds:.1f}",
            f"{q.voiced:.1f}",
            f"{q.level:.1f} dB",
            f"{q.clipping:.2%}",
            similar,
        )
    console().print(table)
    if worth := made.doubts():
        print(f"warning: {worth}", file=sys.stderr)
    return 0
