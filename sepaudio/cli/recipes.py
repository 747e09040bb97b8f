"""What the scripts train.py and evaluate.py of recipes for published lists share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import key_values


def train(about: str, here: Path, arguments: Sequence[str] | None = None) -> None:
    """Train what the recipes (YAML) in the folder `here` say on RUNS/lists/train.csv and valid.csv.

    Args:
        about: text of --help.
        here: folder of the recipes.
        arguments: of the command line.
    """
    recipes = sorted(path.stem for path in here.glob("*.yaml"))
    changed, others = key_values(arguments)
    parser = _parser(about)
    parser.add_argument("--recipes", nargs="+", default=recipes, choices=recipes)
    parser.add_argument("--runs", type=Path, default=Path("runs") / here.name)
    options = parser.parse_args(others)
    from ..verbs.train import train as verb

    lists = [str((options.runs / "lists" / f"{name}.csv").resolve()) for name in ("train", "valid")]
    changes = [f"data.lists.files={json.dumps(lists)}", *changed]
    for name in options.recipes:
        print(verb(here / f"{name}.yaml", changes, output=options.runs / name))


def evaluate(
    about: str,
    here: Path,
    lists: Mapping[str, Sequence[str]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Score all models that are trained, and write the tables into README.md.

    Every mixture's scores and the first examples as audio go to RUNS/scores.

    Args:
        about: text of --help.
        here: folder of the README.
        lists: names in RUNS/lists that a model of each task is scored on.
        arguments: of the command line.
    """
    parser = _parser(about)
    parser.add_argument("--runs", type=Path, nargs="+", default=[Path("runs") / here.name])
    parser.add_argument("--metrics", default="", help="beside SI-SNR, with commas between")
    parser.add_argument("--genders", type=Path, help="CSV with speaker and gender")
    parser.add_argument("--plot", action="store_true", help="draw improvement against input SIR")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--readme", type=Path, default=here / "README.md")
    options = parser.parse_args(arguments)
    from ..verbs.results import fill

    text = "".join(_scored(runs, lists, options) for runs in options.runs)
    fill(options.readme, text)
    print(text)


def _parser(about: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _scored(runs: Path, lists: Mapping[str, Sequence[str]], options: argparse.Namespace) -> str:
    """The tables of all models of one folder of runs."""
    from ..data import manifest
    from ..files import atomic_json
    from ..verbs.given import place
    from ..verbs.report import as_markdown, plot
    from ..verbs.results import described, machine, score_lists
    from ..verbs.scores import summarise

    folders = sorted(path.parent for path in runs.glob("*/model/config.json"))
    if not folders:
        raise SystemExit(f"no trained model in {runs}: expected */model; run train.py first")
    known = manifest.genders(options.genders) if options.genders else None
    figures = options.metrics.split(",") if options.metrics else ()
    text, summaries = "", {}
    for folder in folders:
        net: Any = place(folder, options.device, *lists)
        name, out = folder.parent.name, runs / "scores" / folder.parent.name
        paths = [runs / "lists" / f"{name}.csv" for name in lists[net.task]]
        more = {"figures": figures, "genders": known, "device": options.device}
        found = score_lists(net, paths, out, **more)
        if options.plot:
            plot(out / "improvement.png", found)
        summaries[name] = {key: summarise(rows) for key, rows in found.items()}
        text += f"### {name} in {runs.name}\n\n{described(net, folder)} {machine(net)}\n\n"
        text += as_markdown(summaries[name]) + "\n"
        if bad := [row for rows in found.values() for row in rows if row.error]:
            text += f"{len(bad)} rows failed, the first, {bad[0].file}: {bad[0].error}\n\n"
    atomic_json(runs / "scores" / "results.json", summaries)
    return text
