"""The command line: one verb a file, each imported only when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

VERBS = {
    "classify": "name what recordings are: speech, music, noise ...",
    "segment": "say what is heard when: a timeline of speech, music, noise, silence",
    "extract": "write one speaker of a recording, given a recording of that speaker",
    "separate": "write every source of a recording to a file of its own",
    "enroll": "make the embedding of a speaker from recordings",
    "prepare": "check manifests before training, or make an i-vector front-end",
    "train": "train a model from a recipe",
    "compress": "make a trained model smaller: few values, many zeros, low rank",
    "evaluate": "measure a trained model, separated audio, labels or timelines",
    "list": "the architectures and the trained weights",
    "profile": "parameters, arithmetic, latency and receptive field of a model",
    "convert": "weights of other packages to a model folder",
    "doctor": "check this installation",
}


def usage() -> str:
    """The text of `sepaudio --help`."""
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items())
    return (
        "usage: sepaudio VERB ... | --help | --version\n\n"
        "Small networks of separable convolutions for sound.\n\n"
        f"verbs:\n{verbs}\n\n"
        "`sepaudio VERB --help` tells the rest. Results go to standard output, progress and\n"
        "messages to standard error. Exit: 0 done, 1 some failed, 2 wrong usage.\n"
    )


def version() -> str:
    """Versions of this package and of the libraries that its results depend on."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of
    from platform import python_version

    from .. import __version__

    parts = [f"sepaudio {__version__}", f"python {python_version()}"]
    for name in ("torch", "numpy", "soundfile", "soxr", "safetensors"):
        try:
            parts.append(f"{name} {of(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} missing")
    return "\n".join(parts)


def console() -> Console:
    """Standard output for tables; wide enough for them where it is not a terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        raise SystemExit(0 if arguments else 2)
    if arguments[0] in ("-V", "--version", "version"):
        print(version())
        raise SystemExit(0)
    verb, *rest = arguments
    if verb not in VERBS:
        from difflib import get_close_matches

        near = get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f": expected one of {', '.join(VERBS)}"
        print(f"sepaudio: no verb is called {verb!r}{hint}", file=sys.stderr)
        raise SystemExit(2)
    try:
        code = import_module(f"{__name__}.{verb}").run(rest)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("sepaudio: interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (ValueError, OSError, ImportError) as error:
        print(f"sepaudio {verb}: {error}", file=sys.stderr)
        code = 2
    raise SystemExit(code)
