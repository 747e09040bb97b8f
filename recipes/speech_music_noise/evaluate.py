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
from leave_out import FIGURES, gain, tables_of

from sepaudio import hub
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.data.augment import AugmentCfg, degrade
from sepaudio.files import atomic_json
from sepaudio.verbs.evaluate import Score, Track, as_markdown, summarise, tracks
from sepaudio.verbs.results import fill

HERE = Path(__file__).parent
RUNS = Path("runs/speech_music_noise")
PLAIN, FINE, TAUGHT = "swishnet_wide", "swishnet_fine", "swishnet_fine_distilled"
NAMES = {TAUGHT: "speech_music_noise", "swishnet_slim": "speech_music_noise_slim"}  # what ships
ABOUT = {TAUGHT: "the default", "swishnet_slim": "a third of the size"}
SECONDS = (0.5, 1.0, 2.0)
COMPARED = RUNS / "compared"  # leave_out.py --runs, of networks and their teachers
Gains = dict[str, dict[str, Any]]  # by what was judged, see `leave_out.gain`


def heard(x: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """A recording as it may arrive: what training does to clips, rooms simulated."""
    return degrade(x, rate, AugmentCfg(), [], random)


def measure(name: str, rows: list[manifest.Recording]) -> dict[str, dict[float, list[Track]]]:
    """What one run says of the windows of the three sets, by their length."""
    folder = RUNS / name / "model"
    net = hub.load(folder)
    known = set(hub.read_config(folder)["trained_on"])
    near = [row for row in rows if row.origin in known and row.split == "test"]
    far = [row for row in rows if row.origin not in known]
    found = {
        "test": tracks(net, near, SECONDS),
        "degraded": tracks(net, near, SECONDS, change=heard),
    }
    return found | ({"elsewhere": tracks(net, far, SECONDS)} if far else {})


TITLES = {
    "test": "Test recordings of the collections that were trained on",
    "degraded": "The same through random rooms, noise, telephones and codecs",
    "elsewhere": "Collections that were never trained on",
    "left out": "Leave-one-source-out: each source judged by a network that never heard it",
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


def gained(found: dict[str, dict[str, dict[float, list[Track]]]], labels: list[str]) -> Gains:
    """What networks have over one another, in points at 2 s on the same recordings.

    Args:
        found: by run and set, the windows by their length.
        labels: of the classes.
    """
    gains: Gains = {}
    if PLAIN in found and TAUGHT in found:
        for key in found[PLAIN]:
            both = (tables_of(found[run][key][2.0], tuple(labels)) for run in (TAUGHT, PLAIN))
            gains[f"{TAUGHT} over {PLAIN}: {TITLES[key]}"] = gain(*both)
    left = sides()
    pairs = [(name, PLAIN) for name in left if name != PLAIN] + [(TAUGHT, FINE)]
    for ours, theirs in pairs:
        if ours in left and theirs in left:
            both = (left[name]["tables"] for name in (ours, theirs))
            gains[f"{ours} over {theirs}: {TITLES['left out']}"] = gain(*both)
    return gains


def compared(gains: Gains, labels: list[str]) -> str:
    """Markdown of what networks have over one another, and how they do on sources left out."""
    lines = ["| points gained at 2 s (95 %) | accuracy | balanced | recordings |"]
    lines.append("| --- | --- | --- | --- |")
    for title, found in gains.items():
        cells = ["{:+.2f} ({:+.2f} to {:+.2f})".format(*found[key]) for key in FIGURES]
        lines.append(f"| {title} | {' | '.join(cells)} | {found['recordings']} |")
    text = "\n".join(lines) + "\n"
    last = {}
    for who, one in sides().items():
        scores = [Score(**s) for s in one["scores"]]
        last[who] = scores[-1].by_origin
        told = f"{who}, {one['steps']} steps"
        if "distill" in one:
            told += ", taught by " + " and ".join(one["teachers"])
            told += ", weight {weight:g}, temperature {temperature:g}".format(**one["distill"])
            told += ", mixed clips" if one["distill"].get("mixed") else ""
        folds = ", ".join(f"{100 * accuracy:.1f}" for accuracy in one["folds"])
        text += f"\n#### Left out: {told}\n\n{as_markdown(scores, labels)}"
        text += f"\nAccuracy at 2 s, fold by fold: {folds}.\n"
    if last:
        text += f"\n| class and collection | {' | '.join(last)} | windows |\n"
        text += "|" + " --- |" * (len(last) + 2) + "\n"
    for name, (_, windows) in last.get(PLAIN, {}).items():
        cells = " | ".join(f"{100 * one[name][0]:.1f}" for one in last.values())
        text += f"| {name} | {cells} | {windows} |\n"
    return text


def sides() -> dict[str, dict[str, Any]]:
    """What leave_out.py wrote of the plain network, others and their teachers, by run."""
    found: dict[str, dict[str, Any]] = {}
    for name in (PLAIN, f"{PLAIN}_distilled", FINE, TAUGHT):
        if about := left_out(name, COMPARED):
            found |= {
                run: one for run, one in about.get("teachers", {}).items() if run not in found
            }
            found[name] = about
    return found if PLAIN in found else {}


def left_out(name: str, runs: Path = RUNS) -> dict[str, Any]:
    """What leave_out.py wrote of a run; nothing where it was not called."""
    path = runs / f"leave_out_{name}" / "scores.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


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
    bias = config["cfg"].get("noise_bias", 0.0)
    favoured = f" Timelines favour noise by {bias:g} nats; clips do not." if bias else ""
    optim, distill = config["recipe"]["optim"], config["recipe"].get("distill", {})
    if distill.get("teacher"):
        how = " on mixed clips" if distill["mixed"] else ""
        who = distill["teacher"].replace("/model", "").replace(", ", " and ")
        remark = f"Taught{how} by {who}, trained on the same recordings. {remark}".strip()
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
        f"calibrated: a temperature of {config['temperature']:.3f} is folded into the weights."
        f"{favoured}\n\n"
        f"{remark}{' ' if remark else ''}"
        "No recording with a non-commercial or no-derivatives clause was used.\n\n"
        f"| collection | licence |\n| --- | --- |\n{sources}\n\n"
        "## Accuracy\n\nIn percent, per window; in brackets the 95 % interval when recordings "
        "are drawn again. Calibration error: expected, 15 bins.\n\n"
        f"{text}\n"
        "## Limits\n\nSpeech over music counts as speech when the music is clearly weaker; "
        "`speech_over_music` hears both. Real singing "
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
    results, text, found = {}, "", {}
    for name in (*NAMES, PLAIN):
        if not (RUNS / name / "model").is_dir():
            continue
        found[name] = measure(name, rows)
        scores = {
            key: [summarise(one[s], tuple(labels), s) for s in SECONDS]
            for key, one in found[name].items()
        }
        if left := left_out(name) or left_out(name, COMPARED):
            scores["left out"] = [Score(**s) for s in left["scores"]]
        results[name] = {key: [asdict(s) for s in value] for key, value in scores.items()}
        text += f"### {name}\n\n{tables(scores, labels, '####')}\n"
        if options.publish is not None and name in NAMES:
            remark = " ".join(text for run, text in options.remark if run == name)
            sheet = card(name, rows, tables(scores, labels, "###"), command, remark)
            hub.ship(
                RUNS / name / "model", options.publish, NAMES[name], card=sheet, about=ABOUT[name]
            )
    if gains := gained(found, labels):
        results["gains"] = gains
        results["compared"] = {
            who: {key: one[key] for key in ("steps", "scores", "folds")}
            for who, one in sides().items()
        }
        text += f"### Beside one another\n\n{compared(gains, labels)}\n"
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
    script(main)
