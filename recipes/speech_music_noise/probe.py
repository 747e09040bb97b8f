"""Does bandwidth alone give the class away? Before and after the augmentation.

    python recipes/speech_music_noise/probe.py RECIPE MANIFEST.csv ...

The probe sees one number of a clip: the upper edge of its band, the highest frequency whose
long-term power lies within 50 dB of the strongest. It learns, from the training split, which class
is the likeliest at each of twenty edges, and is judged on the test split. Chance is one in three.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from sepaudio import create, io, metrics
from sepaudio.data import manifest
from sepaudio.data.augment import degrade
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes

SECONDS, DROP_DB, BINS = 4.0, 50.0, 20


def edge(x: np.ndarray, rate: int) -> float:
    """Upper edge of the band of a clip [Hz]."""
    n = 1024
    frames = x[: len(x) // n * n].reshape(-1, n) * np.hanning(n)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0) + 1e-12
    db = 10 * np.log10(power / power.max())
    return float(np.flatnonzero(db > -DROP_DB)[-1] * rate / n)


def probe(train: list[tuple[float, int]], test: list[tuple[float, int]]) -> tuple[float, ...]:
    """Balanced accuracy of the likeliest class per bin of edges, with its 95 % interval."""
    edges = np.array([e for e, _ in train])
    bounds = np.unique(np.quantile(edges, np.linspace(0, 1, BINS + 1)[1:-1]))
    votes = np.full((len(bounds) + 1, 3), 1e-3)
    counts = np.bincount([label for _, label in train], minlength=3)
    for e, label in train:
        votes[np.searchsorted(bounds, e), label] += 1 / counts[label]
    said = votes.argmax(axis=1)
    tables = np.stack(
        [
            metrics.confusion(np.array([label]), said[[np.searchsorted(bounds, e)]], 3)
            for e, label in test
        ]
    )
    figure = metrics.balanced_accuracy
    return figure(tables.sum(axis=0)), *metrics.bootstrap(tables, figure)


def main() -> None:
    """Print and write both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifests", nargs="+", type=Path)
    options = parser.parse_args()
    overrides = [f"data.manifests={json.dumps([str(m.resolve()) for m in options.manifests])}"]
    cfg = recipes.read(options.recipe, overrides)
    model = create(cfg.architecture)
    labels, rate = model.labels, model.sample_rate
    rows = manifest.allowed(
        manifest.read_all(cfg.data.manifests, labels), cfg.data.refused_licenses
    )
    found: dict[str, dict[str, list[tuple[float, int]]]] = {
        when: {"train": [], "test": []} for when in ("before", "after")
    }
    for number, row in enumerate(r for r in rows if r.split != "valid"):
        x = io.read(row.path, rate)[0][: round(SECONDS * rate)]
        if len(x) < 2048 or np.abs(x).max() == 0:
            continue
        random = np.random.default_rng([cfg.seed, number])
        label = labels.index(row.kind)
        found["before"][row.split].append((edge(x, rate), label))
        y = degrade(x, rate, cfg.data.augment, [], random)
        found["after"][row.split].append((edge(y, rate), label))
    figures = {when: probe(parts["train"], parts["test"]) for when, parts in found.items()}
    for when, (accuracy, low, high) in figures.items():
        print(f"{when}: {100 * accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
    Path("runs/speech_music_noise").mkdir(parents=True, exist_ok=True)
    atomic_json("runs/speech_music_noise/probe.json", figures)


if __name__ == "__main__":
    main()
