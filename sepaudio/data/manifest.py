"""A manifest is a CSV file that people can read: one recording a row.

Columns: path (relative to the manifest), kind (the class), license, source, split; others, such
as speaker or duration_s, may stand beside them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("path", "kind", "license", "source", "split")
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One row of a manifest.

    Attributes:
        path: of the file, absolute or relative to the working folder.
        kind: its class.
        license: as the manifest says.
        source: where it came from, in full.
        split: train, valid or test.
    """

    path: Path
    kind: str
    license: str
    source: str
    split: str

    @property
    def origin(self) -> str:
        """The collection it belongs to: what stands before "@" and before a second ":"."""
        return ":".join(self.source.split("@")[0].split(":")[:2])


def read(path: str | Path) -> list[Recording]:
    """The rows of one manifest.

    Raises:
        ValueError: it is missing, or a row lacks a value; the message names the row.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED if name not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(
                    f"{path} lacks the columns {', '.join(missing)}: expected {', '.join(NEEDED)}"
                )
            rows = list(reader)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected a manifest (CSV)") from None
    found = []
    for number, row in enumerate(rows, start=2):
        for name in ("path", "kind", "split"):
            if not row[name]:
                raise ValueError(f"{path}, line {number}: no {name}")
        if row["split"] not in SPLITS:
            raise ValueError(
                f"{path}, line {number}: split={row['split']!r}, expected {', '.join(SPLITS)}"
            )
        values = {name: row[name] for name in NEEDED if name != "path"}
        found.append(Recording(path=path.parent / row["path"], **values))
    return found


def read_all(paths: Sequence[str | Path], kinds: Sequence[str]) -> list[Recording]:
    """The rows of several manifests whose kind is one of `kinds`.

    Raises:
        ValueError: a kind does not occur at all.
    """
    rows = [row for path in paths for row in read(path) if row.kind in kinds]
    for kind in kinds:
        if not any(row.kind == kind for row in rows):
            raise ValueError(f"no recording of kind {kind!r} in {', '.join(map(str, paths))}")
    return rows


def allowed(rows: Iterable[Recording], refused: Sequence[str]) -> list[Recording]:
    """Rows whose licence contains none of the `refused` terms, such as "NC" in "CC-BY-NC-4.0".

    A term matches a whole part of the licence's name, parts being split at "-", "+" and blanks.
    """
    return [row for row in rows if not set(_parts(row.license)) & set(refused)]


def _parts(license: str) -> list[str]:
    for sign in "+():/":
        license = license.replace(sign, "-")
    return license.replace(" ", "-").split("-")


def fingerprint(rows: Iterable[Recording]) -> str:
    """SHA-256 over the names, classes, splits and sizes of the recordings."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: str(row.path)):
        size = row.path.stat().st_size
        digest.update(f"{row.path.name}|{row.kind}|{row.split}|{row.source}|{size}\n".encode())
    return digest.hexdigest()
