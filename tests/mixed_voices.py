"""A small shelf of noise-like voices, beds and rooms, and the cfgs that mix them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import trees

from sepaudio.data.manifest import Recording
from sepaudio.data.mixing import Mixer, MixingCfg
from sepaudio.data.shelf import Shelf

RATE = 8000
KINDS = ("speech", "noise", "music", "rir")
SMALL = {
    **{"seconds": 1.0, "enrollment_seconds": 0.8, "least_seconds": 0.5},
    "refused_speakers": ("unlabelled",),
}
EVERYTHING = {
    **{"n_src": (1, 3), "noise": 0.5, "music": 0.5, "room": 0.3, "absent": 0.3},
    **{"overlap": (0.3, 1.0), "speeds": (0.9, 1.0, 1.1)},
}
CASES = {
    "plain": {},
    "absent": {"absent": 0.5},
    "rooms": {"room": 1.0},
    "speeds": {"speeds": (0.9, 1.0, 1.1, 0.97)},
    "beds": {"n_src": (1, 3), "noise": 0.3, "music": 0.3},
    "overlap": {"overlap": (0.2, 0.8)},
    "shortest": {"mode": "min", "seconds": 2.0, "overlap": (0.6, 1.0), "noise": 0.5},
    "manners": {"manners": 0.7, "noise": 0.3},
    "loud": {"level_db": (0.0, 0.0), "n_src": (3, 3)},
    "not enrolled": {**EVERYTHING, "enrollment_seconds": 0.0, "absent": 0.0},
    "everything": EVERYTHING,
    "everything, shortest": {**EVERYTHING, "mode": "min"},
    "everything, longer": {**EVERYTHING, "seconds": 3.0, "enrollment_seconds": 2.0},
}
ITEMS = 25  # of each case


def rows(folder):
    """Speakers with one file, with several, with cuts of one, and with much silence; and beds."""

    def row(path, kind="speech", speaker="", **more):
        about = {"license": "CC0-1.0", "source": path.name, "split": "train"}
        return Recording(path=path, kind=kind, speaker=speaker, **about, **more)

    def sound(name, seconds, *more):
        return row(trees.sound(folder / name, seconds, RATE), *more)

    made = [sound(f"one_{s}.wav", 1.5 + 0.7 * i, "speech", s) for i, s in enumerate("abc")]
    made += [sound(f"many_{i}.wav", 1.2 + 0.2 * i, "speech", "d") for i in range(3)]
    long = trees.sound(folder / "long.wav", 4.0, RATE)
    made += [row(long, speaker="e", start=start, duration=1.1) for start in (0.0, 1.2, 2.6)]
    made.append(sound("short.wav", 0.9, "speech", "f"))
    for number, speaker in enumerate("hi"):
        x = 0.1 * np.random.default_rng(number).standard_normal(5 * RATE)
        x[RATE // 2 : 4 * RATE] *= 1e-4  # where crops are drawn again
        soundfile.write(folder / f"gap_{speaker}.wav", x.clip(-1, 1), RATE)
        made.append(row(folder / f"gap_{speaker}.wav", speaker=speaker))
    for kind in ("noise", "music"):
        made += [sound(f"{kind}.wav", 0.7, kind), sound(f"{kind}_long.wav", 2.7, kind)]
    return [*made, sound("rir.wav", 0.7, "rir"), sound("rir_short.wav", 0.2, "rir")]


def mixer(rows, **options):
    """A mixer over these rows, in memory."""
    cfg = MixingCfg(**{**SMALL, **options})
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in KINDS}
    if cfg.manners:
        kinds["speech"] += [replace(row, manner=1) for row in kinds["speech"]]
    return Mixer(cfg, *(Shelf(here, RATE) for here in kinds.values()))


def digest(folder):
    """Of every case the hash of what was drawn, and of every mixture of it three figures."""
    made = {}
    here = rows(Path(folder))
    for name, options in CASES.items():
        mixed, digest, figures = mixer(here, **options), hashlib.sha256(), []
        for index in range(ITEMS):
            example = mixed.item(1, 2, index)
            drawn = {k: v for k, v in example.drawn.items() if k != "level_db"}
            digest.update(json.dumps(drawn).replace(str(folder), "").encode())
            figures.append(
                [figure(x) for x in (example.mixture, example.sources, example.enrollment)]
            )
        made[name] = {"drawn": digest.hexdigest(), "figures": figures}
    return made


def figure(x):
    """A number in which every sample of [..., T] has another part."""
    return float(x.astype(np.float64).ravel() @ np.cos(0.37 * np.arange(x.size) ** 1.1))
