"""`sepaudio separate`: every source of a recording to a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from ..verbs.estimates import Estimated


def run(arguments: list[str]) -> int:
    """Separate files; 0 when all went well, 1 when some failed."""
    from jsonargparse import ArgumentParser

    from .. import io
    from ..verbs import estimates
    from ..verbs import separate as verb
    from ..verbs.given import place

    parser = ArgumentParser(
        prog="sepaudio separate",
        description=(verb.__doc__ or "").strip(),
    )
    parser.add_argument("paths", nargs="+", help="files, folders (searched), patterns")
    parser.add_argument(
        "-m", "--model", default=verb.SEPARATOR, help="model folder or name of weights"
    )
    parser.add_argument("-o", "--output", default=".", help="folder to write to")
    parser.add_argument(
        "--template", default="{stem}_{source}.wav", help="of the names; its suffix is the format"
    )
    common(parser)
    options = parser.parse_args(arguments)
    net = place(options.model, options.device, "separation")
    inputs = io.find(options.paths)
    targets = estimates.names(
        inputs, Path(options.output), options.template, net.cfg.n_src, options.overwrite
    )
    found = estimates.write(
        inputs,
        targets,
        lambda x, rate: verb.separate(
            x, rate, model=net, device=options.device, whole=options.whole
        ),
        options.channel,
        options.subtype,
    )
    return tell(found)


def common(parser: Any) -> None:
    """The options that `extract` has too."""
    from ..verbs.separate import WHOLE

    parser.add_argument("--subtype", type=str | None, default=None, help="PCM_16, FLOAT ...")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--channel", type=int | Literal["mix"], default="mix", help="mix, or a number from 0"
    )
    parser.add_argument("--whole", type=float, default=WHOLE, help="[s] heard at once")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")


def tell(found: Iterable[Estimated]) -> int:
    """Print the files written, and what failed; the exit code."""
    done = failed = 0
    for result in found:
        done += 1
        if result.error:
            failed += 1
            print(result.error, file=sys.stderr)
        for path in result.outputs:
            print(path)
    if failed:
        print(f"{failed} of {done} files failed", file=sys.stderr)
    return 1 if failed else 0
