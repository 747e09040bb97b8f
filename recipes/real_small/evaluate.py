"""Score trained models on the fixed lists, and write the table into README.md.

    python recipes/real_small/evaluate.py [--lists runs/real_small/lists] [--models NAME ...]

An extractor is scored on all lists, a separator on two_speakers.csv. Beside the table every
mixture's scores and the first examples as audio go to runs/real_small/scores.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sepaudio import load
from sepaudio.files import atomic_json, atomic_text
from sepaudio.hub import read_config
from sepaudio.verbs.evaluate_mixtures import HEAD, as_csv, as_markdown, evaluate_mixtures, summary

HERE = Path(__file__).parent
RUNS = Path("runs/real_small")
BEGIN, END = "<!-- results -->", "<!-- end results -->"


def scored(name: str, lists: list[Path]) -> tuple[str, dict[str, Any]]:
    """The table of one model, and its figures by list."""
    folder = RUNS / name / "model"
    net: Any = load(folder)
    config = read_config(folder)
    table, figures = HEAD, {}
    for path in lists:
        if net.task == "separation" and path.stem != "two_speakers":
            continue
        found = evaluate_mixtures(net, path, examples=RUNS / "scores" / name / path.stem)
        table += as_markdown(path.stem, summary(found))
        atomic_text(RUNS / "scores" / name / f"{path.stem}.csv", as_csv(found))
        figures[path.stem] = asdict(summary(found))
    steps, count = config["recipe"]["optim"]["steps"], sum(p.numel() for p in net.parameters())
    head = (
        f"### {name}\n\n{count:,} parameters; recipe of {steps} steps at most, seed "
        f"{config['seed']}, validation loss {config['valid_loss_db']:.2f} dB.\n\n"
    )
    return head + table + "\n", figures


def main() -> None:
    """Score, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, default=RUNS / "lists")
    parser.add_argument("--models", nargs="+", default=["tsenet_small", "mitas_small"])
    parser.add_argument("--readme", type=Path, default=HERE / "README.md")
    options = parser.parse_args()
    lists = [options.lists / f"{name}.csv" for name in ("two_speakers", "noise", "music")]
    text, figures = "", {}
    for name in options.models:
        part, figures[name] = scored(name, lists)
        text += part
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {version('torch')}"
    text += f"Measured on the CPU ({machine}).\n"
    atomic_json(RUNS / "scores" / "results.json", figures)
    readme = options.readme.read_text(encoding="utf-8")
    before, after = readme.split(BEGIN)[0], readme.split(END)[1]
    atomic_text(options.readme, f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    print(text)


if __name__ == "__main__":
    main()
