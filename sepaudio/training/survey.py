"""What a run needs before it starts: recordings that can be read, room on the disk, and time."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data import folds, manifest, mixing, shelf
from ..data.manifest import Recording
from ..data.validate import Report, validate
from . import bank, prepared
from .recipe import AnyRecipe, ClipRecipeCfg, MixtureRecipeCfg, RecipeCfg

SPLITS = ("train", "valid")
SHOWN = 10  # lines of a kind; the rest is counted


@dataclass(frozen=True)
class Survey:
    """What was found before a run.

    Attributes:
        reports: on the rows that the run uses, by manifest; none where all that is made of them
            lies ready, and none of lists of mixtures, whose files are read when they are heard.
        seconds: of audio that is still to be decoded or made into clips [s].
        needs: what will be written, where, and how much of it [GB].
        held_to: what the rows are held to, as key=value of `sepaudio prepare check`.
    """

    reports: dict[str, Report]
    seconds: float
    needs: tuple[tuple[str, Path, float], ...]
    held_to: str

    def lines(self) -> list[str]:
        """What a user should know of it."""
        told = []
        for path, report in self.reports.items():
            told.append(f"data: {path}: {report.summary()}")
            other = [text for text in report.problems if text not in report.unreadable]
            told += [f"data: {path}: {text}" for text in few(other)]
            if n := len(report.warnings):
                shown = f"sepaudio prepare check {shlex.quote(path)} {self.held_to}"
                told.append(f"data: {n} warnings; {shown} shows them")
        if not self.reports:
            told.append("data: ready")
        for what, folder, gigabytes in self.needs:
            told.append(f"disk: {gigabytes:.3f} GB for {what} in {folder}")
        return told

    def check(self, on_bad: str) -> None:
        """Refuse to start what could not end.

        Raises:
            ValueError: recordings cannot be read, and `on_bad` is "stop"; or the disk is too full.
        """
        bad = [f"{path}: {text}" for path, r in self.reports.items() for text in r.unreadable]
        if bad and on_bad == "stop":
            listed = "".join(f"\n  {text}" for text in few(bad))
            raise ValueError(
                f"{len(bad)} rows cannot be used:{listed}\nMend or remove them, or leave them out "
                "with data.on_bad=skip"
            )
        wanted: dict[int, float] = defaultdict(float)
        for _, folder, gigabytes in self.needs:
            there = _existing(folder)
            wanted[there.stat().st_dev] += gigabytes
            free = shutil.disk_usage(there).free / 1e9
            if wanted[there.stat().st_dev] > free:
                raise ValueError(
                    f"{folder} has {free:.3f} GB free, and this run needs about "
                    f"{wanted[there.stat().st_dev]:.3f} GB there: make room, or name other folders "
                    "(data.shelf, data.bank, --output)"
                )


def survey(recipe: AnyRecipe, model: Any, folder: Path) -> Survey:
    """Look at the data of a recipe: headers alone, and nothing where all lies ready.

    Args:
        recipe: the run's.
        model: what it trains.
        folder: of the run.
    """
    if isinstance(recipe, RecipeCfg) and recipe.data.cut.seconds:
        rows, ready, what = _of_cuts(recipe, model)
    elif isinstance(recipe, RecipeCfg):
        rows, ready, what = _of_clips(recipe, model)
    elif isinstance(recipe, ClipRecipeCfg):
        rows, ready, what = _of_folds(recipe, model)
    else:
        rows, ready, what = _of_mixtures(recipe)
    reports, mixed = {}, getattr(recipe.data, "mixing", mixing.MixingCfg())
    held = f"sample_rate={model.sample_rate} least_seconds={mixed.least_seconds:g}"
    if mixed.refused_speakers:
        held += " " + shlex.quote(f"refused_speakers={json.dumps(mixed.refused_speakers)}")
    if set(ready) != set(rows):
        used = {row for here in rows.values() for row in here}
        for path in recipe.data.manifests:
            reports[path] = validate(
                path,
                sample_rate=model.sample_rate,
                least_seconds=mixed.least_seconds,
                refused_speakers=mixed.refused_speakers,
                used=used.__contains__,
            )
    hours: dict[str, float] = defaultdict(float)
    for report in reports.values():
        for key, value in report.hours.items():
            hours[key] += value
    seconds = 3600 * sum(hours[key] for key in rows if key not in ready)
    where = Path(recipe.data.bank if isinstance(recipe, RecipeCfg) else recipe.data.shelf)
    made = seconds * model.sample_rate * 2
    if isinstance(recipe, RecipeCfg):
        made = 0.0 if set(ready) == set(rows) else _clips(recipe, model, seconds)
    run = (what, where, made / 1e9), ("checkpoints", folder, _checkpoints(recipe, model) / 1e9)
    return Survey(reports, seconds, run, held)


def _of_mixtures(recipe: MixtureRecipeCfg) -> tuple[dict[str, list[Recording]], list[str], str]:
    """Rows by split and kind, which of these lie on a shelf, and what a shelf holds."""
    data, rows, ready = recipe.data, dict[str, list[Recording]](), []
    for split in SPLITS:
        for kind, here in mixing.recordings(data.mixing, data.manifests, split).items():
            rows[key := f"{split} {kind}"] = here
            there = _whole(here) and shelf.holds(
                mixing.shelf_of(data.mixing, data.shelf, split, kind),
                here,
                data.mixing.sample_rate,
                data.on_bad,
            )
            ready += [key] if there or not here else []
    return rows, ready, "decoded recordings"


def _of_clips(recipe: RecipeCfg, model: Any) -> tuple[dict[str, list[Recording]], list[str], str]:
    """The same of a classifier's bank."""
    data, rows, ready = recipe.data, dict[str, list[Recording]](), []
    for split, cfg in zip(SPLITS, bank.sizes(data), strict=True):
        sounds, rooms = bank.recordings(cfg, model.labels, split)
        keys = []
        for row in [*sounds, *rooms]:
            rows.setdefault(key := f"{split} {row.kind}", []).append(row)
            keys.append(key)
        if _whole([*sounds, *rooms]):
            made_of = bank.made_from(cfg, sounds, rooms, model.frontend, model.labels, recipe.seed)
            ready += keys if bank.holds(Path(data.bank) / split, made_of, data.on_bad) else []
    return rows, ready, "features of clips"


