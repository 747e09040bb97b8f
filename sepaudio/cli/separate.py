"""`sepaudio separate`: every source of a recording to a file of its own."""

from __future__ import annotations

import sys
import time
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
    inputs = io.find(options.paths)
    if Path(options.output).suffix.lower() in io.SUFFIXES and not Path(options.output).is_dir():
        parser.error(
            f"-o {options.output}: expected a folder, as a recording gives several files; "
            "--template says their names"
        )
    net = place(options.model, options.device, "separation")
    targets = estimates.names(
        inputs, Path(options.output), options.template, net.cfg.n_src, options.overwrite
    )
    check_format(targets, options)
    found = estimates.write(
        inputs,
        targets,
        lambda x, rate: (
            *verb.separate(x, rate, model=net, device=options.device, whole=options.whole),
            None,
        ),
        options.channel,
        options.subtype,
        options.workers,
        options.clip,
    )
    return tell(found, net, options.verbose)


def common(parser: Any) -> None:
    """The options that `extract` has too."""
    from ..verbs.separate import WHOLE

    parser.add_argument("--subtype", type=str | None, default=None, help="PCM_16, FLOAT ...")
    parser.add_argument(
        "--clip", action="store_true", help="cut off what is too loud for the subtype"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--channel", type=int | Literal["mix"], default="mix", help="mix, or a number from 0"
    )
    parser.add_argument("--whole", type=float, default=WHOLE, help="[s] heard at once")
    parser.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--workers", type=int, default=0, help="files at once, each by one thread")
    parser.add_argument("-v", "--verbose", action="store_true", help="say how fast it went")


def check_format(targets: Iterable[Iterable[Path]], options: Any) -> None:
    """Raise a ValueError for names and encodings that could not be written, before the work."""
    from .. import io

    for row in targets:
        for target in row:
            io.encoding(target, options.subtype)


def tell(results: Iterable[Estimated], net: Any, verbose: bool = False) -> int:
    """Print the files written, what failed and, if asked for, how fast it went; the exit code."""
    from .classify import tell as tell_failed
    from .classify import tell_speed

    began, found = time.perf_counter(), []
    for result in results:
        found.append(result)
        if result.error:
            print(result.error, file=sys.stderr)
        for path in result.outputs:
            print(path)
    if verbose:
        tell_speed(found, began, net)
    return tell_failed(found)
