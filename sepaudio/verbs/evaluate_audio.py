"""How near separated or extracted audio is to its references, whatever made it.

Files belong together when their names are equal, relative to their folders and without suffix.
References in folders s1, s2 ... are several sources of the files named there; their estimates
lie in folders s1, s2 ... too, or beside each other as name_1, name_2 ...; the order that is best by
SI-SNR is found for every file. Nothing is resampled, mixed down, shifted or scaled.
What is measured stands in `verbs/measure.py`; of single sources with mixtures, `wrong` tells where
the estimate is nearer to the rest of the mixture than to its reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from .measure import Array, chosen, measure, order
from .scores import Row

USUAL = ("si_snr", "si_sdr", "snr")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Files that belong together.

    Attributes:
        name: of all of them, relative to their folders, without suffix.
        references: a file a source.
        estimates: as many, in any order.
        mixture: of the sources.
        several: whether the references lie in folders s1, s2 ...
        error: what is missing.
    """

    name: str
    references: tuple[Path, ...] = ()
    estimates: tuple[Path, ...] = ()
    mixture: Path | None = None
    several: bool = False
    error: str = ""


def evaluate_audio(
    references: str | Path,
    estimates: str | Path,
    mixtures: str | Path | None = None,
    *,
    figures: Sequence[str] = USUAL,
    truncate: bool = False,
) -> Iterator[Row]:
    """Score the files of a folder one by one; a pair that fails is a row whose `error` says why.

    Args:
        references: folder of clean sources.
        estimates: folder of what was made of the mixtures.
        mixtures: folder of the mixtures, for improvements.
        figures: keys of `measure.FIGURES`; SI-SNR is always measured.
        truncate: measure up to the last sample of the reference that is not zero. Lists of mixtures
            as long as the longest source pad the others; published figures leave that out.

    Raises:
        ValueError: a figure is unknown, a folder holds no audio, or two of its files one name.
        ImportError: a figure needs a package that is not installed.
    """
    names = chosen(figures)
    pairs = match(references, estimates, mixtures)
    return (row for pair in pairs for row in score(pair, names, truncate))


def match(
    references: str | Path, estimates: str | Path, mixtures: str | Path | None = None
) -> list[Pair]:
    """What belongs together in three folders, by name; what has no partner is a pair with an error.

    Raises:
        ValueError: a folder holds no audio, or two files that have one name.
    """
    clean, made = _sources(Path(references)), _named(Path(estimates))
    mixed = {} if mixtures is None else _named(Path(mixtures))
    several = len(clean) > 1
    n, pairs, used = len(clean), [], set()
    for name in sorted(set().union(*clean.values())):
        sources = tuple(files[name] for files in clean.values() if name in files)
        wanted = _wanted(name, n, made) if several else [name]
        here = tuple(made[key] for key in wanted if key in made)
        used.update(wanted)
        lacks = []
        if len(sources) < n:
            absent = [key for key, files in clean.items() if name not in files]
            lacks.append(f"no reference in {', '.join(absent)} of {references}")
        if len(here) < n:
            absent = [key for key in wanted if key not in made]
            lacks.append(f"no estimate {', '.join(absent)} in {estimates}")
        if mixtures is not None and name not in mixed:
            lacks.append(f"no mixture in {mixtures}")
        error = f"{name} has {'; '.join(lacks)}: expected equal names" if lacks else ""
        pairs.append(
            Pair(
                name=name,
                references=sources,
                estimates=here,
                mixture=mixed.get(name),
                several=several,
                error=error,
            )
        )
    for name in sorted(set(made) - used):
        error = f"{made[name]} has no reference in {references}: expected equal names"
        pairs.append(Pair(name=name, error=error))
    return pairs


def score(pair: Pair, figures: Sequence[str] = USUAL, truncate: bool = False) -> list[Row]:
    """Read and measure one pair: a row per source, or one with the error."""
    if pair.error:
        return [Row(file=pair.name, error=pair.error)]
    try:
        sources, estimates, mixture, rate = _read(pair, truncate)
    except (ValueError, OSError) as error:
        return [Row(file=pair.name, error=str(error))]
    rows = []
    for i, j in enumerate(order(np.stack(sources), np.stack(estimates))):
        end = _end(sources[i]) if truncate else sources[i].shape[-1]
        source, estimate = sources[i][:, :end], estimates[j][:, :end]
        about = Row(file=pair.name, source=f"s{i + 1}" if pair.several else "", estimate=j + 1)
        mixed = None if mixture is None else mixture[:, :end]
        rest = None if mixed is None or pair.several else (mixed - source)[None]
        rows.append(measure(about, estimate, source, rate, figures, mixed, rest))
    return rows


def _read(pair: Pair, truncate: bool) -> tuple[list[Array], list[Array], Array | None, int]:
    """References, estimates and mixture [C, T] that fit together, and their rate."""
    first = pair.references[0]
    extra = () if pair.mixture is None else (pair.mixture,)
    paths = (*pair.references, *pair.estimates, *extra)
    signals: list[Array] = []
    rates: list[int] = []
    for path in paths:
        samples, rate = io.read(path, channel="all")
        signals.append(np.atleast_2d(samples).astype(np.float64))
        rates.append(rate)
    n = len(pair.references)
    for path, x, rate in zip(paths, signals, rates, strict=True):
        if rate != rates[0]:
            raise ValueError(
                f"{path} has {rate} Hz: expected {rates[0]} Hz as {first}; resample it"
            )
        if len(x) != len(signals[0]):
            raise ValueError(
                f"{path} has {len(x)} channels: expected {len(signals[0])} as {first}; pick one"
            )
    needed = signals[0].shape[-1]
    if truncate:  # past the last sample of all references there is nothing to measure
        needed = max(map(_end, signals[:n]))
    for path, x in zip(paths, signals, strict=True):
        if x.shape[-1] < needed or (not truncate and x.shape[-1] > needed):
            more = "at least " if truncate else ""
            remedy = "it was cut" if truncate else "cut or pad it, or measure with --truncate"
            raise ValueError(
                f"{path} has {x.shape[-1]} samples: expected {more}{needed} as {first}; {remedy}"
            )
    signals = [x[:, :needed] for x in signals]
    return signals[:n], signals[n : 2 * n], signals[2 * n] if extra else None, rates[0]


def _end(x: Array) -> int:
    """Samples of x [C, T] up to the last that is not zero; all where there is none."""
    there = np.flatnonzero(x.any(axis=0))
    return int(there[-1]) + 1 if len(there) else x.shape[-1]


def _sources(folder: Path) -> dict[str, dict[str, Path]]:
    """References by source and name; one source where there are no folders s1 and s2."""
    found = {p.name: p for p in folder.glob("s*") if p.is_dir() and re.fullmatch(r"s\d+", p.name)}
    if {"s1", "s2"} <= set(found):
        return {key: _named(found[key]) for key in sorted(found, key=lambda key: int(key[1:]))}
    return {"": _named(folder)}


def _named(folder: Path) -> dict[str, Path]:
    """Audio files in a folder and below by name without suffix."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: expected one that holds audio files")
    found: dict[str, Path] = {}
    for path in io.find([folder]):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ValueError(
                f"{path} and {found[name]} have one name: expected one file a name; move one away"
            )
        found[name] = path
    return found


def _wanted(name: str, n: int, made: dict[str, Any]) -> list[str]:
    """Names of the estimates of several sources: s1/name, or name_1 where there is that."""
    beside = [f"{name}_{i + 1}" for i in range(n)]
    return beside if beside[0] in made else [f"s{i + 1}/{name}" for i in range(n)]
