"""Teach the weights that ship to hear speech and music each by itself, and measure the result.

    python recipes/segmentation/overlap.py make MANIFEST.csv --split train --files 60  # valid, test
    python recipes/segmentation/overlap.py train [--steps 2000]
    python recipes/segmentation/overlap.py evaluate [--publish sepaudio/pretrained]

Files of a minute, joined from stretches of 3 to 15 s: speech, music or noise alone, speech over
music, speech over noise, the speech -5 to 20 dB above the other. The network is that of
`speech_music_noise` with a new head of two sigmoids, music and speech, learned by binary
cross-entropy; the rest of it stays. How much surer than even it must be
to name a class is chosen on the validation files, for the best mean of four: F1 of music and of
speech, alone and over each other; it is folded into the head. Recordings of each split are those of
the manifest.
"""

from __future__ import annotations

import argparse
import json
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
from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.data.timeline import Timeline
from sepaudio.files import atomic, atomic_json
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
EVERY, BATCH, RATE_OF_HEAD = 3, 1024, 3e-3  # frames: every third is learned from
SHIFTS = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0)  # [nats]
REFUSED = ("NC", "ND", "GPL", "LGPL", "GFDL", "Sampling")
Piece = tuple[float, float, str, float | None]  # start, end [s], kind, SNR [dB]
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
        snr = float(random.uniform(*SNR)) if len(sounds) > 1 else None
        x = sounds[0] / rms(sounds[0])
        if snr is not None:
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
            if label in kind:  # what else sounds there, another piece may say
                found[round(start / frame) : round(end / frame), k] = 1
    return found


def learn(net: Any, files: list[File], steps: int, seed: int) -> None:
    """Train the head of a network in place, on what the rest of it says of frames of files."""
    torch.manual_seed(seed)
    late = round(SegmentCfg().offset / net.seconds_per_frame)
    xs, ys = [], []
    for x, pieces in files:
        said = features(net, x)
        truth = torch.from_numpy(frames(pieces, len(said), net.seconds_per_frame))
        xs.append(said[late::EVERY])  # the answer to a frame comes `late` frames after it
        ys.append(truth[: len(said) - late : EVERY])
    x, y = torch.cat(xs), torch.cat(ys)
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-3
    first, _, last = net.head
    optim = torch.optim.AdamW(net.head.parameters(), RATE_OF_HEAD, weight_decay=1e-2)
    for layer in (first, last):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    for step in range(steps):
        some = torch.randint(len(x), (BATCH,))
        logits: Tensor = net.head(((x[some] - mean) / deviation).T[None])[0].T
        loss = F.binary_cross_entropy_with_logits(logits, y[some])
        optim.zero_grad()
        loss.backward()
        optim.step()
        if step % 500 == 499:
            print(f"step {step + 1}: {loss.item():.3f}", flush=True)
    with torch.no_grad():  # what was taken off and divided by goes into the weights
        first.weight /= deviation[None, :, None]
        first.bias -= first.weight[..., 0] @ mean


def features(net: Any, x: np.ndarray) -> Tensor:
    """What the head hears of samples [T]: [L, C]."""
    found: list[Tensor] = []
    hook = net.head.register_forward_pre_hook(lambda _, given: found.append(given[0][0].T))
    with torch.no_grad():
        net(torch.from_numpy(x)[None])
    hook.remove()
    return found[0].contiguous()


def counts(found: Timeline, file: File, frame: float) -> dict[str, np.ndarray]:
    """Hits, answers and truths [3, 2] in frames, by what sounds: all, and stretches of one sort."""
    n = round(SECONDS / frame)
    truth = frames(file[1], n, frame) > 0
    said = frames([(s.start, s.end, s.label, None) for s in found.segments], n, frame) > 0
    where: dict[str, np.ndarray] = {"everything": np.ones(n, bool)}
    for start, end, kind, snr in file[1]:
        names = [f"speech over {kind.partition('+')[2]}" if "+" in kind else "alone"]
        if kind == "speech+music" and snr is not None:
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


def choose(heard: list[Heard], files: list[File]) -> list[float]:
    """How much lower the logits of music and speech are to be [nats]."""
    best, found = -1.0, [0.0] * len(LABELS)
    for by in product(SHIFTS, repeat=len(LABELS)):
        judged = judge(shifted(heard, by), files)
        both = [f1(judged[name].sum(axis=0)).mean() for name in ("alone", "speech over music")]
        if np.mean(both) > best:
            best, found = float(np.mean(both)), list(by)
    return found


def as_markdown(found: dict[str, dict[str, np.ndarray]]) -> tuple[str, dict[str, Any]]:
    """F1 of music and speech by what sounds, of every way; also as plain values."""
    ways, plain = list(found), dict[str, Any]()
    head = [f"{label}, {way}" for label in LABELS for way in ways]
    lines = [f"| what sounds | {' | '.join(head)} |", "| --- |" + " ---: |" * len(head)]
    for name in sorted(found[ways[0]], key=order):
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


def order(name: str) -> tuple[str, int]:
    """By what sounds, then by level."""
    what, _, level = name.partition(", ")
    return what, int(level.split()[0]) if level else -99


