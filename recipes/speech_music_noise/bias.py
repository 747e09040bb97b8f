"""What favouring noise does to clips, and write bias.md: why it is left to timelines.

    python recipes/speech_music_noise/bias.py A.csv B.csv C.csv

Windows of 2 s of the recordings that evaluate.py judges, and of the validation split, named by the
run that ships when its noise is exp(bias) times as likely. Points gained over no bias, recordings
drawn again. The bias of timelines is chosen in recipes/segmentation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluate import RUNS, TAUGHT, TITLES, measure
from leave_out import FIGURES, gain, tables_of

from sepaudio import hub
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.files import atomic_text
from sepaudio.verbs.evaluate import Track, summarise, tracks
from sepaudio.verbs.segment import favoured

HERE = Path(__file__).parent
LABELS = ("noise", "music", "speech")
BIASES = (0.25, 0.5, 1.0)
SECONDS = 2.0


def shifted(found: Sequence[Track], bias: float) -> list[Track]:
    """What is said of windows when noise is favoured [nats]."""
    return [replace(one, probabilities=favoured(one.probabilities, LABELS, bias)) for one in found]


def as_markdown(sets: dict[str, Sequence[Track]]) -> str:
    """A row for every set and bias."""
    heads = ["recordings", "bias [nats]", "accuracy", "balanced"]
    heads += [f"recall {label}" for label in LABELS] + [f"{f} gained (95 %)" for f in FIGURES]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for title, found in sets.items():
        plain = tables_of(list(found), LABELS)
        for bias in (0.0, *BIASES):
            moved = shifted(found, bias)
            score = summarise(moved, LABELS, SECONDS)
            cells = [title, f"{bias:g}", f"{100 * score.accuracy:.1f}"]
            cells += [f"{100 * score.balanced:.1f}"]
            cells += [f"{100 * score.recall[k]:.1f}" if k in score.recall else "" for k in LABELS]
            over = gain(tables_of(moved, LABELS), plain)
            cells += [
                "{:+.1f} ({:+.1f} to {:+.1f})".format(*over[k]) if bias else "" for k in FIGURES
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write bias.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=HERE, help="folder of bias.md")
    options = parser.parse_args()
    rows = manifest.read_all(options.manifests, list(LABELS))
    valid = [row for row in rows if row.split == "valid"]
    net = hub.load(RUNS / TAUGHT / "model")
    sets = {"Validation split": tracks(net, valid, (SECONDS,))[SECONDS]}
    sets |= {TITLES[key]: one[SECONDS] for key, one in measure(TAUGHT, rows).items()}
    text = as_markdown(sets)
    about = f"# Noise favoured in clips of {SECONDS:g} s\n\nIn percent, and points. By bias.py.\n\n"
    atomic_text(options.into / "bias.md", about + text)
    print(text)


if __name__ == "__main__":
    script(main)
