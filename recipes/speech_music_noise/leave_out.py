"""Leave-one-source-out: every source is judged by a network that never heard it.

    python recipes/speech_music_noise/leave_out.py RECIPE MANIFEST.csv ... [key=value ...]
        [--teachers RECIPE ...] [--runs FOLDER]

Recordings that share a voice, a library or an author's collection are one source, whatever
package brought them. The sources are dealt into folds; each fold is left out once, with every
clip in which one of its sources is heard in the background, and the network is trained on the
rest of the same bank. Writes one JSON file with the pooled and the single figures.

With recipes of teachers the network learns from those: one of each a fold, which have not heard
the fold's sources either, and are judged as well.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sepaudio import create, hub, metrics, registry
from sepaudio.cli import key_values, script
from sepaudio.data import manifest
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import banks
from sepaudio.training.classify import fit
from sepaudio.verbs.evaluate import Track, summarise, tracks

RUNS = Path("runs/speech_music_noise")
SECONDS = (0.5, 1.0, 2.0)
FIGURES = {"accuracy": metrics.accuracy, "balanced": metrics.balanced_accuracy}
SAME = (  # beginnings of origins that belong together
    ("librispeech", ("resemble-ai/Resemblyzer", "Walleclipse/", "synthetic:sung")),
    ("librivox", ("coqui-ai/TTS", "cmusphinx/", "openai/whisper")),
    ("asterisk", ("debian:asterisk-core", "debian:asterisk-prompt")),
    ("frets on fire", ("debian:fretsonfire",)),
)


def source_of(origin: str) -> str:
    """The source that an origin belongs to."""
    for name, starts in SAME:
        if origin.startswith(starts):
            return name
    return origin


def folds_of(rows: list[manifest.Recording], n: int) -> list[set[str]]:
    """Sources dealt into n folds, each class spread evenly: its largest go to different folds."""
    minutes: dict[str, dict[str, float]] = {}
    for row in rows:
        kinds = minutes.setdefault(source_of(row.origin), {})
        kinds[row.kind] = kinds.get(row.kind, 0.0) + row.path.stat().st_size
    folds: list[set[str]] = [set() for _ in range(n)]
    load: list[dict[str, float]] = [{} for _ in range(n)]
    for name in sorted(minutes, key=lambda name: -sum(minutes[name].values())):
        kind = max(minutes[name], key=lambda kind: minutes[name][kind])
        best = min(range(n), key=lambda i: (load[i].get(kind, 0.0), sum(load[i].values())))
        folds[best].add(name)
        for k, size in minutes[name].items():
            load[best][k] = load[best].get(k, 0.0) + size
    return folds


@dataclass(frozen=True)
class Job:
    """Everything that judging a fold needs."""

    cfg: recipes.RecipeCfg
    rows: list[manifest.Recording]
    folder: Path
    teachers: dict[str, recipes.RecipeCfg] = field(default_factory=dict)

    def teach(self, cfg: recipes.RecipeCfg, number: int) -> tuple[recipes.RecipeCfg, list[Any]]:
        """The recipe of a fold with its teachers, and those; neither where nobody teaches."""
        models, places = [], []
        for name, teacher in self.teachers.items():
            theirs = replace(teacher, data=replace(teacher.data, held_out=cfg.data.held_out))
            folder = self.folder / f"{name}{number}"
            model = self.trained(theirs, folder)
            hub.save(model, folder / "model", card="# teacher\n", license=theirs.license)
            models.append(model)
            places.append(str(folder / "model"))
        if not models:
            return cfg, []
        distill = replace(cfg.distill, teacher=tuple(places))
        return replace(cfg, distill=distill), models

    def trained(self, cfg: recipes.RecipeCfg, folder: Path) -> Any:
        """A network of a recipe."""
        torch.manual_seed(cfg.seed)
        fresh: Any = create(cfg.architecture, **cfg.model)
        return fit(fresh, *banks(cfg, fresh), cfg, folder, quiet=True).model

    def judge(self, number: int, fold: set[str]) -> list[dict[float, list[Track]]]:
        """Train without the fold's sources, and hear them; teachers, if any, hear them too."""
        origins = tuple(sorted({r.origin for r in self.rows if source_of(r.origin) in fold}))
        cfg = replace(self.cfg, data=replace(self.cfg.data, held_out=origins))
        cfg, teachers = self.teach(cfg, number)
        models = [self.trained(cfg, self.folder / f"fold{number}"), *teachers]
        left = [row for row in self.rows if row.origin in origins]
        ours, *theirs = models
        found = [tracks(ours, left, SECONDS), *(tracks(one, left, SECONDS[-1:]) for one in theirs)]
        told = [summarise(one[SECONDS[-1]], tuple(ours.labels), 2.0).accuracy for one in found]
        who = f" and of {', '.join(self.teachers)}" if theirs else ""
        figures = ", ".join(f"{one:.4f}" for one in told)
        print(f"fold {number}: {', '.join(sorted(fold))}: {figures}{who}", flush=True)
        return found


