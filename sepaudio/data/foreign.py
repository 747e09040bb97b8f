"""Manifests out of what other toolkits keep: Kaldi data folders, lhotse manifests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .manifest import Recording, gender_of


def kaldi(
    folder: str | Path, *, split: str, license: str = "", kind: str = "speech"
) -> list[Recording]:
    """The utterances of a Kaldi data folder: wav.scp and utt2spk.

    segments and spk2gender are read when they are there.
    Relative paths in wav.scp are relative to the working folder, as Kaldi has it.

    Raises:
        ValueError: a file is missing, or a line makes no sense; the message names the line.
    """
    folder = Path(folder)
    wavs = {}
    for where, key, path in _pairs(folder / "wav.scp"):
        if path.endswith("|"):
            raise ValueError(
                f"{where}: {path!r} is a command: expected the path of an audio file; run it once "
                "for each recording and name the results"
            )
        wavs[key] = Path(path)
    speakers = {key: speaker for _, key, speaker in _pairs(folder / "utt2spk")}
    genders = {}
    if (folder / "spk2gender").exists():
        genders = {speaker: word for _, speaker, word in _pairs(folder / "spk2gender")}
    cuts: list[tuple[str, str, str, float | None, float | None]] = []
    if (folder / "segments").exists():
        for where, utterance, rest in _pairs(folder / "segments"):
            cuts.append((where, utterance, *_segment(rest, where)))
    else:
        cuts = [(f"{folder / 'wav.scp'}", key, key, None, None) for key in wavs]
    rows = []
    for where, utterance, key, start, duration in cuts:
        if key not in wavs:
            raise ValueError(f"{where}: no recording {key!r} in {folder / 'wav.scp'}: add it there")
        if utterance not in speakers:
            raise ValueError(f"{folder / 'utt2spk'} lacks {utterance!r} of {where}: add its line")
        rows.append(
            Recording(
                path=wavs[key],
                kind=kind,
                license=license,
                source=f"kaldi:{utterance}",
                split=split,
                speaker=speakers[utterance],
                gender=gender_of(genders.get(speakers[utterance], "")),
                start=start,
                duration=duration,
            )
        )
    return rows


def lhotse(
    recordings: str | Path,
    supervisions: str | Path,
    *,
    split: str,
    license: str = "",
    kind: str = "speech",
) -> list[Recording]:
    """The supervised parts of lhotse recordings, both as JSON lines, plain or gzipped (.gz).

    Raises:
        ValueError: a file is missing, a line is no JSON object or lacks a key, or the audio does
            not lie in one file; the message names the line.
    """
    known = {}
    for where, item in _objects(Path(recordings)):
        sources = _key(item, "sources", where)
        if len(sources) != 1 or sources[0].get("type") != "file":
            raise ValueError(
                f"{where}: sources={sources}, expected one of type 'file'; save the audio first"
            )
        about = (sources[0]["source"], _key(item, "sampling_rate", where))
        known[_key(item, "id", where)] = (*about, _key(item, "duration", where))
    rows = []
    for where, item in _objects(Path(supervisions)):
        key = _key(item, "recording_id", where)
        if key not in known:
            raise ValueError(f"{where}: no recording {key!r} in {recordings}: pass its manifest")
        path, rate, whole = known[key]
        start, duration = _key(item, "start", where), _key(item, "duration", where)
        is_whole = start == 0 and abs(duration - whole) < 0.5 / rate
        rows.append(
            Recording(
                path=Path(path),
                kind=kind,
                license=license,
                source=f"lhotse:{_key(item, 'id', where)}",
                split=split,
                speaker=item.get("speaker") or "",
                gender=gender_of(item.get("gender") or ""),
                sample_rate=rate,
                start=None if is_whole else start,
                duration=duration,
            )
        )
    return rows


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, first word and rest of every line that is not empty."""
    for number, line in enumerate(_lines(path), start=1):
        parts = line.split(maxsplit=1)
        if len(parts) == 1:
            raise ValueError(f"{path}, line {number}: {line.strip()!r}: expected a key and a value")
        if parts:
            yield f"{path}, line {number}", parts[0], parts[1].strip()


def _segment(text: str, where: str) -> tuple[str, float, float]:
    """Recording, start [s] and duration [s] of the rest of a line of `segments`."""
    try:
        key, start, end = text.split()
        if 0 <= float(start) < float(end):
            return key, float(start), round(float(end) - float(start), 6)
    except ValueError:
        pass
    raise ValueError(f"{where}: {text!r}: expected a recording, a start and a later end [s]")


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: expected a JSON object ({error})") from error
        if not isinstance(item, dict):
            raise ValueError(f"{where}: {line.strip()[:60]!r}: expected a JSON object")
        yield where, item


def _key(item: dict[str, Any], name: str, where: str) -> Any:
    if name not in item:
        raise ValueError(f"{where}: no {name!r}: expected keys as lhotse writes them")
    return item[name]


def _lines(path: Path) -> list[str]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return file.readlines()
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: check the folder") from None
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): expected text; copy it again"
        ) from error
