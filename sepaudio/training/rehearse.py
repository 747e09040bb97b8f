"""A few steps of a run, on a few of its recordings, in a folder that is gone afterwards."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import io
from ..data import manifest, mixing
from ..data.manifest import Recording
from ..data.mixing import MixingCfg
from . import classify, clips, cut, mixtures, prepared
from .bank import CHUNK, bank, recordings, sizes
from .draws import placed
from .hints import with_hints
from .loop import PACED, Draw, Objective, run
from .recipe import AnyRecipe, ClipRecipeCfg, MixtureRecipeCfg, OptimCfg, RecipeCfg
from .survey import Survey, duration, pace
from .voices import with_encoders

PER_KIND = 4  # recordings, or of a speaker
SPARE = 6  # speakers more than a mixture has


@dataclass(frozen=True)
class Rehearsal:
    """What was measured.

    Attributes:
        prepare: time that decoding or making clips will take [s].
        step: of one optimiser step [s].
        steps: of the run.
    """

    prepare: float
    step: float
    steps: int

    def lines(self) -> list[str]:
        """What a user should know of it."""
        told = [f"time: {duration(self.prepare)} to prepare the data"] if self.prepare else []
        return [*told, f"time: {pace(self.step, self.steps)}"]


def rehearse(recipe: AnyRecipe, model: Any, found: Survey) -> Rehearsal:
    """Measure how long a run will take, by its first steps.

    Args:
        recipe: the run's.
        model: what it trains; it is left as it is.
        found: what the run still has to prepare.

    Raises:
        ValueError: the recipe and the data do not fit together; the message says where.
    """
    model = copy.deepcopy(model)
    if isinstance(recipe, MixtureRecipeCfg):
        model = with_encoders(model, recipe)
    with TemporaryDirectory() as folder:
        place = Path(folder)
        optim = recipe.optim
        if isinstance(recipe, RecipeCfg) and recipe.data.cut.seconds:
            draw, objective, optim, prepare = _cuts(recipe, model, found, place)
        elif isinstance(recipe, RecipeCfg):
            draw, objective, prepare = _clips(recipe, model, found, place)
        elif isinstance(recipe, ClipRecipeCfg):
            draw, objective, prepare = _folds(recipe, model, found, place)
        else:
            draw, objective, prepare = _mixtures(recipe, model, found, place)
        step: list[float] = []
        run(
            model,
            draw,
            objective,
            replace(optim, steps=PACED, valid_every=0, schedule="cosine"),
            seed=recipe.seed,
            folder=place / "run",
            resolved="",
            frozen=recipe.freeze,
            workers=getattr(recipe.data, "workers", 0),
            paced=lambda seconds, _: step.append(seconds),
            quiet=True,
        )
    return Rehearsal(prepare, step[0], optim.steps)


def _mixtures(
    recipe: MixtureRecipeCfg, model: Any, found: Survey, place: Path
) -> tuple[Draw, Objective, float]:
    """What is learned from a few speakers, and the time that decoding all will take [s]."""
    data = recipe.data
    if data.lists.files:
        mixer, _ = mixtures.mixers(recipe, model)
        return *mixtures.lesson(mixer, mixtures.objective_of(model, recipe), recipe), 0.0
    mixtures.check_fit(recipe, model)
    rows = mixing.recordings(data.mixing, data.manifests, "train")
    spoken = [row for row in rows.pop("speech") if not row.manner]  # a manifest has no manners
    speech = _speakers(spoken, data.mixing)
    some = [*speech, *(row for here in rows.values() for row in _readable(here)[:PER_KIND])]
    manifest.write(place / "few.csv", some)
    begin = time.perf_counter()
    few = mixing.load(data.mixing, [place / "few.csv"], "train", on_bad="skip")
    spent = time.perf_counter() - begin
    decoded = sum(float(s.starts[-1]) / s.sample_rate for s in few.shelves.values())
    (source,) = placed([few], data.mix_on)
    draw, objective = mixtures.lesson(source, mixtures.objective_of(model, recipe), recipe)
    return draw, objective, spent * found.seconds / decoded


def _cuts(
    recipe: RecipeCfg, model: Any, found: Survey, place: Path
) -> tuple[Draw, Objective, OptimCfg, float]:
    """What is learned from clips of a few recordings, in which steps, and as above."""
    rows = prepared.rows_of(recipe.data, model.labels, "train")
    some: list[Recording] = []
    for label in model.labels:
        some += _readable([row for row in rows if row.kind == label])[:PER_KIND]
    manifest.write(place / "few.csv", some)
    data = replace(
        recipe.data, manifests=(str(place / "few.csv"),), bank=str(place / "bank"), on_bad="skip"
    )
    begin = time.perf_counter()
    few = prepared.cuts(data, model, "train")
    spent = time.perf_counter() - begin
    draw, objective, optim = cut.lesson(model, few, replace(recipe, data=data))
    every = max(sum(map(_seconds, rows)) / sum(map(_seconds, some)), 1.0)
    steps = cut.steps_of(recipe.optim, round(len(few) * every)).steps
    prepare = spent * found.seconds / sum(map(_seconds, some))
    return draw, objective, replace(optim, steps=steps), prepare


def _clips(
    recipe: RecipeCfg, model: Any, found: Survey, place: Path
) -> tuple[Draw, Objective, float]:
    """What is learned from a few clips, and the time that making all will take [s]."""
    sounds, rooms = recordings(recipe.data, model.labels, "train")
    sounds = [row for row in sounds if row.origin not in recipe.data.held_out]
    some = _readable(rooms)[:PER_KIND]
    for label in model.labels:
        some += _readable([row for row in sounds if row.kind == label])[:PER_KIND]
    manifest.write(place / "few.csv", some)
    few = replace(
        recipe.data,
        manifests=(str(place / "few.csv"),),
        bank=str(place / "bank"),
        items=CHUNK * recipe.data.processes,
        on_bad="skip",
    )
    begin = time.perf_counter()
    made = bank(few, model.frontend, model.labels, recipe.seed, "train")
    spent = time.perf_counter() - begin
    items = sum(cfg.items for cfg in sizes(recipe.data)) if found.reports else 0
    lesson = classify.lesson(model, made, replace(recipe, data=few))
    draw, objective, _ = with_hints(lesson, model, recipe.hint, classify.hear)
    return draw, objective, spent * items / few.items


def _folds(
    recipe: ClipRecipeCfg, model: Any, found: Survey, place: Path
) -> tuple[Draw, Objective, float]:
    """What is learned from a few clips of every class, and the time that decoding takes [s]."""
    rows = clips.rows_of(recipe, model.labels)
    rows = [rows[i] for i in clips.parts_of(recipe, rows)["train"]]
    some: list[Recording] = []
    for label in model.labels:
        some += _readable([row for row in rows if label in row.kinds])[:PER_KIND]
    manifest.write(place / "few.csv", [replace(row, split="train", fold=None) for row in some])
    data = replace(
        recipe.data, manifests=(str(place / "few.csv"),), shelf=str(place / "shelf"), fold=0,
        valid_fold=0, folds="official", on_bad="skip",
    )  # fmt: skip
    begin = time.perf_counter()
    few = clips.load(replace(recipe, data=data), model)
    spent = time.perf_counter() - begin
    decoded = float(few.shelf.starts[-1]) / few.shelf.sample_rate
    lesson = clips.lesson(few, model, recipe)
    draw, objective, _ = with_hints(lesson, model, recipe.hint, clips.hear)
    return draw, objective, spent * found.seconds / decoded


def _speakers(rows: list[Recording], cfg: MixingCfg) -> list[Recording]:
    """Recordings of as many speakers as make a mixture, and some more."""
    groups: dict[str, list[Recording]] = {}
    for row in rows:
        if not row.speaker.startswith(cfg.refused_speakers or ("\0",)):
            groups.setdefault(row.speaker, []).append(row)
    found: list[Recording] = []
    wanted = cfg.n_src[1] + SPARE
    for theirs in groups.values():
        some = _longest(theirs[: 3 * PER_KIND])[:PER_KIND]
        long = [row for row in some if _seconds(row) >= cfg.least_seconds * max(cfg.speeds)]
        wanted -= bool(long)
        found += long
        if not wanted:
            break
    return found


def _longest(rows: list[Recording]) -> list[Recording]:
    return sorted(_readable(rows), key=_seconds, reverse=True)


def _readable(rows: Iterable[Recording]) -> list[Recording]:
    """The first of the recordings whose header can be read."""
    found: list[Recording] = []
    for row in rows:
        if _seconds(row):
            found.append(row)
        if len(found) == 3 * PER_KIND:
            break
    return found


def _seconds(row: Recording) -> float:
    """How long a recording is [s]; 0 when its header cannot be read."""
    try:
        about = io.info(row.path)
    except ValueError:
        return 0.0
    return row.duration or (about.duration or 0.0) - (row.start or 0.0)