def pooled(found: Any, which: int, labels: tuple[str, ...]) -> dict[str, Any]:
    """Scores of one of the networks that judged every fold, and its tables at 2 s."""
    whole = {s: [track for fold in found for track in fold[which][s]] for s in found[0][which]}
    scores = [asdict(summarise(whole[s], labels, s)) for s in whole]
    last = SECONDS[-1]
    folds = [summarise(fold[which][last], labels, last).accuracy for fold in found]
    return {"scores": scores, "folds": folds, "tables": tables_of(whole[last], labels)}


def tables_of(found: list[Track], labels: tuple[str, ...]) -> dict[str, list[list[int]]]:
    """A confusion table a recording, by its name."""
    n, tables = len(labels), {}
    for track in found:
        truth = np.full(len(track.probabilities), labels.index(track.recording.kind))
        table = metrics.confusion(truth, track.probabilities.argmax(axis=1), n)
        tables[f"{track.recording.source} {track.recording.path.name}"] = table.tolist()
    return tables


def gain(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """What one run gains over another one in points of accuracy, recordings drawn again."""
    names = sorted(set(ours) & set(theirs))
    both = np.array([[ours[name], theirs[name]] for name in names], np.float64)  # [R, 2, K, K]
    found = {}
    for title, figure in FIGURES.items():

        def difference(weights: Any, figure: Any = figure) -> float:
            a, b = np.tensordot(weights, both, 1)
            return 100 * (figure(a) - figure(b))

        draws = metrics.redrawn(len(names), difference)
        found[title] = [difference(np.ones(len(names))), *metrics.spread(draws)]
    return {"recordings": len(names), **found}


def main() -> None:
    """Train and judge every fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifests", nargs="+", help="CSV; key=value may stand anywhere")
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2, help="folds at once")
    parser.add_argument("--teachers", type=Path, nargs="+", default=[], help="their recipes")
    parser.add_argument("--teacher-steps", type=int, help="in the place of their recipes'")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder that the runs lie in")
    given, others = key_values()
    options = parser.parse_args(others)
    manifests = [str(Path(a).resolve()) for a in options.manifests]
    changes = [f"data.manifests={json.dumps(manifests)}", *given]
    cfg = recipes.read(options.recipe, changes)
    assert isinstance(cfg, recipes.RecipeCfg)  # a classifier's
    labels = registry.config(cfg.architecture, **cfg.model).labels
    rows = manifest.allowed(manifest.read_all(manifests, labels), cfg.data.refused_licenses)
    banks(cfg, create(cfg.architecture, **cfg.model))  # made once, before many read them
    teachers = {path.stem: taught_by(path, cfg, changes, options) for path in options.teachers}
    name = options.recipe.stem + ("_distilled" if teachers else "")
    job = Job(cfg, rows, options.runs / f"leave_out_{name}", teachers)
    folds = folds_of(rows, options.folds)
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(job.judge, range(len(folds)), folds))
    ours, *theirs = (pooled(found, which, labels) for which in range(len(found[0])))
    about = {"architecture": cfg.architecture, "steps": cfg.optim.steps, **ours}
    if teachers:
        about["distill"] = asdict(cfg.distill)
        about["teachers"] = {
            name: {"architecture": one.architecture, "steps": one.optim.steps} | told
            for (name, one), told in zip(teachers.items(), theirs, strict=True)
        }
    atomic_json(job.folder / "scores.json", about)
    print(job.folder / "scores.json")


def taught_by(
    path: Path, cfg: recipes.RecipeCfg, changes: list[str], options: argparse.Namespace
) -> recipes.RecipeCfg:
    """The recipe of a teacher on the clips of its pupil, with the bank of its features made."""
    same = [word for word in changes if not word.startswith(("optim.", "model.", "distill."))]
    if options.teacher_steps:
        same.append(f"optim.steps={options.teacher_steps}")
    found = recipes.read(path, same)
    assert isinstance(found, recipes.RecipeCfg)
    model = create(found.architecture, **found.model)
    alike = model.frontend.cfg == create(cfg.architecture, **cfg.model).frontend.cfg
    place = cfg.data.bank if alike else f"{cfg.data.bank}-teacher"
    found = replace(found, data=replace(found.data, bank=place))
    banks(found, model)
    return found


if __name__ == "__main__":
    script(main)
