"""A manifest is a CSV file that people can read: one recording a row.

Columns: path (relative to the manifest), kind (the class), license, source, split. Read when
they are there: speaker, gender (of the speaker: f, m or any other word), sample_rate [Hz], start_s
and duration_s [s], fold (1, 2 ...: of sets that are judged by cross-validation); any others may
stand beside them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import io
from . import table

NEEDED = ("path", "kind", "license", "source", "split")
SPLITS = ("train", "valid", "test")
COLUMNS = (
    *("path", "kind", "speaker", "gender", "sample_rate", "start_s", "duration_s"),
    *("license", "source", "split", "fold"),
)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One row of a manifest.

    Attributes:
        path: of the file, absolute or relative to the working folder.
        kind: its class, or several with | between them.
        license: as the manifest says.
        source: where it came from, in full.
        split: train, valid or test.
        speaker: who speaks, when it is known to be one person.
        gender: of the speaker, in small letters, when the manifest says it.
        sample_rate: of the file [Hz], when the manifest says it.
        start: where in the file the recording begins [s]; None when it is the whole file.
        duration: how long it is [s]; from `start` to the end of the file when None.
        fold: of cross-validation, from 1 on, when the set has folds.
        manner: which other manner it is heard in (`restyle`), 0 for none; no manifest says it.
    """

    path: Path
    kind: str
    license: str
    source: str
    split: str
    speaker: str = ""
    gender: str = ""
    sample_rate: int | None = None
    start: float | None = None
    duration: float | None = None
    fold: int | None = None
    manner: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its classes: of most recordings one."""
        return tuple(self.kind.split("|"))

    @property
    def origin(self) -> str:
        """The collection it belongs to: what stands before "@" and before a second ":"."""
        return ":".join(self.source.split("@")[0].split(":")[:2])


def of_file(
    path: Path,
    *,
    kind: str,
    split: str,
    source: str,
    license: str = "",
    speaker: str = "",
    gender: str = "",
    fold: int | None = None,
) -> Recording:
    """A row for a whole file; its header gives sample rate and duration.

    Raises:
        AudioError: it cannot be read.
    """
    about = io.info(path)
    return Recording(
        path=path,
        kind=kind,
        license=license,
        source=source,
        split=split,
        speaker=speaker,
        gender=gender,
        sample_rate=about.sample_rate,
        duration=None if about.duration is None else round(about.duration, 6),
        fold=fold,
    )


def read(path: str | Path) -> list[Recording]:
    """The rows of one manifest.

    Raises:
        ValueError: it is missing, or a row lacks a value; the message names the row.
    """
    return [row for _, row in numbered(path)]


def numbered(path: str | Path, bad: list[str] | None = None) -> list[tuple[int, Recording]]:
    """The rows of one manifest and their lines; see `table.parsed`."""
    path = Path(path)

    def parse(row: dict[str, str], where: str) -> Recording:
        table.need(row, ("path", "kind", "split"), where)
        table.one_of(row, "split", SPLITS, where)
        return Recording(
            path=path.parent / row["path"],
            kind=row["kind"],
            license=row["license"],
            source=row["source"],
            split=row["split"],
            speaker=row.get("speaker") or "",
            gender=(row.get("gender") or "").lower(),
            sample_rate=table.rate(row, where),
            start=table.number(row, "start_s", where, least=0),
            duration=table.number(row, "duration_s", where, least=0),
            fold=table.whole(row, "fold", where),
        )

    return table.parsed(path, NEEDED, "a manifest (CSV)", parse, bad)


def write(path: str | Path, rows: Iterable[Recording]) -> None:
    """Write a manifest, whole or not at all; paths under its folder become relative to it.

    Raises:
        ValueError: there is no row.
    """
    path = Path(path)
    lines = [
        {
            "path": table.relative(row.path, path.parent),
            "kind": row.kind,
            "speaker": row.speaker,
            "gender": row.gender,
            "sample_rate": row.sample_rate,
            "start_s": row.start,
            "duration_s": row.duration,
            "license": row.license,
            "source": row.source,
            "split": row.split,
            "fold": row.fold,
        }
        for row in rows
    ]
    table.write(path, COLUMNS, lines)


def gender_of(word: str) -> str:
    """A gender as manifests have it: "Female" and "F" are "f"; other words in small letters."""
    small = word.strip().lower()
    return {"female": "f", "male": "m"}.get(small, small)


def genders(path: str | Path) -> dict[str, str]:
    """The genders of speakers, from any CSV with the columns speaker and gender, or sex.

    Raises:
        ValueError: it is missing, lacks a column, or gives one speaker two genders.
    """
    path = Path(path)
    found: dict[str, str] = {}
    rows = table.read(path, ("speaker",), "a manifest, or speakers and genders (CSV)")
    there = rows[0][1] if rows else {"gender": ""}
    column = next((name for name in ("gender", "sex") if name in there), None)
    if column is None:
        raise ValueError(f"{path} lacks the columns gender: expected speaker, gender")
    for number, row in rows:
        speaker, gender = row["speaker"], gender_of(row[column])
        if not speaker or not gender:
            continue
        if found.setdefault(speaker, gender) != gender:
            raise ValueError(
                f"{path}, line {number}: speaker {speaker!r} has gender {gender!r}, but "
                f"{found[speaker]!r} above: expected one; mend the column"
            )
    return found


def split(
    names: Iterable[str], shares: Mapping[str, float], seed: int = 0, salt: str = ""
) -> dict[str, str]:
    """Deal names (speakers, files) to splits by chance; the order they come in changes nothing.

    Shares are met as closely as whole numbers allow, and each split with a share gets one name
    at least while there are enough.

    Args:
        names: what is dealt.
        shares: of each split; they add up to 1.
        seed: another deals otherwise.
        salt: so that several groups are dealt independently.

    Raises:
        ValueError: a split is unknown, or the shares do not add up to 1.
    """
    if set(shares) - set(SPLITS) or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise ValueError(f"shares={dict(shares)}: expected {', '.join(SPLITS)}, 1 in all")
    wanted = [name for name in SPLITS if shares.get(name, 0) > 0]

    def chance(name: str) -> bytes:  # a hash: the same in every version of every library
        return hashlib.sha256(f"{seed}|{salt}|{name}".encode()).digest()

    order = sorted(set(names), key=chance)
    exact = {part: shares[part] * len(order) for part in wanted}
    counts = {part: max(int(exact[part]), 1) for part in wanted}
    while sum(counts.values()) < len(order):
        counts[max(wanted, key=lambda part: exact[part] - counts[part])] += 1
    while sum(counts.values()) > len(order):
        counts[max(wanted, key=lambda part: counts[part])] -= 1
    dealt = [part for part in wanted for _ in range(counts[part])]
    return dict(zip(order, dealt, strict=True))


def read_all(
    paths: Sequence[str | Path], kinds: Sequence[str], several: bool = False, some: bool = False
) -> list[Recording]:
    """The rows of several manifests whose kind is one of `kinds`.

    Args:
        paths: of the manifests.
        kinds: classes.
        several: take rows of several classes, too, where one of `kinds` is among them.
        some: let kinds be absent, but not all of them.

    Raises:
        ValueError: there is no manifest, a kind does not occur at all, or with `some` none does.
    """
    if not paths:
        raise ValueError("no manifest is named: expected one, as data.manifests=[/path/data.csv]")

    def of(row: Recording) -> tuple[str, ...]:
        return row.kinds if several else (row.kind,)

    rows = [row for path in paths for row in read(path) if set(of(row)) & set(kinds)]
    for kind in kinds if not (some and rows) else ():
        if not any(kind in of(row) for row in rows):
            found = sorted({one for path in paths for row in read(path) for one in row.kinds})
            raise ValueError(
                f"no recording of kind {kind!r} in {', '.join(map(str, paths))}: expected some of "
                f"{'a' if some else 'every'} label of the model; there are "
                f"{', '.join(found) or 'no rows'}"
            )
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
