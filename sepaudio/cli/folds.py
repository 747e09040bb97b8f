"""What train.py and evaluate.py share in recipes for classes: of folds, or of one split."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from . import key_values

SPLIT = "split"  # the run of a set without folds


def train(about: str, here: Path, arguments: Sequence[str] | None = None, recipe: str = "") -> None:
    """Train the recipes (YAML) in the folder `here`, a run for every fold that is left out.

    A recipe that names no labels gets the classes of the manifests. Runs go to
    RUNS/<recipe>/fold<N>, or RUNS/<recipe>/split where the manifests have no folds.

    Args:
        about: text of --help.
        here: folder of the recipes.
        arguments: of the command line.
        recipe: trained unless --recipes says others; "" for the first by name.

    Raises:
        ValueError: the manifests or the recipe are wrong.
    """
    recipes = sorted(path.stem for path in here.glob("*.yaml"))
    changed, others = key_values(arguments)
    parser = _parser(about)
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--recipes", nargs="+", default=[recipe or recipes[0]], choices=recipes)
    parser.add_argument("--folds", nargs="+", type=int, help="left out in turn; all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs") / here.name)
    parser.add_argument("--init", default="", help="weights to start from, for other labels, too")
    parser.add_argument("--freeze", nargs="+", default=[], help="parts that keep their weights")
    parser.add_argument("--name", default="", help="of the runs; that of the recipe by default")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(others)
    if options.name and len(options.recipes) > 1:
        parser.error(f"--name {options.name} with {len(options.recipes)} recipes: expected one")
    import yaml

    from ..data import manifest
    from ..verbs.train import train as verb

    rows = [row for path in options.manifests for row in manifest.read(path)]
    known = sorted({row.fold for row in rows if row.fold is not None})
    paths = [str(path.resolve()) for path in options.manifests]
    for name in options.recipes:
        path = here / f"{name}.yaml"
        changes = [f"data.manifests={json.dumps(paths)}"]
        model = yaml.safe_load(path.read_text(encoding="utf-8")).get("model") or {}
        if "labels" not in model:
            labels = sorted({kind for row in rows for kind in row.kinds})
            changes.append(f"model.labels={json.dumps(labels)}")
        for fold in options.folds or known or [0]:
            more = [*changes, f"data.fold={fold}", *changed]
            folder = options.runs / (options.name or name) / (f"fold{fold}" if fold else SPLIT)
            start = {"init": options.init, "freeze": options.freeze}
            print(verb(path, more, output=folder, quiet=options.quiet, **start))


def evaluate(
    about: str, here: Path, arguments: Sequence[str] | None = None, recipe: str = ""
) -> None:
    """Judge all runs on what they never heard, and write the tables into README.md.

    The figures go to results.json beside it, and RUNS/scores/<recipe> gets files.csv,
    confusion.csv, summary.json and, with --plot, a picture.

    Args:
        about: text of --help.
        here: folder of the README.
        arguments: of the command line.
        recipe: comes first, and the others are compared with it; "" for the first by name.
    """
    parser = _parser(about)
    parser.add_argument("--runs", type=Path, default=Path("runs") / here.name)
    parser.add_argument("--plot", action="store_true", help="draw confusion and calibration")
    parser.add_argument("--draws", type=int, default=1000, help="of recordings, for intervals")
    parser.add_argument("--readme", type=Path, default=here / "README.md")
    options = parser.parse_args(arguments)
    from ..files import atomic_json
    from ..verbs import evaluate_folds as verb
    from ..verbs.results import fill

    folders = sorted(
        {path.parent.parent for path in options.runs.glob("*/*/model")},
        key=lambda folder: (folder.name != recipe, folder.name),
    )
    if not folders:
        raise SystemExit(f"no trained model in {options.runs}: expected */*/model; run train.py")
    found = {folder.name: verb.Runs.read(folder) for folder in folders}
    text, figures = "", {}
    for name, runs in found.items():
        out = options.runs / "scores" / name
        text += verb.report(name, runs, out, options.draws, options.plot)
        figures[name] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    text += verb.compared(found, options.draws)
    fill(options.readme, text)
    atomic_json(options.readme.with_name("results.json"), figures)
    print(text)


def _parser(about: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
