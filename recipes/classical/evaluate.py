"""Measure what train.py found and fill README.md.

    python recipes/classical/evaluate.py --folds esc10/meta.csv --audio esc10/audio MANIFEST.csv ...

Every clip of a table of folds is judged by the model that has not heard its fold; the answers go to
runs/classical/folds/METHOD.csv, which `sepaudio evaluate --labels meta.csv --predictions` reads
too. Speech, music and noise are judged as in recipes/speech_music_noise, window by window.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from train import RUNS

import sepaudio
from sepaudio import hub, io
from sepaudio.cli import script
from sepaudio.data import manifest, table
from sepaudio.files import atomic_json
from sepaudio.verbs import judged, report_labels
from sepaudio.verbs.classify import probabilities
from sepaudio.verbs.evaluate import as_dict, as_markdown, score_rows
from sepaudio.verbs.report import compared_as_markdown
from sepaudio.verbs.results import fill, machine

HERE = Path(__file__).parent
TITLES = {
    "votes": "GMM a class, votes of frames",
    "likelihood": "GMM a class, mean likelihood",
    "fisher": "Fisher vectors, linear SVM",
}
SECONDS = (0.5, 1.0, 2.0)


def there(what: str) -> list[str]:
    """The methods that train.py has found models by."""
    return [method for method in TITLES if (RUNS / what / method).is_dir()]


def answer(meta: Path, audio: Path, method: str) -> Path:
    """Judge every clip by the model that has not heard its fold; the CSV with the answers."""
    with meta.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = []
    for fold in sorted({row["fold"] for row in rows}):
        net: Any = hub.load(RUNS / "folds" / method / fold)
        for row in rows:
            if row["fold"] == fold:
                x = io.read(audio / row["filename"], net.sample_rate)[0]
                chances = dict(zip(net.labels, probabilities(net, [x])[0].tolist(), strict=True))
                label = max(chances, key=chances.__getitem__)
                told = {name: f"{p:.6f}" for name, p in chances.items()}
                lines.append({"path": row["filename"], "label": label, "fold": fold, **told})
    path = RUNS / "folds" / f"{method}.csv"
    table.write(path, list(lines[0]), lines)
    return path


def by_fold(meta: Path, found: judged.Judged) -> list[float]:
    """Accuracy of each fold."""
    with meta.open(newline="", encoding="utf-8") as file:
        fold_of = {row["filename"]: row["fold"] for row in csv.DictReader(file)}
    folds = np.array([fold_of[name] for name in found.files])
    assert found.right is not None
    return [float(found.right[folds == fold].mean()) for fold in sorted(set(folds))]


def folds_table(meta: Path, audio: Path) -> tuple[dict[str, Any], str]:
    """Results on a table of folds, plain and as Markdown."""
    results: dict[str, Any] = {}
    every: dict[str, judged.Judged] = {}
    head = ["", "accuracy (95 %)", "mean of folds (deviation)", "macro F1", "mean AP"]
    head += ["calibration error", "Gaussians", "numbers"]
    text = f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n"
    for method in there("folds"):
        every[method] = found = sepaudio.evaluate_labels(meta, answer(meta, audio, method))
        summary, folds = judged.summarise(found), by_fold(meta, found)
        values = {name: one["value"] for name, one in summary["figures"].items()}
        low, high = (100 * x for x in summary["figures"]["accuracy"]["interval"])
        net: Any = hub.load(min((RUNS / "folds" / method).iterdir()))
        size = sum(x.numel() for x in net.state_dict().values())
        cells = [
            TITLES[method],
            f"{100 * values['accuracy']:.1f} ({low:.1f} to {high:.1f})",
            f"{100 * np.mean(folds):.1f} ({100 * np.std(folds, ddof=1):.1f})",
            f"{100 * values['macro_f1']:.1f}",
            f"{100 * values['mean_average_precision']:.1f}",
            f"{100 * summary['calibration_error']:.1f}",
            f"{len(net.mixtures)} x {net.cfg.components}",
            f"{size:,}",
        ]
        text += f"| {' | '.join(cells)} |\n"
        results[method] = {**summary, "folds": folds}
    compared = {
        f"fisher - {method}": judged.compare(every["fisher"], one)
        for method, one in every.items()
        if method != "fisher" and "fisher" in every
    }
    if compared:
        text += f"\n{compared_as_markdown(compared)}"
    for method in every:
        text += f"\n{TITLES[method]}, by class:\n\n"
        text += report_labels.classes_table(results[method]["classes"]) + "\n"
        text += report_labels.confusion_table(results[method]["confusion"])
    text += f"\n{machine(net)}\n"
    return results, text


def windows_table(manifests: list[Path]) -> tuple[dict[str, Any], str]:
    """Results on speech, music and noise, plain and as Markdown."""
    results, text = {}, ""
    for method in there("speech_music_noise"):
        net: Any = hub.load(RUNS / "speech_music_noise" / method)
        rows = [r for r in manifest.read_all(manifests, net.labels) if r.split == "test"]
        scores = score_rows(net, rows, SECONDS)
        results[method] = as_dict(scores)
        size = sum(x.numel() for x in net.state_dict().values())
        gaussians = f"{len(net.mixtures)} x {net.cfg.components} Gaussians"
        text += f"{TITLES[method]}: {gaussians}, {size:,} numbers.\n"
        text += f"\n{as_markdown(scores, list(net.labels))}\n"
    return results, text


def main() -> None:
    """Measure, write README.md and results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path)
    parser.add_argument("--folds", type=Path, help="CSV with filename, fold, category")
    parser.add_argument("--audio", type=Path, help="folder of its recordings")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    text = ""
    if options.folds is not None:
        results["folds"], part = folds_table(options.folds, options.audio)
        text += f"### Folds\n\n{part}\n"
    if options.manifests:
        results["speech_music_noise"], part = windows_table(options.manifests)
        text += f"### Speech, music, noise\n\n{part}\n"
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    script(main)
