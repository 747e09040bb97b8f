"""Leave-one-source-out: every source is judged by a network that never heard it.

    python recipes/speech_music_noise/leave_out.py RECIPE MANIFEST.csv ... [key=value ...]

Recordings that share a voice, a library or an author's collection are one source, whatever
package brought them. The sources are dealt into folds; each fold is left out once, with every
clip in which one of its sources is heard in the background, and the network is trained on the
rest of the same bank. Writes one JSON file with the pooled and the single figures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from sepaudio import create
from sepaudio.data import manifest
from sepaudio.files import atomic_json
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import bank
from sepaudio.training.run import fit
from sepaudio.verbs.evaluate import Track, summarise, tracks

RUNS = Path("runs/speech_music_noise")
SAME = (  # beginnings of origins that belong together
    ("librispeech", ("resemble-ai/Resemblyzer", "Walleclipse/", "synthetic:sung")),
    ("librivox", ("coqui-ai/TTS", "cmusphinx/", "openai/whisper")),
    ("asterisk", ("debian:asterisk-core", "debian:asterisk-prompt")),
    ("frets on fire", ("debian:fretsonfire",)),
)


def source_of(origin: str) -> str:
    """The source that an origin belongs to."""
    for name, starts in SAME:
        if origin.startswith(starts):
            return name
    return origin


def folds_of(rows: list[manifest.Recording], n: int) -> list[set[str]]:
    """Sources dealt into n folds, each class spread evenly: its largest go to different folds."""
    minutes: dict[str, dict[str, float]] = {}
    for row in rows:
        kinds = minutes.setdefault(source_of(row.origin), {})
        kinds[row.kind] = kinds.get(row.kind, 0.0) + row.path.stat().st_size
    folds: list[set[str]] = [set() for _ in range(n)]
    load: list[dict[str, float]] = [{} for _ in range(n)]
    for name in sorted(minutes, key=lambda name: -sum(minutes[name].values())):
        kind = max(minutes[name], key=lambda kind: minutes[name][kind])
        best = min(range(n), key=lambda i: (load[i].get(kind, 0.0), sum(load[i].values())))
        folds[best].add(name)
        for k, size in minutes[name].items():
            load[best][k] = load[best].get(k, 0.0) + size
    return folds


def main() -> None:
    """Train and judge every fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("arguments", nargs="+", help="manifests (CSV) and key=value")
    parser.add_argument("--folds", type=int, default=8)
    options = parser.parse_args()
    manifests = [str(Path(a).resolve()) for a in options.arguments if "=" not in a]
    overrides = [f"data.manifests={json.dumps(manifests)}"]
    overrides += [a for a in options.arguments if "=" in a]
    cfg = recipes.read(options.recipe, overrides)
    torch.manual_seed(cfg.seed)
    model = create(cfg.architecture, **cfg.model)
    labels = tuple(model.labels)
    banks = []
    for split, share in (("train", 1.0), ("valid", 0.1)):
        sized = replace(cfg.data, items=round(cfg.data.items * share))
        banks.append(bank(sized, model.frontend, labels, cfg.seed, split))
    rows = manifest.allowed(manifest.read_all(manifests, labels), cfg.data.refused_licenses)
    folder = RUNS / f"leave_out_{options.recipe.stem}"
    found: dict[float, list[Track]] = {1.0: [], 2.0: []}
    for number, fold in enumerate(folds_of(rows, options.folds)):
        origins = tuple(sorted({row.origin for row in rows if source_of(row.origin) in fold}))
        here = replace(cfg, data=replace(cfg.data, held_out=origins))
        torch.manual_seed(cfg.seed)
        fresh = create(cfg.architecture, **cfg.model)
        trained = fit(fresh, banks[0], banks[1], here, folder / f"fold{number}", quiet=True)
        left = [row for row in rows if row.origin in origins]
        new = tracks(trained.model, left, tuple(found))
        for seconds in found:
            found[seconds] += new[seconds]
        one = summarise(new[2.0], labels, 2.0)
        print(f"fold {number}: {', '.join(sorted(fold))}: {one.accuracy:.4f}", flush=True)
    scores = [asdict(summarise(found[seconds], labels, seconds)) for seconds in found]
    out = folder / "scores.json"
    atomic_json(out, {"architecture": cfg.architecture, "steps": cfg.optim.steps, "scores": scores})
    print(out)


if __name__ == "__main__":
    main()
