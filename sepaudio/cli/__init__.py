"""The command line: one verb a file, each imported only when it is called."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    options = rest[: rest.index("--")] if "--" in rest else rest
    for word in options:
        if re.match(r"-[^=]*\.", word) and os.path.lexists(word):
            print(
                f"sepaudio {verb}: {word} is taken for an option: expected the name of a file with "
                f"its folder; write {os.path.join('.', word)}",  # noqa: PTH118
                file=sys.stderr,
            )
            raise SystemExit(2)
    raise SystemExit(
        guarded(f"sepaudio {verb}", lambda: import_module(f"{__name__}.{verb}").run(rest))
    )


def key_values(arguments: Sequence[str] | None = None) -> tuple[list[str], list[str]]:
    """The words key=value, wherever they stand, and the others; names of files are among these.

    Args:
        arguments: of the command line; those of this process when None.
    """
    words = sys.argv[1:] if arguments is None else arguments
    values = [x for x in words if re.match(r"[\w.]+=", x) and not os.path.exists(x)]  # noqa: PTH110
    return values, [x for x in words if x not in values]


def script(work: Callable[[], object]) -> None:
    """Run a program beside the package, such as one of data_prep/; exit where it fails."""
    if code := guarded(os.path.basename(sys.argv[0]), work):  # noqa: PTH119
        raise SystemExit(code)


def guarded(name: str, work: Callable[[], object]) -> int:
    """The exit code of `work`: what it returns, or 0; what a user got wrong is told in a line.

    Ctrl-C gives 130 and SIGTERM 143, after what was being written has been removed.
    """
    try:
        with _terminable():
            code = work()
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning makes an exit with 1 of Ctrl-C, and says nothing
        pressed = stop if isinstance(stop, KeyboardInterrupt) else stop.__context__
        if not isinstance(pressed, KeyboardInterrupt):
            raise
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, ImportError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _by_default() -> None:
    """A worker process has nothing to remove, and is ended by SIGTERM as it comes.

    With the handler above it would miss one that comes just before it waits for work.
    """
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_by_default)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the program as an exception does, so that temporary files go with it."""
    if threading.current_thread() is not threading.main_thread():  # none else may set handlers
        yield
        return

    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
