"""Make segmentation sets of mixtures, for programs that call speech over anything speech.

    python recipes/segmentation/mixture_set.py MANIFEST.csv --out FOLDER
    python recipes/segmentation/mixture_set.py --overlap test --out FOLDER

Real ones are folders of rows of kind `mixture` in the manifest, with mix.flac and its speakers,
s1.flac and so on. Speech is where the level of one of them says so, by the rule of `segment` for
silence; the rest, what is laid under it, is called noise. With `--overlap` the files that
`overlap.py make` wrote of a split: speech where there is any, over music and noise too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import overlap
from make_set import RATE

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest, timeline
from sepaudio.data.timeline import Segment, Timeline
from sepaudio.files import atomic_text
from sepaudio.verbs import segment as verb
from sepaudio.verbs.segment import SegmentCfg


def loud(x: np.ndarray, rate: int) -> np.ndarray:
    """Which samples sound, by the level rule of `segment`."""
    hop = rate // 100
    frames = np.pad(x, (0, -len(x) % hop)).reshape(-1, hop)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1).astype(np.float32)
    flat = np.zeros((len(power), 1), np.float32)
    heard = verb.Heard(
        probabilities=flat, power=power, labels=("",), frame=0.01, seconds=len(x) / rate
    )
    return np.repeat(~verb.silence(heard, SegmentCfg()), hop)[: len(x)]


def spans(speech: np.ndarray, rate: int) -> Timeline:
    """Samples that are speech or not -> a timeline of speech and noise."""
    cuts = [0, *(np.flatnonzero(np.diff(speech)) + 1).tolist(), len(speech)]
    parts = [
        Segment(start=a / rate, end=b / rate, label="speech" if speech[a] else "noise")
        for a, b in pairwise(cuts)
    ]
    return Timeline(segments=tuple(parts))


def joined(split: str, out: Path) -> list[Timeline]:
    """Write the files of overlap.py."""
    found = []
    for number, (x, pieces) in enumerate(overlap.read(split)[0]):
        name = f"{number:03}.flac"
        io.write(out / name, x, RATE, "PCM_16", clip=True)
        parts = [
            Segment(start=start, end=end, label="speech" if "speech" in kind else kind)
            for start, end, kind, _ in pieces
        ]
        found.append(Timeline(file=name, segments=tuple(parts)))
    return found


def real(options: argparse.Namespace) -> list[Timeline]:
    """Write the mixtures of manifests."""
    mixes: dict[str, list[Path]] = {}
    for row in manifest.read_all(options.manifests, ["mixture"]):
        mixes.setdefault(row.path.parent.name, []).append(row.path)
    found = []
    for name, paths in sorted(mixes.items()):
        mix = next((path for path in paths if path.stem == "mix"), None)
        if mix is None or len(paths) < 2:
            raise ValueError(f"{paths[0].parent}: expected mix.flac and its sources, s1.flac ...")
        x, rate = io.read(mix)
        sounding = np.zeros(len(x), dtype=np.bool_)
        for source in (io.read(path, rate)[0] for path in paths if path != mix):
            sounding[: len(source)] |= loud(source[: len(x)], rate)
        io.write(options.out / f"{name}.flac", x, rate, "PCM_16", clip=True)
        found.append(replace(spans(sounding, rate), file=f"{name}.flac"))
    return found


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path)
    parser.add_argument("--overlap", choices=manifest.SPLITS, help="files of overlap.py instead")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if bool(options.manifests) == bool(options.overlap):
        raise ValueError("expected manifests, or --overlap and a split")
    options.out.mkdir(parents=True, exist_ok=True)
    found = joined(options.overlap, options.out) if options.overlap else real(options)
    atomic_text(options.out / "labels.csv", timeline.text(found, "csv"))
    print(f"{options.out}: {sum(one.seconds for one in found) / 60:.1f} min in {len(found)} files")


if __name__ == "__main__":
    script(main)
