"""Files: written whole or not at all, found, and looked at before they are read."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "FileError",
    "atomic",
    "atomic_folder",
    "atomic_json",
    "atomic_text",
    "check_target",
    "find",
    "kind",
    "look",
    "name",
    "room",
    "sha256",
    "stdin",
]

KINDS = {  # how files begin that are taken for something else
    rb"\x89PNG": "a PNG image",
    rb"\xff\xd8\xff": "a JPEG image",
    rb"GIF8": "a GIF image",
    rb"PK\x03\x04": "a zip archive",
    rb"\x1f\x8b": "a gzip archive",
    rb"%PDF": "a PDF document",
    rb"[\t\r\n\x20-\x7e]+\Z": "text",
}


class FileError(ValueError):
    """A path that cannot be read; says which, what was expected and what to do."""


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends well.

    The temporary lies in the same folder (a rename is atomic only within one file system), is
    hidden, and has the suffix of `path`, since encoders choose the format by it. A reader sees the
    old file or the new one, never half of it. On any exception, Ctrl-C included, the temporary is
    removed and the old file stays. A device or a pipe cannot be replaced and is given as it is.

    Raises:
        FileNotFoundError: If the folder does not exist, or the block wrote no file.
        IsADirectoryError: If `path` is a folder.
    """
    path = Path(os.path.realpath(path))  # a link keeps pointing; what it points to is replaced
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: expected the name of a file")
    if path.exists() and not path.is_file():
        yield path
        return
    _need_folder(path.parent)
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk does not say where
        raise
    _sync_folder(path.parent)


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise what `atomic` would for a path, before the work that makes what is written there.

    Raises:
        FileNotFoundError: If the folder does not exist.
        IsADirectoryError: If `path` is a folder.
        PermissionError: If nothing may be written into the folder.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: expected the name of a file")
    _need_folder(path.parent)
    if (not path.exists() or path.is_file()) and not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} may not be written into: expected a folder that may")


def room(path: str | os.PathLike[str]) -> float:
    """Free bytes where a file would be written; without end where there is no such folder."""
    folder = Path(os.path.realpath(path)).parent
    return shutil.disk_usage(folder).free if folder.is_dir() else float("inf")


def atomic_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with line feeds, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def atomic_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all.

    Raises:
        ValueError: If `value` holds NaN or infinity, which JSON does not know.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}: expected finite numbers; write null where a value is unknown"
        ) from error
    atomic_text(path, text + "\n")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `path` when the block ends well.

    An existing folder is swapped for the new one in one step where the system can (Linux), else by
    two renames, the first of which is undone if the second fails.

    Args:
        path: The folder to make.
        overwrite: Whether an existing folder may be replaced. Even then it may hold nothing that
            the new one does not also write: notes beside a model are never deleted.

    Raises:
        FileExistsError: If `path` exists and may not be replaced.
        FileNotFoundError: If the folder above `path` does not exist.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path} is a file: expected the name of a folder")
    if path.exists() and not overwrite and any(path.iterdir()):
        raise FileExistsError(f"{path} exists already; pass overwrite=True to replace it")
    _need_folder(path.parent)
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        _put(temporary, path)
    finally:  # after a swap the temporary name holds the old folder
        shutil.rmtree(temporary, ignore_errors=True)
    _sync_folder(path.parent)


def find(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], suffixes: Collection[str]
) -> list[Path]:
    """List the files that files, folders, patterns and `-` stand for, each once.

    Folders are searched to the bottom for the suffixes (lower case), links followed, hidden names
    left out, in sorted order. Patterns (`*`, `**`, `?`, `[...]`) give folders, files with one of
    the suffixes, and files with the pattern's own suffix. What does not exist stays in the list,
    so that the caller can report it beside other results.

    Raises:
        FileError: If a folder holds no such file.
    """
    found: dict[str, Path] = {}
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        given = os.fspath(path)
        if not given:
            raise FileError("'' is no name: expected a file, a folder or a pattern; leave it out")
        hits = [given]
        if glob.has_magic(given) and not os.path.lexists(given):
            matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207
            wanted = {*suffixes, Path(given).suffix.lower()} - {""}
            hits = [m for m in matches if Path(m).is_dir() or Path(m).suffix.lower() in wanted]
        for hit in hits or [given]:
            inside = _walk(hit, suffixes) if Path(hit).is_dir() else [hit]
            if not inside and hit == given:
                raise FileError(
                    f"{name(hit)} holds no file that is meant: expected files of "
                    f"{' '.join(sorted(suffixes))}, in it or below; name another folder, or convert"
                )
            for file in inside:
                found.setdefault(os.path.normpath(Path.cwd() / file), Path(file))
    return list(found.values())


