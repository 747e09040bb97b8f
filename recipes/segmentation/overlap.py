"""Teach the weights that ship to hear speech and music each by itself, and measure the result.

    python recipes/segmentation/overlap.py MANIFEST.csv [--publish sepaudio/pretrained]

Files of a minute, joined from stretches of 3 to 15 s: speech, music or noise alone, speech over
music, speech over noise, the speech -5 to 20 dB above the other. The network is that of
`speech_music_noise` with a new head of two sigmoids, music and speech, learned by binary
cross-entropy; the rest of it learns on at a tenth of the rate. How much surer than even it must be
to name a class is chosen on the validation files and folded into the head: as little as keeps F1 of
what sounds alone within half a point of the weights that ship. Recordings of each split are those
of the manifest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_set import LEVELS, MEANS, RATE, Material, draw, gather
from torch import Tensor
from torch.nn import functional as F

import sepaudio
from sepaudio import hub
from sepaudio.data import manifest
from sepaudio.data.timeline import Timeline
from sepaudio.files import atomic_json
from sepaudio.metrics import bootstrap
from sepaudio.registry import build
from sepaudio.verbs import segment as verb
from sepaudio.verbs.classify import DEFAULT
from sepaudio.verbs.results import fill, machine
from sepaudio.verbs.segment import Heard, SegmentCfg

HERE = Path(__file__).parent
RUN = Path("runs/segmentation/overlap")
LABELS = ("music", "speech")
KINDS = {"speech": 0.2, "music": 0.2, "noise": 0.15, "speech+music": 0.3, "speech+noise": 0.15}
SECONDS, STRETCH, SNR = 60.0, (3.0, 15.0), (-5.0, 20.0)
CROP, BATCH, RATES = 8.0, 16, (3e-3, 3e-4)  # [s], crops, learning rates of head and trunk
SLACK = 0.005  # of F1 that what sounds alone may lose
SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)  # [nats]
REFUSED = ("NC", "ND", "GPL", "LGPL", "GFDL", "Sampling")
Piece = tuple[float, float, str, float]  # start, end [s], kind, SNR [dB]
File = tuple[np.ndarray, list[Piece]]


def compose(material: Material, random: np.random.Generator) -> File:
    """A minute of stretches, and what each is."""
    parts: list[np.ndarray] = []
    pieces: list[Piece] = []
    at, length = 0, round(SECONDS * RATE)
    while at < length:
        kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
        n = min(round(random.uniform(*STRETCH) * RATE), length - at)
        sounds = [draw(material.sounds[name], n, random) for name in kind.split("+")]
        snr = float(random.uniform(*SNR)) if len(sounds) > 1 else math.nan
        x = sounds[0] / rms(sounds[0])
        if len(sounds) > 1:
            x = x + sounds[1] / rms(sounds[1]) * 10 ** (-snr / 20)
        x = x / rms(x) * 10 ** (random.uniform(*LEVELS) / 20)
        parts.append(x / max(float(np.abs(x).max()) / 0.99, 1))
        pieces.append((at / RATE, (at + n) / RATE, kind, snr))
        at += n
    return np.concatenate(parts).astype(np.float32), pieces


def rms(x: np.ndarray) -> float:
    """Root of the mean square of samples, never zero."""
    return math.sqrt(float(np.mean(np.square(x, dtype=np.float64)))) + 1e-9


def frames(pieces: Sequence[Piece], n: int, frame: float) -> np.ndarray:
    """Whether music and speech sound in each frame [n, 2]."""
    found = np.zeros((n, len(LABELS)), np.float32)
    for start, end, kind, _ in pieces:
        for k, label in enumerate(LABELS):
            found[round(start / frame) : round(end / frame), k] = label in kind
    return found


def learn(net: Any, files: list[File], steps: int, seed: int) -> None:
    """Train a network in place on crops of files."""
    torch.manual_seed(seed)
    frame, random = net.seconds_per_frame, np.random.default_rng(seed)
    late = round(SegmentCfg().offset / frame)
    with torch.inference_mode():
        heard = [net.frontend(torch.from_numpy(x)[None])[0].clone() for x, _ in files]
    truths = [
        torch.from_numpy(frames(pieces, x.shape[-1], frame))
        for x, (_, pieces) in zip(heard, files, strict=True)
    ]
    trunk = [p for name, p in net.named_parameters() if not name.startswith("head")]
    groups = [{"params": list(net.head.parameters()), "lr": RATES[0]}]
    optim = torch.optim.AdamW([*groups, {"params": trunk, "lr": RATES[1]}], weight_decay=1e-2)
    curve = torch.optim.lr_scheduler.CosineAnnealingLR(optim, steps)
    size = round(CROP / frame)
    net.train()
    for step in range(steps):
        xs, ys = [], []
        for _ in range(BATCH):
            i = int(random.integers(len(heard)))
            start = int(random.integers(heard[i].shape[-1] - size + 1))
            xs.append(heard[i][:, start : start + size])
            truth = truths[i][start : start + size]  # the answer comes `late` frames later
            ys.append(torch.cat([truth[:1].expand(late, -1), truth[:-late]]))
        said: Tensor = net.logits(torch.stack(xs))
        loss = F.binary_cross_entropy_with_logits(said.mT, torch.stack(ys))
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        curve.step()
        if step % 100 == 99:
            print(f"step {step + 1}: {loss.item():.3f}", flush=True)
    net.eval()


def counts(found: Timeline, file: File, frame: float) -> dict[str, np.ndarray]:
    """Hits, answers and truths [3, 2] in frames, by what sounds: all, and stretches of one sort."""
    n = round(SECONDS / frame)
    truth = frames(file[1], n, frame) > 0
    said = frames([(s.start, s.end, s.label, 0.0) for s in found.segments], n, frame) > 0
    where: dict[str, np.ndarray] = {"everything": np.ones(n, bool)}
    for start, end, kind, snr in file[1]:
        names = [f"speech over {kind.partition('+')[2]}" if "+" in kind else "alone"]
        if kind == "speech+music":
            low = 5 * math.floor(snr / 5)
            names.append(f"speech over music, {low} to {low + 5} dB")
        for name in names:
            here = where.setdefault(name, np.zeros(n, bool))
            here[round(start / frame) : round(end / frame)] = True
    return {
        name: np.stack([(part & truth & said).sum(axis=0), (part & said).sum(axis=0),
                        (part & truth).sum(axis=0)])
        for name, part in ((name, here[:, None]) for name, here in where.items())
    }  # fmt: skip


def judge(heard: list[Heard], files: list[File]) -> dict[str, np.ndarray]:
    """Counts [files, 3, 2] of every sort."""
    each = [
        counts(verb.decide(one, SegmentCfg()), file, one.frame)
        for one, file in zip(heard, files, strict=True)
    ]
    nothing = np.zeros((3, len(LABELS)))
    names = sorted({name for one in each for name in one})
    return {name: np.stack([one.get(name, nothing) for one in each]) for name in names}


def f1(table: np.ndarray) -> np.ndarray:
    """Hits, answers, truths [3, 2] -> F1 of music and of speech."""
    return np.asarray(2 * table[0] / np.maximum(table[1] + table[2], 1))


def hear(net: Any, files: list[File]) -> list[Heard]:
    """What a network says of every frame."""
    return [verb.hear(net, [x]) for x, _ in files]


def shifted(heard: list[Heard], by: Sequence[float]) -> list[Heard]:
    """The same with logits that are lower."""
    found = []
    for one in heard:
        p = np.clip(one.probabilities.astype(np.float64), 1e-9, 1 - 1e-9)
        moved = 1 / (1 + (1 - p) / p * np.exp(by))
        found.append(replace(one, probabilities=moved.astype(np.float32)))
    return found


def choose(heard: list[Heard], files: list[File], plain: dict[str, np.ndarray]) -> list[float]:
    """How much lower the logits of music and speech are to be [nats]."""
    wanted = f1(plain["alone"].sum(axis=0)) - SLACK
    best, found = -1.0, [SHIFTS[-1]] * len(LABELS)
    for by in product(SHIFTS, repeat=len(LABELS)):
        judged = judge(shifted(heard, by), files)
        over = float(f1(judged["speech over music"].sum(axis=0)).mean())
        if (f1(judged["alone"].sum(axis=0)) >= wanted).all() and over > best:
            best, found = over, list(by)
    return found


def as_markdown(found: dict[str, dict[str, np.ndarray]]) -> tuple[str, dict[str, Any]]:
    """F1 of music and speech by what sounds, of every way; also as plain values."""
    ways, plain = list(found), dict[str, Any]()
    head = [f"{label}, {way}" for label in LABELS for way in ways]
    lines = [f"| what sounds | {' | '.join(head)} |", "| --- |" + " ---: |" * len(head)]
    for name in sorted(found[ways[0]]):
        cells = []
        for k, label in enumerate(LABELS):
            for way in ways:
                tables = found[way][name]
                value = float(f1(tables.sum(axis=0))[k])
                low, high = bootstrap(tables, lambda table, k=k: float(f1(table)[k]))
                plain.setdefault(way, {}).setdefault(name, {})[label] = [value, low, high]
                cells.append(f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n", plain


def main() -> None:
    """Train, choose, measure, write README.md and overlap.json, publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--files", nargs=3, type=int, default=[180, 30, 60], help="a split [min]")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--publish", type=Path, help="folder of shipped weights")
    parser.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    options = parser.parse_args()
    rows = manifest.allowed(manifest.read_all(options.manifests, [*MEANS]), REFUSED)
    sets = {}
    for number, (split, n) in enumerate(zip(manifest.SPLITS, options.files, strict=True)):
        material = gather([row for row in rows if row.split == split])
        random = np.random.default_rng([options.seed, number])
        sets[split] = [compose(material, random) for _ in range(n)]
    start = sepaudio.load(DEFAULT)
    net: Any = build(replace(start.cfg, labels=LABELS, several=True))
    kept = {k: v for k, v in start.state_dict().items() if k in net.state_dict()}
    kept = {k: v for k, v in kept.items() if v.shape == net.state_dict()[k].shape}
    net.load_state_dict({**net.state_dict(), **kept})
    learn(net, sets["train"], options.steps, options.seed)
    by = choose(
        hear(net, sets["valid"]), sets["valid"], judge(hear(start, sets["valid"]), sets["valid"])
    )
    last = net.head[-1] if isinstance(net.head, torch.nn.Sequential) else net.head
    with torch.no_grad():
        last.bias -= torch.tensor(by, dtype=last.bias.dtype)
    test = sets["test"]
    found = {"one class at a time": judge(hear(start, test), test),
             "each by itself": judge(hear(net, test), test)}  # fmt: skip
    table, plain = as_markdown(found)
    words = ", ".join(f"{label} {value:g}" for label, value in zip(LABELS, by, strict=True))
    text = (
        f"{len(test)} files of a minute from recordings of the test split; {options.steps} steps "
        f"of {BATCH} crops of {CROP:g} s, seed {options.seed}. Logits lowered by (validation): "
        f"{words}. {machine(net)}\n\n{table}"
    )
    RUN.mkdir(parents=True, exist_ok=True)
    used = [row for row in rows if row.split == "train"]
    about = {
        "architecture": "swishnet_wide",
        "license": hub.about(DEFAULT)["license"],
        "trained_on": sorted({row.origin for row in used}),
        "seed": options.seed,
        "data_fingerprint": manifest.fingerprint(used),
        "init": {"name": DEFAULT, "sha256": hub.about(DEFAULT)["sha256"]},
    }
    hub.save(net, RUN / "model", card="", **about)
    atomic_json(
        options.into / "overlap.json", {"lowered": dict(zip(LABELS, by, strict=True)), **plain}
    )
    fill(options.into / "README.md", text, "overlap")
    if options.publish is not None:
        hub.ship(RUN / "model", options.publish, verb.OVERLAPPING, card=card(about, text),
                 about="music and speech, also at once")  # fmt: skip
    print(text)


def card(about: dict[str, Any], text: str) -> str:
    """The card that goes with the weights."""
    return (
        f"# {verb.OVERLAPPING}\n\nHears music and speech each by itself, so that speech over music "
        f"is both: `sepaudio segment --overlap`. Architecture `{about['architecture']}` with "
        "`several=true`, 16 kHz, causal, decides every 10 ms.\n\n"
        f"Licence of the weights: **{about['license']}**. The code is Apache-2.0.\n\n"
        f"## Training\n\n`python recipes/segmentation/overlap.py MANIFEST.csv`, seed "
        f"{about['seed']}, from the weights `{DEFAULT}` (SHA-256 {about['init']['sha256']}), on "
        "mixtures of the recordings that those were trained on, whose card names them. "
        f"Fingerprint: `{about['data_fingerprint']}`.\n\n## F1 of frames\n\nIn percent; "
        f"in brackets the 95 % interval when files are drawn again. Beside it `{DEFAULT}`, which "
        f"names one class at a time.\n\n{text}\n## Limits\n\nMusic far below speech is missed, "
        "and some noise is taken for music.\n"
    )


if __name__ == "__main__":
    main()
