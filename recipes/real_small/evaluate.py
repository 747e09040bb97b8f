"""Score trained models on the fixed lists, and write the table into README.md.

    python recipes/real_small/evaluate.py [--lists runs/real_small/lists] [--models NAME ...]
        [--metrics sdr,pesq,stoi] [--genders MANIFEST.csv] [--plot]

An extractor is scored on all lists, a separator on two_speakers.csv. Beside the table every
mixture's scores, the first examples as audio and pictures (--plot) go to runs/real_small/scores.
Two runs are compared by `sepaudio evaluate --scores ONE.csv --compare OTHER.csv`.
"""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sepaudio import evaluate_mixtures, load
from sepaudio.data import manifest
from sepaudio.files import atomic_json, atomic_text
from sepaudio.hub import read_config
from sepaudio.verbs.report import as_markdown, plot
from sepaudio.verbs.scores import summarise, to_csv

HERE = Path(__file__).parent
RUNS = Path("runs/real_small")
BEGIN, END = "<!-- results -->", "<!-- end results -->"


def scored(name: str, lists: list[Path], options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The table of one model, and its figures by list."""
    folder, out = RUNS / name / "model", RUNS / "scores" / name
    net: Any = load(folder)
    config = read_config(folder)
    rows = {}
    for path in lists:
        if net.task == "separation" and path.stem != "two_speakers":
            continue
        found = evaluate_mixtures(
            net,
            path,
            figures=options.metrics.split(",") if options.metrics else (),
            genders=manifest.genders(options.genders) if options.genders else None,
            examples=out / path.stem,
        )
        rows[path.stem] = list(found)
        atomic_text(out / f"{path.stem}.csv", to_csv(rows[path.stem]))
    if options.plot:
        plot(out / "improvement.png", rows)
    summaries = {key: summarise(part) for key, part in rows.items()}
    steps, count = config["recipe"]["optim"]["steps"], sum(p.numel() for p in net.parameters())
    head = (
        f"### {name}\n\n{count:,} parameters; recipe of {steps} steps at most, seed "
        f"{config['seed']}, validation loss {config['valid_loss_db']:.2f} dB.\n\n"
    )
    return f"{head}{as_markdown(summaries)}\n", summaries


def main() -> None:
    """Score, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, default=RUNS / "lists")
    parser.add_argument("--models", nargs="+", default=["tsenet_small", "mitas_small"])
    parser.add_argument("--metrics", default="", help="beside SI-SNR, with commas between")
    parser.add_argument("--genders", type=Path, help="CSV with speaker and gender")
    parser.add_argument("--plot", action="store_true", help="draw improvement against input SIR")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md")
    options = parser.parse_args()
    lists = [options.lists / f"{name}.csv" for name in ("two_speakers", "noise", "music")]
    text, figures = "", {}
    for name in options.models:
        part, figures[name] = scored(name, lists, options)
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