def _walk(folder: str, suffixes: Collection[str]) -> list[str]:
    """Files of some suffixes in a folder and below, sorted."""
    out, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and real not in seen)
        if real not in seen:  # else a link back up
            shown = (n for n in names if not n.startswith("."))
            out += [str(Path(root, n)) for n in shown if Path(n).suffix.lower() in suffixes]
        seen.add(real)
    return sorted(out)


def look(path: str | os.PathLike[str]) -> bytes:
    """Give the first bytes of a file, 512 at most.

    Raises:
        FileError: If the file is missing, empty, no regular file, or may not be read.
    """
    file, head = Path(path), b""
    try:
        mode = file.stat().st_mode
        if stat.S_ISREG(mode):
            with file.open("rb") as handle:
                head = handle.read(512)
    except FileNotFoundError:
        fault = "is a broken link" if file.is_symlink() else "does not exist"
        remedy = "check the name"
    except OSError as error:
        fault, remedy = f"cannot be read ({error.strerror})", "check its rights and its links"
    else:
        if head:
            return head
        fault, remedy = "is empty (0 bytes)", "copy it again"
        if stat.S_ISDIR(mode):
            fault, remedy = "is a folder", "name a file in it"
        elif not stat.S_ISREG(mode):
            fault, remedy = "is no regular file", "pipe it in and name -"
    raise FileError(f"{name(path)} {fault}: expected a file; {remedy}")


def kind(head: bytes) -> str | None:
    """What a file is, in words, by its first bytes; None if none of a few common kinds."""
    return next((kind for start, kind in KINDS.items() if re.match(start, head)), None)


def name(path: str | os.PathLike[str]) -> str:
    """A file's name for messages, printable whatever its bytes are."""
    text = os.fspath(path)
    return "<stdin>" if text == "-" else text.encode("utf-8", "backslashreplace").decode()


def sha256(path: str | os.PathLike[str]) -> str:
    """The digest of a file's content, as `sha256sum` prints it."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


_stdin: tuple[Any, Path] | None = None  # what was read, and the copy


def stdin() -> Path:
    """The standard input as a file, for readers that must seek; read once, kept until exit."""
    global _stdin
    if _stdin is None or _stdin[0] is not sys.stdin:
        folder = Path(tempfile.mkdtemp(prefix="sepaudio-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with (folder / "stdin").open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        _stdin = sys.stdin, folder / "stdin"
    return _stdin[1]


def _put(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`; what was there is left under the name `new`."""
    if not path.exists():
        try:
            new.rename(path)
            return
        except OSError:
            if not path.exists():
                raise  # else another process was faster
    lost = _names(path) - _names(new)
    if lost:
        raise FileExistsError(
            f"{path} holds {', '.join(sorted(lost))}, which replacing it would delete; "
            "move that away or choose another folder"
        )
    if _exchange(new, path):
        return
    old = path.with_name(f".{secrets.token_hex(8)}")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    old.rename(new)


def _names(folder: Path) -> set[str]:
    """Paths of everything inside a folder, relative to it."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*")}


def _exchange(a: Path, b: Path) -> bool:
    """Swap two paths in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        call = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):  # another libc, or an old one
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0)


def _need_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: expected one to write into; make it")


def _sync(file: Path) -> None:
    """Bring a file's content to the disk, so that the rename cannot overtake it."""
    with file.open("r+b") as handle:
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where a folder can be opened at all (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
