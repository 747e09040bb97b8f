"""Measure what train.py made, write the tables, and publish the weights with their cards.

    python recipes/speech_music_noise/evaluate.py MANIFEST.csv ... [--publish sepaudio/pretrained]

Three sets, all disjoint from training: the test recordings of the collections that were trained
on, as they are and through the augmentation's rooms, noise, telephones and codecs; and every
recording of collections that were never trained on. Figures of leave_out.py and probe.py are
taken up when they are there.
"""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sepaudio import hub
from sepaudio.data import manifest
from sepaudio.data.augment import AugmentCfg, degrade
from sepaudio.files import atomic_json
from sepaudio.verbs.evaluate import Score, as_markdown, score_rows
from sepaudio.verbs.results import fill

HERE = Path(__file__).parent
RUNS = Path("runs/speech_music_noise")
NAMES = {
    "swishnet_wide": "speech_music_noise",
    "swishnet_slim": "speech_music_noise_slim",
    "swishnet_wide_distilled": "speech_music_noise_distilled",
}
ABOUT = {
    "swishnet_wide": "the default",
    "swishnet_slim": "a third of the size",
    "swishnet_wide_distilled": "taught by a larger network",
}
SECONDS = (0.5, 1.0, 2.0)


def heard(x: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """A recording as it may arrive: what training does to clips, rooms simulated."""
    return degrade(x, rate, AugmentCfg(), [], random)


def measure(name: str, rows: list[manifest.Recording]) -> dict[str, list[Score]]:
    """Scores of one run on the three sets."""
    folder = RUNS / name / "model"
    net = hub.load(folder)
    known = set(hub.read_config(folder)["trained_on"])
    near = [row for row in rows if row.origin in known and row.split == "test"]
    far = [row for row in rows if row.origin not in known]
    scores = {
        "test": score_rows(net, near, SECONDS),
        "degraded": score_rows(net, near, SECONDS, change=heard),
    }
    return scores | ({"elsewhere": score_rows(net, far, SECONDS)} if far else {})


TITLES = {
    "test": "Test recordings of the collections that were trained on",
    "degraded": "The same through random rooms, noise, telephones and codecs",
    "elsewhere": "Collections that were never trained on",
    "left out": "Leave-one-source-out: each source judged by a network that never heard it",
    "taught": "The same, taught by a larger network that never heard it either",
}


def tables(scores: dict[str, list[Score]], labels: list[str], heading: str) -> str:
    """Markdown of all sets of one model."""
    parts = []
    for key, title in TITLES.items():
        if key in scores:
            text = f"{heading} {title}\n\n{as_markdown(scores[key], labels)}"
            if key in ("elsewhere", "left out"):
                text += "\n" + by_origin(scores[key][-1])
            text += "\n" + confusion(scores[key][-1], labels)
            parts.append(text)
    return "\n".join(parts)


def gained(about: dict[str, Any]) -> str:
    """What a teacher brings at 2 s, on the same recordings."""
    if "gain" not in about:
        return ""
    teacher, gain = about["teacher"], about["gain"]
    parts = [
        "{}: {:+.2f} ({:+.2f} to {:+.2f})".format(title, *gain[title])
        for title in ("accuracy", "balanced")
    ]
    return (
        f"Taught by {teacher['architecture']} ({teacher['steps']} steps; weight "
        f"{about['distill']['weight']:g}, temperature {about['distill']['temperature']:g}) over "
        f"plain, points at 2 s, {gain['recordings']} recordings: {', '.join(parts)}.\n\n"
    )


def by_origin(score: Score) -> str:
    """A table of accuracy by collection, at one window length."""
    lines = [f"| class and collection | accuracy at {score.seconds:g} s | windows |"]
    lines.append("| --- | --- | --- |")
    for name, (accuracy, windows) in score.by_origin.items():
        lines.append(f"| {name} | {100 * accuracy:.1f} | {windows} |")
    return "\n".join(lines) + "\n"


def confusion(score: Score, labels: list[str]) -> str:
    """A confusion table: a row per true class."""
    lines = [f"| at {score.seconds:g} s, heard as | " + " | ".join(labels) + " |"]
    lines.append("|" + " --- |" * (len(labels) + 1))
    for label, row in zip(labels, score.confusion, strict=True):
        lines.append(f"| {label} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines) + "\n"


def card(name: str, rows: list[manifest.Recording], text: str, command: str, remark: str) -> str:
    """The card that goes with the weights."""
    config = hub.read_config(RUNS / name / "model")
    refused = config["recipe"]["data"]["refused_licenses"]
    used = [row for row in manifest.allowed(rows, refused) if row.split == "train"]
    licences: dict[str, set[str]] = {}
    for row in used:
        licences.setdefault(row.origin, set()).add(row.license)
    sources = "\n".join(
        f"| {origin} | {', '.join(sorted(licences[origin]))} |" for origin in sorted(licences)
    )
    optim = config["recipe"]["optim"]
    return (
        f"# {NAMES[name]}\n\n"
        f"Tells speech, music and noise apart; singing counts as music. Architecture "
        f"`{config['architecture']}`, "
        "16 kHz, causal, decides every 10 ms or once a clip.\n\n"
        f"Licence of the weights: **{config['license']}** (share-alike recordings are among the "
        "training data). The code is Apache-2.0.\n\n"
        "## Training\n\n"
        f"`{command}`, seed {config['seed']}, {optim['steps']} steps of {optim['batch']} clips "
        "on one thread of a CPU. Versions: "
        f"{', '.join(f'{k} {v}' for k, v in config['versions'].items())}. "
        f"Fingerprint of the recordings: `{config['data_fingerprint']}`. Probabilities are "
        f"calibrated: a temperature of {config['temperature']:.3f} is folded into the weights.\n\n"
        f"{remark}{' ' if remark else ''}"
        "No recording with a non-commercial or no-derivatives clause was used.\n\n"
        f"| collection | licence |\n| --- | --- |\n{sources}\n\n"
        "## Accuracy\n\nIn percent, per window; in brackets the 95 % interval when recordings "
        "are drawn again. Calibration error: expected, 15 bins.\n\n"
        f"{text}\n"
        "## Limits\n\nSpeech over music counts as speech when the music is weaker. Real singing "
        "is rare in the training data. Noise is the class with the least variety: what was never "
        "heard may be taken for music.\n"
    )


def main() -> None:
    """Measure, write README.md and results.json, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--publish", type=Path, help="folder of shipped weights")
    parser.add_argument(
        "--remark", nargs=2, action="append", default=[], metavar=("NAME", "TEXT"),
        help="a sentence for the card of one run",
    )  # fmt: skip
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    labels = ["noise", "music", "speech"]
    rows = manifest.read_all(options.manifests, labels)
    command = "python recipes/speech_music_noise/train.py MANIFEST.csv ..."
    results, text = {}, ""
    for name in NAMES:
        if not (RUNS / name / "model").is_dir():
            continue
        scores = measure(name, rows)
        left = RUNS / f"leave_out_{name}" / "scores.json"
        if left.exists():
            scores["left out"] = [Score(**s) for s in json.loads(left.read_text())["scores"]]
        taught = RUNS / f"leave_out_{name}_distilled" / "scores.json"
        if taught.exists():
            scores["taught"] = [Score(**s) for s in json.loads(taught.read_text())["scores"]]
        results[name] = {key: [asdict(s) for s in value] for key, value in scores.items()}
        text += f"### {name}\n\n{tables(scores, labels, '####')}\n"
        if taught.exists():
            text += gained(json.loads(taught.read_text()))
        if options.publish is not None:
            remark = " ".join(text for run, text in options.remark if run == name)
            sheet = card(name, rows, tables(scores, labels, "###"), command, remark)
            hub.ship(
                RUNS / name / "model", options.publish, NAMES[name], card=sheet, about=ABOUT[name]
            )
    probe = RUNS / "probe.json"
    if probe.exists():
        results["probe"] = json.loads(probe.read_text())
        cells = [
            f"| {when} | {100 * a:.1f} ({100 * low:.1f} to {100 * high:.1f}) |\n"
            for when, (a, low, high) in results["probe"].items()
        ]
        text += (
            "### A probe that hears bandwidth alone\n\nChance is 33.3.\n\n"
            "| augmentation | balanced accuracy (95 %) |\n| --- | --- |\n" + "".join(cells)
        )
    results["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "soundfile", "soxr")},
    }
    atomic_json(options.into / "results.json", results)
    fill(options.into / "README.md", text)
    print(text)


if __name__ == "__main__":
    main()
