"""Does bandwidth alone give the class away? Before and after what is done against it.

    python recipes/speech_music_noise/probe.py RECIPE MANIFEST.csv ... [key=value ...]

The probe sees one number of a clip: the upper edge of its band, the highest frequency whose
long-term power lies within 50 dB of the strongest. It learns which class is the likeliest at each
of twenty edges, and is judged on other clips. Chance is one in three.

Three figures: recordings as they are (learned on the training split, judged on the test split);
the clips of the bank, after mixing and augmentation (one half against the other); and the same
clips drawn as often as training draws them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepaudio import create, io, metrics
from sepaudio.cli import key_values, script
from sepaudio.data.augment import band_edge
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import banks, recordings

SECONDS, BINS = 4.0, 20
Clips = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]  # edge, class, share


def probe(train: Clips, test: Clips, rounds: int = 500) -> tuple[float, float, float]:
    """Balanced accuracy of the likeliest class per bin of edges, with its 95 % interval."""
    edges, labels, often = train
    bounds = np.unique(np.quantile(edges, np.linspace(0, 1, BINS + 1)[1:-1]))
    votes = np.zeros((len(bounds) + 1, 3))
    np.add.at(votes, (np.searchsorted(bounds, edges), labels), often)
    said = (votes / votes.sum(axis=0)).argmax(axis=1)
    edges, labels, often = test
    random, found = np.random.default_rng(0), []
    for _ in range(rounds + 1):
        rows = random.choice(len(edges), len(edges), p=often / often.sum())
        table = metrics.confusion(labels[rows], said[np.searchsorted(bounds, edges[rows])], 3)
        found.append(metrics.balanced_accuracy(table.astype(np.float64)))
    low, high = np.quantile(found[1:], [0.025, 0.975])
    return float(np.mean(found)), float(low), float(high)


def raw(cfg: recipes.RecipeCfg, labels: tuple[str, ...], rate: int, split: str) -> Clips:
    """The recordings of a split, as they are."""
    edges, classes = [], []
    for row in recordings(cfg.data, labels, split)[0]:
        x = io.read(row.path, rate)[0][: round(SECONDS * rate)]
        if len(x) >= 2048 and np.abs(x).max() > 0:
            edges.append(band_edge(x, rate))
            classes.append(labels.index(row.kind))
    return np.array(edges, np.float32), np.array(classes), np.full(len(edges), 1 / len(edges))


def main() -> None:
    """Print and write the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("manifests", nargs="+", help="CSV; key=value may stand anywhere")
    given, others = key_values()
    options = parser.parse_args(others)
    manifests = [str(Path(a).resolve()) for a in options.manifests]
    changes = [f"data.manifests={json.dumps(manifests)}", *given]
    cfg = recipes.read(options.recipe, changes)
    assert isinstance(cfg, recipes.RecipeCfg)  # a classifier's
    model = create(cfg.architecture)
    labels, rate = tuple(model.labels), int(model.sample_rate)
    figures = {"before": probe(raw(cfg, labels, rate, "train"), raw(cfg, labels, rate, "test"))}
    bank, _ = banks(cfg, model)
    rows = np.arange(len(bank.labels))
    for when, often in (
        ("after augmentation", np.full(len(rows), 1 / len(rows))),
        ("as drawn in training", bank.evenly(rows)),
    ):
        half = len(rows) // 2
        parts = [(bank.edges[r], bank.labels[r], often[r]) for r in (rows[:half], rows[half:])]
        figures[when] = probe(parts[0], parts[1])
    for when, (accuracy, low, high) in figures.items():
        print(f"{when}: {100 * accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
    Path("runs/speech_music_noise").mkdir(parents=True, exist_ok=True)
    atomic_json("runs/speech_music_noise/probe.json", figures)


if __name__ == "__main__":
    script(main)
