"""Make a segmentation set by SwishNet's rules: recordings of one split, joined at random.

    python recipes/segmentation/make_set.py MANIFEST.csv --split test --out FOLDER

Writes FLAC files of 20 to 120 s at 16 kHz and labels.csv, the timeline of all of them. Classes
follow each other at random; the lengths of pieces are exponential with means of 5 s (noise), 10 s
(speech) and 12 s (music), drawn anew outside 0.1 s to four means. Every other join, by chance, has
a natural silence of half a second on average. Before that, pauses 40 dB below a recording's peak
are taken out of it (librosa's splitter, 25 ms by 10 ms); they are the natural silences.

The authors also levelled the loudness within recordings, 250 ms by 250 ms: so does `--loudness
paper`, for models that were trained on such recordings (recipes/musan); everything then lies at -26
dB of full scale. Without it a piece has one level (RMS), -30 to -22 dB, since what ships hears
recordings as they are. With `--unseen WEIGHTS` recordings of all splits are joined, of those
collections alone that the weights were not trained on. set.json says how a set was made.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sepaudio import hub, io
from sepaudio.cli import script
from sepaudio.data import manifest, whole
from sepaudio.data.timeline import Segment, Timeline, text
from sepaudio.files import atomic_json, atomic_text

RATE = 16000
MEANS = {"noise": 5.0, "speech": 10.0, "music": 12.0}  # [s]
SILENCE, LEAST = 0.5, 0.1  # [s]
LEVELS = (-30.0, -22.0)  # [dB of full scale, RMS]
EQUAL = (-26.0, -26.0)  # the same where loudness is equal within recordings


@dataclass
class Material:
    """Recordings without their pauses, by class, and the pauses."""

    sounds: dict[str, list[np.ndarray]] = field(default_factory=lambda: {k: [] for k in MEANS})
    pauses: list[np.ndarray] = field(default_factory=list)


def gather(rows: list[manifest.Recording], loudness: str = "none") -> Material:
    """Split recordings into sound and pauses, all at a level of one; see `whole.LOUDNESS`."""
    found = Material()
    for row in rows:
        x, _ = io.read(row.path, RATE)
        if not x.any():
            continue
        sound, gaps = whole.parted(x, RATE)
        level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
        if len(sound) < LEAST * RATE or level == 0:
            continue
        even = whole.equalised(sound / level, RATE, whole.LOUDNESS[loudness])
        found.sounds[row.kind].append(even)
        found.pauses += [gap / level for gap in gaps if len(gap) >= LEAST * RATE]
    for kind, sounds in found.sounds.items():
        if not sounds:
            raise ValueError(f"no recording of kind {kind!r} in this split: expected one at least")
    return found


def draw_length(mean: float, random: np.random.Generator) -> int:
    """An exponential length [samples], neither tiny nor endless."""
    while True:
        seconds = random.exponential(mean)
        if LEAST <= seconds <= 4 * mean:
            return round(seconds * RATE)


def draw(pieces: list[np.ndarray], length: int, random: np.random.Generator) -> np.ndarray:
    """Samples of one class: a random cut of a recording, or several one after the other."""
    taken: list[np.ndarray] = []
    while (missing := length - sum(map(len, taken))) > 0:
        x = pieces[random.integers(len(pieces))]
        start = random.integers(max(len(x) - missing, 0) + 1)
        taken.append(x[start : start + missing])
    return np.concatenate(taken)


def compose(
    material: Material,
    name: str,
    random: np.random.Generator,
    levels: tuple[float, float] = LEVELS,
) -> tuple[np.ndarray, Timeline]:
    """One file and its timeline."""
    length = round(random.uniform(20, 120) * RATE)
    parts: list[np.ndarray] = []
    segments: list[Segment] = []
    at, label = 0, ""

    def put(x: np.ndarray, label: str) -> int:
        x = x[: length - at]
        parts.append(x)
        segments.append(Segment(start=at / RATE, end=(at + len(x)) / RATE, label=label))
        return at + len(x)

    while at < length:
        label = str(random.choice([kind for kind in MEANS if kind != label]))
        gain = 10 ** (random.uniform(*levels) / 20)
        x = gain * draw(material.sounds[label], draw_length(MEANS[label], random), random)
        at = put(x / max(np.abs(x).max() / 0.99, 1), label)
        if at < length and material.pauses and random.random() < 0.5:
            at = put(gain * draw(material.pauses, draw_length(SILENCE, random), random), "silence")
    return np.concatenate(parts).astype(np.float32), Timeline(file=name, segments=tuple(segments))


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--split", default="test", choices=manifest.SPLITS)
    parser.add_argument("--unseen", metavar="WEIGHTS", default="", help="instead of a split")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loudness", default="none", choices=whole.LOUDNESS)
    options = parser.parse_args()
    rows = manifest.read_all(options.manifests, [*MEANS])
    if options.unseen:
        seen = set(hub.about(options.unseen)["trained_on"])
        rows = [row for row in rows if row.origin not in seen]
    else:
        rows = [row for row in rows if row.split == options.split]
    material = gather(rows, options.loudness)
    levels = LEVELS if options.loudness == "none" else EQUAL
    options.out.mkdir(parents=True, exist_ok=True)
    random, timelines = np.random.default_rng(options.seed), []
    for number in range(options.files):
        x, timeline = compose(material, f"{number:03}.flac", random, levels)
        io.write(options.out / timeline.file, x, RATE, "PCM_16", clip=True)
        timelines.append(timeline)
    atomic_text(options.out / "labels.csv", text(timelines, "csv"))
    about = {key: getattr(options, key) for key in ("split", "unseen", "files", "seed", "loudness")}
    about |= {"levels_db": levels, "fingerprint": manifest.fingerprint(rows)}
    atomic_json(options.out / "set.json", about)
    print(
        f"{options.out}: {sum(t.seconds for t in timelines) / 60:.1f} min in {options.files} files"
    )


if __name__ == "__main__":
    script(main)
