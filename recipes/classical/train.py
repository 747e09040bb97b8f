"""Find the classical baselines: mixtures of Gaussians, and Fisher vectors with a linear SVM.

    python recipes/classical/train.py --folds esc10/meta.csv --audio esc10/audio
    python recipes/classical/train.py MANIFEST.csv ...

A table of folds (filename, fold, category) gives a model a fold, which has not heard that fold; the
fold before it is held out at first, for choosing. Manifests of speech, music and noise give one
model; their split `valid` is held out at first. A model that is there already stays as it is.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.frontends import mel_cfg
from sepaudio.models.classical import ClassicalCfg
from sepaudio.training.classical import ClassicalRecipe, Example, fit_classical
from sepaudio.verbs.classify import SILENCE_DB, level_db

RUNS = Path("runs/classical")
METHODS = {"votes": "gmm", "likelihood": "gmm", "fisher": "fisher_svm"}
SECONDS = 2.0  # of the windows that recordings of speech, music and noise are cut into
CLIPS = {"features": mel_cfg("psf", 22050, n_mels=40)}  # sounds reach higher than speech
FEW = 32  # Gaussians a class where a class has some minutes


def examples(
    cfg: ClassicalCfg, sounds: Iterator[tuple[np.ndarray, str, str]]
) -> list[tuple[Example, str]]:
    """Samples [T] at the model's rate, class and group -> examples and their groups."""
    frontend = registry.build(cfg).frontend
    return [
        (Example(features=frontend(torch.from_numpy(x)[None])[0], label=cfg.labels.index(kind)), g)
        for x, kind, g in sounds
    ]


def of_folds(table: Path, audio: Path, rate: int) -> Iterator[tuple[np.ndarray, str, str]]:
    """Clips of a table with folds; the fold is the group."""
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield io.read(audio / row["filename"], rate)[0], row["category"], row["fold"]


def of_manifests(paths: Sequence[Path], rate: int) -> Iterator[tuple[np.ndarray, str, str]]:
    """Windows of the recordings that are not for testing; the split is the group."""
    size = round(SECONDS * rate)
    for row in manifest.read_all(paths, ClassicalCfg().labels):
        if row.split != "test":
            x = io.read(row.path, rate)[0]
            for start in range(0, max(len(x) - size, 0) + 1, size):
                window = x[start : start + size]
                if level_db(window) >= SILENCE_DB:
                    yield window, row.kind, row.split


def find(
    cfg: ClassicalCfg,
    given: list[tuple[Example, str]],
    held_out: str,
    recipe: ClassicalRecipe,
    folder: Path,
    title: str,
) -> None:
    """Find one model and save it; one that is there already stays."""
    if folder.exists():
        print(f"{title}: {folder} is there already")
        return
    began = time.perf_counter()
    parts = [replace(e, held_out=group == held_out) for e, group in given]
    fitted = fit_classical(cfg, parts, recipe)
    took = time.perf_counter() - began
    hub.save(
        fitted.model,
        folder,
        card=f"# {title}\n\nMade by recipes/classical/train.py from {len(parts)} clips.\n",
        architecture=METHODS[cfg.method],
        license="unknown",
        cost=fitted.cost,
        temperature=fitted.temperature,
        valid_accuracy=fitted.valid_accuracy,
        frames=recipe.frames,
        seconds=round(took, 1),
    )
    print(f"{title}: {took:.0f} s, {100 * fitted.valid_accuracy:.1f} % of what was held out")


def main() -> None:
    """Find every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path)
    parser.add_argument("--folds", type=Path, help="CSV with filename, fold, category")
    parser.add_argument("--audio", type=Path, help="folder of its recordings")
    parser.add_argument("--methods", nargs="+", default=["votes", "fisher"], choices=METHODS)
    parser.add_argument("--components", type=int, help="Gaussians of every mixture")
    usual = ClassicalRecipe()
    parser.add_argument("--frames", type=int, default=usual.frames, help="most for a mixture")
    parser.add_argument("--costs", type=float, nargs="+", default=usual.costs, help="tried")
    options = parser.parse_args()
    recipe = ClassicalRecipe(frames=options.frames, costs=tuple(options.costs))
    more = {} if options.components is None else {"components": options.components}
    if options.folds is not None:
        with options.folds.open(newline="", encoding="utf-8") as file:
            labels = tuple(sorted({row["category"] for row in csv.DictReader(file)}))
        base = registry.config("fisher_svm", labels=labels, **CLIPS)
        rate = base.features.sample_rate
        given = examples(base, of_folds(options.folds, options.audio, rate))
        folds = sorted({fold for _, fold in given})
        for method in options.methods:
            cfg = replace(base, method=method)
            cfg = replace(cfg, **{"components": 64 if method == "fisher" else FEW, **more})
            for number, fold in enumerate(folds):
                heard = [(e, g) for e, g in given if g != fold]
                folder = RUNS / "folds" / method / fold
                find(
                    cfg, heard, folds[number - 1], recipe, folder, f"{method}, without fold {fold}"
                )
    if options.manifests:
        base = registry.config("fisher_svm")
        given = examples(base, of_manifests(options.manifests, base.features.sample_rate))
        for method in options.methods:
            cfg = registry.config(METHODS[method], method=method, **more)
            find(cfg, given, "valid", recipe, RUNS / "speech_music_noise" / method, method)


if __name__ == "__main__":
    script(main)