def make(options: argparse.Namespace) -> None:
    """Write the files of a split."""
    rows = manifest.allowed(manifest.read_all(options.manifests, [*MEANS]), REFUSED)
    rows = [row for row in rows if row.split == options.split]
    material = gather(rows)
    random = np.random.default_rng([options.seed, manifest.SPLITS.index(options.split)])
    files = [compose(material, random) for _ in range(options.files)]
    RUN.mkdir(parents=True, exist_ok=True)
    samples = np.stack([np.rint(x * 32767).astype(np.int16) for x, _ in files])
    with atomic(RUN / f"{options.split}.npy") as path:
        np.save(path, samples)
    about = {
        "pieces": [pieces for _, pieces in files],
        "origins": sorted({row.origin for row in rows}),
        "fingerprint": manifest.fingerprint(rows),
    }
    atomic_json(RUN / f"{options.split}.json", about)
    print(f"{RUN / options.split}: {len(files)} files of {SECONDS:g} s")


def read(split: str) -> tuple[list[File], dict[str, Any]]:
    """The files of a split, and what they were made from."""
    about = json.loads((RUN / f"{split}.json").read_text())
    samples = np.load(RUN / f"{split}.npy").astype(np.float32) / 32767
    return list(zip(samples, about["pieces"], strict=True)), about


def train(options: argparse.Namespace) -> None:
    """Train from the weights that ship, and save."""
    files, made = read("train")
    start = sepaudio.load(DEFAULT)
    net: Any = build(replace(start.cfg, labels=LABELS, several=True, noise_bias=0.0)).eval()
    own = net.state_dict()
    kept = {k: v for k, v in start.state_dict().items() if v.shape == own[k].shape}
    net.load_state_dict({**own, **kept})
    learn(net, files, options.steps, options.seed)
    shipped = hub.about(DEFAULT)
    about = {
        "architecture": shipped["architecture"],
        "license": shipped["license"],
        "trained_on": made["origins"],
        "seed": options.seed,
        "data_fingerprint": made["fingerprint"],
        "init": {"name": DEFAULT, "sha256": shipped["sha256"]},
        "recipe": {"steps": options.steps, "batch": BATCH, "files": len(files)},
    }
    print(hub.save(net, RUN / "trained", card="", **about))


def evaluate(options: argparse.Namespace) -> None:
    """Choose, measure, write README.md and overlap.json, publish."""
    start, net, about = (
        sepaudio.load(DEFAULT),
        hub.load(RUN / "trained"),
        hub.about(RUN / "trained"),
    )
    valid, test = read("valid")[0], read("test")[0]
    by = choose(hear(net, valid), valid)
    last = net.head[-1] if isinstance(net.head, torch.nn.Sequential) else net.head
    with torch.no_grad():
        last.bias -= torch.tensor(by, dtype=last.bias.dtype)
    found = {"one class at a time": judge(hear(start, test), test),
             "each by itself": judge(hear(net, test), test)}  # fmt: skip
    table, plain = as_markdown(found)
    lowered = dict(zip(LABELS, by, strict=True))
    words = ", ".join(f"{label} {value:g}" for label, value in lowered.items())
    recipe = about["recipe"]
    text = (
        f"{len(test)} files of a minute from recordings of the test split. Learned from "
        f"{recipe['files']} files, {recipe['steps']} steps of {recipe['batch']} frames, "
        f"seed {about['seed']}. Logits lowered by (validation, {len(valid)} "
        f"files): {words}. {machine(net)}\n\n{table}"
    )
    names = ("architecture", "license", "trained_on", "seed", "data_fingerprint", "init", "recipe")
    kept = {name: about[name] for name in names}
    hub.save(net, RUN / "model", card="", lowered=lowered, **kept)
    atomic_json(options.into / "overlap.json", {"lowered": lowered, **plain})
    fill(options.into / "README.md", text, "overlap")
    if options.publish is not None:
        sheet = card(about, text)
        what = "music and speech, also at once"
        hub.ship(RUN / "model", options.publish, verb.OVERLAPPING, card=sheet, about=what)
    print(text)


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("make")
    one.add_argument("manifests", nargs="+", type=Path)
    one.add_argument("--split", choices=manifest.SPLITS, required=True)
    one.add_argument("--files", type=int, default=30)
    one.set_defaults(run=make)
    one = parts.add_parser("train")
    one.add_argument("--steps", type=int, default=2000)
    one.set_defaults(run=train)
    one = parts.add_parser("evaluate")
    one.add_argument("--publish", type=Path, help="folder of shipped weights")
    one.add_argument("--into", type=Path, default=HERE, help="folder of the README.md to fill")
    one.set_defaults(run=evaluate)
    options = parser.parse_args()
    options.run(options)


def card(about: dict[str, Any], text: str) -> str:
    """The card that goes with the weights."""
    return (
        f"# {verb.OVERLAPPING}\n\nHears music and speech each by itself, so that speech over music "
        f"is both: `sepaudio segment --overlap`. Architecture `{about['architecture']}` with "
        "`several=true`, 16 kHz, causal, decides every 10 ms.\n\n"
        f"Licence of the weights: **{about['license']}**. The code is Apache-2.0.\n\n"
        f"## Training\n\n`python recipes/segmentation/overlap.py`, seed "
        f"{about['seed']}, from the weights `{DEFAULT}` (SHA-256 {about['init']['sha256']}), on "
        "mixtures of the recordings that those were trained on, whose card names them. "
        f"Fingerprint: `{about['data_fingerprint']}`.\n\n## F1 of frames\n\nIn percent; "
        f"in brackets the 95 % interval when files are drawn again. Beside it `{DEFAULT}`, which "
        f"names one class at a time.\n\n{text}\n## Limits\n\nMusic far below speech is missed, "
        "and some noise is taken for music.\n"
    )


if __name__ == "__main__":
    script(main)
