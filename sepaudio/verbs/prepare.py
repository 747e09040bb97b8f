"""What comes before a model is trained: a look at manifests, an i-vector front-end from them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .. import hub, io
from ..data import manifest
from ..data.manifest import Recording
from ..data.validate import Report, validate

if TYPE_CHECKING:
    from torch import Tensor

    from ..training.ivector import Fitted, IVectorRecipe


@dataclass(frozen=True, kw_only=True)
class PrepareCfg:
    """What to make, and of what.

    Attributes:
        components: Gaussians of the universal background model.
        rank: numbers in the vector.
        covariance: of the Gaussians, "full" or "diagonal".
        sample_rate: 8000 or 16000 [Hz].
        frames: most voiced frames for the Gaussians, drawn from all.
        piece_seconds: of voice; longer recordings count as several for the subspace [s].
        steps: of EM for the subspace.
        seed: of every draw.
        kind: of the manifest's rows that are speech.
        split: of them that is heard.
        refused_licenses: parts of licence names; recordings with one are left out.
        license: of the numbers that come out.
    """

    components: int = 64
    rank: int = 100
    covariance: str = "full"
    sample_rate: int = 8000
    frames: int = 100_000
    piece_seconds: float = 10.0
    steps: int = 8
    seed: int = 0
    kind: str = "speech"
    split: str = "train"
    refused_licenses: tuple[str, ...] = ()
    license: str = "unknown"


@dataclass(frozen=True, kw_only=True)
class CheckCfg:
    """What a manifest or a list of mixtures is held to.

    Attributes:
        sample_rate: that a model wants [Hz]; lower ones are named.
        least_seconds: shorter recordings are named [s].
        read_all: decode every file, which finds damage and NaN behind the header.
        refused_speakers: beginnings of names that stand for more than one person.
    """

    sample_rate: int | None = None
    least_seconds: float = 1.0
    read_all: bool = False
    refused_speakers: tuple[str, ...] = ()


Cfg = TypeVar("Cfg", PrepareCfg, CheckCfg)


def read_overrides(overrides: Sequence[str], kind: type[Cfg]) -> Cfg:
    """A cfg with `key=value` overrides such as "components=128".

    Raises:
        ValueError: no such key, or a value of another type; the key is named.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    for override in overrides:
        if "=" not in override or override.startswith("-"):
            raise ValueError(f"{override!r}: expected key=value, such as split=train")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None)
    try:
        parsed = parser.parse_args([f"--{override}" for override in overrides])
        return kind(**vars(parser.instantiate(parsed)))
    except (ArgumentError, TypeError) as error:
        raise ValueError(str(error)) from error


def check(paths: Sequence[str | Path], cfg: CheckCfg | None = None) -> dict[str, Report]:
    """What is wrong with manifests and lists of mixtures, row by row; see `data.validate`.

    Args:
        paths: CSV files.
        cfg: what they are held to.
    """
    options = asdict(cfg or CheckCfg())
    return {str(path): validate(path, **options) for path in paths}


def prepare_ivector(
    manifests: Sequence[str | Path],
    folder: str | Path,
    cfg: PrepareCfg | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Fit an i-vector front-end to the recordings of a split and write its folder.

    Whole or not at all: an interrupted run leaves nothing behind. Who speaks need not be known.

    Args:
        manifests: CSV files.
        folder: where to; an older one is replaced.
        cfg: what to make.
        quiet: say nothing on standard error.

    Raises:
        ValueError: the manifests lack such recordings, a recording cannot be read, or there is
            too little voice in them.
    """
    import torch

    from ..frontends import IVectorCfg, kaldi_cfg
    from ..training.ivector import IVectorRecipe, fit_ivector

    cfg = cfg or PrepareCfg()
    wanted = IVectorCfg(
        size=cfg.rank,
        components=cfg.components,
        covariance=cfg.covariance,
        features=kaldi_cfg(cfg.sample_rate),
    )
    rows = manifest.allowed(manifest.read_all(manifests, (cfg.kind,)), cfg.refused_licenses)
    rows = [row for row in rows if row.split == cfg.split]
    if not rows:
        raise ValueError(
            f"split={cfg.split!r}: no recording of kind {cfg.kind!r} that is allowed, in "
            f"{', '.join(map(str, manifests))}"
        )
    say = _silent if quiet else _say

    def recordings() -> Iterator[Tensor]:
        for number, row in enumerate(rows, start=1):
            yield torch.from_numpy(io.read(row.path, cfg.sample_rate)[0])
            if number % 100 == 0 or number == len(rows):
                say(f"{number} of {len(rows)} recordings")

    recipe = IVectorRecipe(
        frames=cfg.frames,
        piece_seconds=cfg.piece_seconds,
        subspace_steps=cfg.steps,
        seed=cfg.seed,
    )
    fitted = fit_ivector(
        recordings,
        wanted,
        recipe,
        lambda stage, value: say(f"{stage}: log-likelihood per frame {value:.4f}"),
    )
    about = _about(rows, cfg, recipe, fitted)
    return hub.save(fitted.model, folder, card=_card(rows, cfg, fitted), **about)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _silent(text: str) -> None:
    """Say nothing."""


def _about(
    rows: list[Recording], cfg: PrepareCfg, recipe: IVectorRecipe, fitted: Fitted
) -> dict[str, object]:
    return {
        "license": cfg.license,
        "trained_on": sorted({row.origin for row in rows}),
        "data_fingerprint": manifest.fingerprint(rows),
        "seed": cfg.seed,
        "prepare": {**asdict(cfg), "refused_licenses": list(cfg.refused_licenses)},
        "recipe": asdict(recipe),
        "recordings": fitted.recordings,
        "recordings_without_voice": fitted.unvoiced,
        "seconds_of_voice": round(fitted.seconds, 2),
        "mixture_log_likelihood": fitted.mixture,
        "subspace_log_likelihood": fitted.subspace,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "soxr")},
        },
    }


def _card(rows: list[Recording], cfg: PrepareCfg, fitted: Fitted) -> str:
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        found[row.origin, row.license] = found.get((row.origin, row.license), 0) + 1
    table = "".join(f"| {o} | {c} | {n} |\n" for (o, c), n in sorted(found.items()))
    mixture, subspace = fitted.mixture, fitted.subspace
    return (
        f"# i-vector front-end\n\nLicence of these numbers: {cfg.license}\n\n"
        f"{cfg.components} Gaussians ({cfg.covariance}), vectors of {cfg.rank} numbers, "
        f"{cfg.sample_rate} Hz, seed {cfg.seed}. Fitted to {fitted.seconds / 60:.1f} min of voice "
        f"in {fitted.recordings} recordings ({fitted.unvoiced} held too little voice). "
        "Log-likelihood per frame, first and last: "
        f"mixture {mixture[0]:.3f}, {mixture[-1]:.3f}; subspace {subspace[0]:.3f}, "
        f"{subspace[-1]:.3f}.\n\nUse: `sepaudio enroll FILE ... --model` this folder, "
        "`-o speaker.safetensors`, or as the `speaker` of an extractor.\n\n"
        f"| heard | licence | recordings |\n| --- | --- | --- |\n{table}"
    )
