"""`sepaudio extract meeting.wav --enroll anna.wav -o anna_only.wav`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data import table
from ..verbs.estimates import Estimated
from ..verbs.presence import Heard

COLUMNS = ("file", "start", "end", "presence")


def run(arguments: list[str]) -> int:
    """Extract one speaker from files; 0 when all went well, 1 when some failed."""
    from jsonargparse import ArgumentParser

    from .. import hub, io
    from ..verbs import estimates
    from ..verbs import separate as verb
    from ..verbs.given import place
    from .separate import check_format, common, tell

    parser = ArgumentParser(
        prog="sepaudio extract",
        description="One speaker out of recordings. " + (verb.__doc__ or "").split("\n\n", 1)[1],
    )
    parser.add_argument("paths", nargs="+", help="files, folders (searched), patterns")
    parser.add_argument(
        "--enroll", nargs="+", default=[], help="recordings of the speaker alone, 3 s or more"
    )
    parser.add_argument(
        "--embedding", type=str | None, default=None, help="instead: what `sepaudio enroll` wrote"
    )
    parser.add_argument(
        "-m", "--model", default=verb.EXTRACTOR, help="model folder or name of weights"
    )
    parser.add_argument("-o", "--output", default=".", help="file to write, or a folder")
    parser.add_argument(
        "--template", default="{stem}_extracted.wav", help="of the names in a folder"
    )
    parser.add_argument(
        "--least",
        type=float | None,
        default=None,
        help="probability of the speaker below which a stretch becomes silence, if not the "
        "model's own; 0 keeps all",
    )
    parser.add_argument(
        "--presence",
        type=str | None,
        default=None,
        metavar="FILE.csv",
        help="also write how likely the speaker is in each window of each recording",
    )
    common(parser)
    options = parser.parse_args(arguments)
    if bool(options.enroll) == bool(options.embedding):
        parser.error("expected either --enroll RECORDING ... or --embedding FILE")
    if options.least is not None and not 0 <= options.least <= 1:
        parser.error(f"--least {options.least}: expected a probability from 0 to 1")
    net = place(options.model, options.device, "extraction")
    if options.presence:
        if not net.cfg.presence or options.least == 0:
            given = f" --least {options.least:g}" if options.least is not None else ""
            parser.error(
                f"--presence {options.presence} with -m {options.model}{given}: "
                "expected an extractor that judges presence, and --least over 0"
            )
        _check_table(Path(options.presence), options.overwrite)
    inputs = io.find(options.paths)
    folder, template = Path(options.output), options.template
    if len(inputs) == 1 and folder.suffix and not folder.is_dir():
        folder, template = folder.parent, folder.name.replace("{", "{{").replace("}", "}}")
    targets = estimates.names(inputs, folder, template, 1, options.overwrite)
    check_format(targets, options)
    for path in _both(inputs, options.enroll):
        print(
            f"warning: {path} is enrolled and extracted from: expected a recording of the speaker "
            "alone; of a mixture the vector is of nobody",
            file=sys.stderr,
        )
    embedding = (
        hub.load_embedding(options.embedding) if options.embedding else _enroll(options.enroll, net)
    )

    def separate(x: Any, rate: int) -> tuple[Any, int, Heard | None]:
        estimate, out_rate, heard = verb.extract_heard(
            x,
            rate,
            embedding,
            model=net,
            device=options.device,
            whole=options.whole,
            least=options.least,
        )
        return estimate[None], out_rate, heard

    how = (options.channel, options.subtype, options.workers, options.clip)
    found = _judged(estimates.write(inputs, targets, separate, *how), options.presence)
    return tell(found, net, options.verbose)


def _check_table(path: Path, overwrite: bool) -> None:
    """Raise for a table that could not be written, or would take the place of something else."""
    from .. import files

    if path.suffix.lower() != ".csv":  # no recording or estimate is named so
        raise ValueError(f"--presence {path}: expected a file whose name ends in .csv")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; pass --overwrite to replace it")
    files.check_target(path)


def _judged(found: Iterable[Estimated], path: str | None) -> Iterator[Estimated]:
    """The same results; what was heard of the speaker goes to standard error, and to a table."""
    rows = []
    for one in found:
        if (heard := one.told) is not None:
            top = float(heard.presence.max())
            if not heard.least:
                text = "all is kept, as the model's own --least is 0"
            elif heard.kept:
                text = f"heard in {heard.kept:.1f} of {one.seconds:.1f} s"
            else:
                text = "not heard, the result is silence; --least 0 keeps what there is"
            print(f"{one.file}: {text} (presence up to {top:.2f})", file=sys.stderr)
            for start, presence in zip(heard.starts, heard.presence, strict=True):
                values = one.file, f"{start:.3f}", f"{start + heard.seconds:.3f}", f"{presence:.4f}"
                rows.append(dict(zip(COLUMNS, values, strict=True)))
        yield one
    if path and rows:
        table.write(Path(path), COLUMNS, rows)


def _both(inputs: Sequence[Path], enrolled: Sequence[str]) -> list[str]:
    """Recordings of the enrollment that are, or hold the same bytes as, one of the inputs."""
    from ..files import sha256

    sizes = {path: Path(path).stat().st_size for path in enrolled if Path(path).is_file()}
    alike = [path for path in inputs if path.is_file() and path.stat().st_size in sizes.values()]
    known = {sha256(path) for path in alike}  # only of what could be the same is all read
    return [path for path in sizes if sha256(path) in known] if known else []


def _enroll(paths: list[str], net: Any) -> Any:
    """The embedding of recordings; what they are worth goes to standard error."""
    from ..verbs.enroll import enroll_files

    made = enroll_files(paths, model=net)
    for q in made.recordings:
        similar = "" if q.similarity is None else f", similarity to the others {q.similarity:.2f}"
        print(
            f"enrolled {q.file}: {q.voiced:.1f} s of voice in {q.seconds:.1f} s, "
            f"{q.level:.1f} dB, {q.clipping:.2%} clipped{similar}",
            file=sys.stderr,
        )
    if worth := made.doubts():
        print(f"warning: {worth}", file=sys.stderr)
    return made.embedding