def _of_cuts(recipe: RecipeCfg, model: Any) -> tuple[dict[str, list[Recording]], list[str], str]:
    """The same of clips that are cut from whole recordings."""
    data, rows, ready = recipe.data, dict[str, list[Recording]](), []
    for split in SPLITS:
        here, keys = prepared.rows_of(data, model.labels, split), []
        for row in here:
            rows.setdefault(key := f"{split} {row.kind}", []).append(row)
            keys.append(key)
        if here and _whole(here):
            made_of, folder = prepared.place(data, model.frontend, here, split)
            ready += keys if prepared.holds(folder, made_of, data.on_bad) else []
    return rows, ready, "features of recordings"


def _of_folds(
    recipe: ClipRecipeCfg, model: Any
) -> tuple[dict[str, list[Recording]], list[str], str]:
    """The same of clips in folds, which lie on one shelf whatever they are for."""
    data, rows = recipe.data, dict[str, list[Recording]]()
    every = manifest.read_all(data.manifests, model.labels)
    folds.parts(every, data.fold, data.valid_fold, data.folds, recipe.seed)
    for row in every:
        rows.setdefault(f"{row.split} {row.kind}", []).append(row)
    ready = _whole(every) and shelf.holds(Path(data.shelf), every, model.sample_rate, data.on_bad)
    return rows, list(rows) if ready else [], "decoded recordings"


def _whole(rows: Sequence[Recording]) -> bool:
    return all(row.path.is_file() for row in rows)


def _clips(recipe: RecipeCfg, model: Any, seconds: float) -> float:
    """Bytes of the features of all clips, or of so many seconds of recordings."""
    cfg = recipe.data
    if cfg.cut.seconds:
        second = torch.zeros(1, int(model.sample_rate))
        with torch.inference_mode():
            return float(4 * seconds * model.frontend(second).numel())
    silence = torch.zeros(1, round(cfg.item_seconds * model.sample_rate))
    with torch.inference_mode():
        one = model.frontend(silence)[0]
    return float(sum(part.items for part in bank.sizes(cfg)) * (2 * one.numel() + one.shape[-1]))


def _checkpoints(recipe: AnyRecipe, model: Any) -> float:
    """Bytes of what a run writes: weights, their average, the optimiser's two, old beside new."""
    size = sum(x.numel() * x.element_size() for x in model.state_dict().values())
    return float(size * (2 * 4 + recipe.optim.keep_best + 2))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())


def few(texts: Sequence[str]) -> list[str]:
    """The first of many lines, and how many more there are."""
    more = len(texts) - SHOWN
    return [*texts[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]


def say(*lines: str) -> None:
    """Tell the user on standard error, once however many processes learn."""
    if int(os.environ.get("RANK", 0)) == 0:
        sys.stderr.write("".join(f"{line}\n" for line in lines))


def say_left_out(texts: Sequence[str]) -> None:
    """Name the recordings that are skipped."""
    if texts:
        say(f"data: {len(texts)} recordings are left out:", *(f"  {text}" for text in few(texts)))


def pace(seconds: float, steps: int) -> str:
    """How long so many steps of so many seconds take, in words."""
    return (
        f"{duration(seconds * steps)} for {steps} steps ({seconds:.3g} s each; validations apart)"
    )


def tell_pace(seconds: float, left: int) -> None:
    """Tell the user, on a line of its own, how long the rest of a run takes."""
    if left:
        say(f"\ntime: {pace(seconds, left)}")


def duration(seconds: float) -> str:
    """About so long, in words."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
