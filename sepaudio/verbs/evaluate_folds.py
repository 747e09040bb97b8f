"""Runs of one recipe, each judged on the fold, or the split, that it never heard.

A clip is judged whole: probabilities of its windows are averaged. "Last" is the model after the
last step, chosen by nothing. "Best" is the step that was best on validation clips or, without any,
on the very clips that judge it, as papers report it: that flatters. Intervals come from drawing
the recordings again that clips are cut from, not clips; what stands before the last colon of a
manifest's `source` names such a recording.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, hub, registry
from ..data.folds import LEAK
from ..data.manifest import Recording
from ..training import clips, loop, recipe
from . import judged, report_labels
from .evaluate import judge_all
from .judged import Floats, Judged
from .report import compared_as_markdown, table
from .results import fill, machine

__all__ = ["Run", "Runs", "compared", "fill", "judge", "report"]


@dataclass(frozen=True)
class Run:
    """One trained fold, and what it says of the clips of that fold.

    Attributes:
        name: of its folder.
        recipe: that it was trained by.
        model: after the last step.
        rows: of the clips that judge it.
        last: [N, K] probabilities after the last step.
        best: [N, K] those of the step that was best on these clips; the last ones without any.
        step: where that was.
        validated: whether other clips than these chose it.
        seconds: of audio that was judged.
        took: time for it [s].
    """

    name: str
    recipe: Any
    model: Any
    rows: Sequence[Recording]
    last: Floats
    best: Floats
    step: int | None
    validated: bool
    seconds: float
    took: float

    @staticmethod
    def read(folder: Path) -> Run:
        """Judge the run in a folder.

        Raises:
            ValueError: it has no model, or its recordings are gone.
        """
        cfg = recipe.read(folder / "recipe.yaml")
        if not isinstance(cfg, recipe.ClipRecipeCfg):
            raise ValueError(f"{folder} is no run on whole clips: expected one of an `esresnet`")
        model: Any = hub.load(folder / "model")
        heard = clips.load(cfg, model)
        test, fill_with = heard.parts["test"], cfg.data.augment.fill
        began = time.perf_counter()
        last = clips.chances_of(model, heard, test, fill_with).numpy()
        took = time.perf_counter() - began
        best, step = last, None
        if found := loop.best(folder):
            step, weights = found
            other = registry.build(model.cfg)
            other.load_state_dict(weights)
            best = clips.chances_of(other.eval(), heard, test, fill_with).numpy()
        seconds = sum(heard.shelf.length(i) for i in test) / heard.shelf.sample_rate
        rows = [heard.shelf.rows[i] for i in test]
        validated = bool(heard.parts["valid"])
        return Run(folder.name, cfg, model, rows, last, best, step, validated, seconds, took)


@dataclass(frozen=True)
class Runs:
    """All runs of one recipe."""

    each: Sequence[Run]

    @staticmethod
    def read(folder: Path) -> Runs:
        """Judge the runs in the folders of a folder.

        Raises:
            ValueError: two were judged on the same clip.
        """
        return Runs([Run.read(path.parent) for path in sorted(folder.glob("*/model"))])

    @property
    def several(self) -> bool:
        """Whether a clip may be of several classes."""
        return bool(getattr(self.each[0].model, "several", False))


def judge(runs: Sequence[Run], which: str = "last") -> Judged:
    """What runs say of all clips that judge them.

    Args:
        runs: of one recipe.
        which: "last" or "best".
    """
    labels = list(runs[0].model.labels)
    rows = [row for run in runs for row in run.rows]
    chances = np.concatenate([getattr(run, which) for run in runs])
    names = [str(row.path) for row in rows]
    groups: list[str] | None = [row.source.rpartition(":")[0] or row.source for row in rows]
    if len(set(groups or ())) == 1:  # sources that do not tell recordings apart
        groups = None
    several = bool(getattr(runs[0].model, "several", False))
    return judge_all(names, rows, chances, labels, several=several, groups=groups)


def report(name: str, runs: Runs, out: Path, draws: int = judged.DRAWS, plot: bool = False) -> str:
    """Markdown of one recipe; everything also goes to files in `out`.

    Args:
        name: of the recipe.
        runs: of it.
        out: folder for files.csv, confusion.csv, summary.json and confusion.png.
        draws: resamplings.
        plot: whether to draw the confusion.
    """
    found = judge(runs.each)
    summary = judged.summarise(found, draws)
    best = judged.summarise(judge(runs.each, "best"), draws)
    out.mkdir(parents=True, exist_ok=True)
    files.atomic_text(out / "files.csv", judged.to_csv(found))
    files.atomic_text(out / "confusion.csv", judged.confusion_csv(found))
    steps = {run.name: run.step for run in runs.each}
    both = {"last": summary, "best": {**best, "steps": steps}}
    files.atomic_json(out / "summary.json", json.loads(json.dumps(both)))
    if plot and found.labels:
        report_labels.plot(out / "confusion.png", found)
    run = runs.each[0]
    model, optim = run.model, run.recipe.optim
    speed = sum(r.seconds for r in runs.each) / max(sum(r.took for r in runs.each), 1e-9)
    text = (
        f"### {name}\n\n{sum(p.numel() for p in model.parameters()):,} parameters, windows of "
        f"{model.seconds:g} s at {model.sample_rate} Hz; {optim.steps} steps of {optim.batch} "
        f"clips, seed {run.recipe.seed}{_started(run.recipe)}. {machine(model)} Judging ran at "
        f"{speed:.0f} times real time.\n\n"
    )
    if run.recipe.data.folds == "shuffled":
        text += f"**{LEAK[0].upper()}{LEAK[1:]}.**\n\n"
    rows = {"last step": ("last", summary)}
    if any(r.step is not None for r in runs.each):
        on = "other clips" if all(r.validated for r in runs.each) else "the clips that judge it"
        rows[f"best step, chosen on {on}"] = ("best", best)
    text += _by_fold(runs.each, rows)
    groups = len(set(found.groups or found.files))
    text += f"\n{len(found.files)} clips of {groups} recordings. At the last step:\n\n"
    return text + report_labels.as_markdown(summary).partition("\n")[2].lstrip() + "\n"


def compared(found: Mapping[str, Runs], draws: int = judged.DRAWS) -> str:
    """Markdown of every recipe against the first, on the folds that both were judged on."""
    names = list(found)
    lines = {}
    for name in names[1:]:
        both = [{run.name: run for run in found[one].each} for one in (name, names[0])]
        shared = [fold for fold in both[0] if fold in both[1]]
        if not shared:
            continue
        ours, theirs = (judge([runs[fold] for fold in shared]) for runs in both)
        if list(ours.files) == list(theirs.files):
            lines[f"{name} - {names[0]}"] = judged.compare(ours, theirs, draws)
    return f"### Compared\n\n{compared_as_markdown(lines)}\n" if lines else ""


def _by_fold(runs: Sequence[Run], rows: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """The main figure of every fold, their mean and deviation, and that of all clips together."""
    name = next(iter(rows["last step"][1]["figures"]))
    lines = [(f"{name.replace('_', ' ')}, %", *(run.name for run in runs), "mean ± deviation",
              "pooled (95 %)")]  # fmt: skip
    for title, (which, summary) in rows.items():
        each = [judge([run], which).figures(np.ones(len(run.rows)))[name] for run in runs]
        spread = f" ± {100 * np.std(each, ddof=1):.1f}" if len(each) > 1 else ""
        one = summary["figures"][name]
        low, high = one["interval"] or (np.nan, np.nan)
        cells = [f"{100 * value:.1f}" for value in each]
        cells += [f"{100 * np.mean(each):.1f}{spread}"]
        cells += [f"{100 * one['value']:.1f} ({100 * low:.1f} to {100 * high:.1f})"]
        lines.append((title, *cells))
    return table(lines, left=(0,))


def _started(cfg: Any) -> str:
    if not cfg.init:
        return ""
    frozen = f", {', '.join(cfg.freeze)} frozen" if cfg.freeze else ""
    return f", from `{Path(cfg.init).name}`{frozen}"
