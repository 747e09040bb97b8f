"""Fit an i-vector front-end and measure how well it tells speakers apart; writes README.md.

    python recipes/speaker/ivector.py MANIFEST.csv [--folder runs/ivector] [--beside one_speaker]
        [components=64 ...]

The manifest has a column `speaker` beside the usual ones. A folder that is there already is
measured as it is. The encoders of the extractors that --beside names hear the same trials. Speakers
of the split are those with a name that does not begin "unlabelled".
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sepaudio
from sepaudio import io
from sepaudio.cli import key_values, script
from sepaudio.files import atomic_text
from sepaudio.frontends.ivector import IVector
from sepaudio.verbs.enroll import speaker_of
from sepaudio.verbs.prepare import PrepareCfg, read_overrides
from sepaudio.verbs.verify import Verification, cosine, verify

ENROLLED = 3  # recordings that are enrolled together
Rows = list[tuple[str, Verification]]


def speakers(manifest: Path, split: str, rate: int) -> dict[str, list[Any]]:
    """Recordings [T] of every named speaker of a split."""
    found: dict[str, list[Any]] = defaultdict(list)
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row["speaker"]
            wanted = row["kind"] == "speech" and row["split"] == split
            if wanted and name and not name.startswith("unlabelled"):
                sound = io.read(manifest.parent / row["path"], rate)[0]
                found[name].append(torch.from_numpy(sound))
    return found


def vectors(model: Any, sounds: list[Any]) -> Any:
    """[N, E] of recordings that hold enough voice; the others are left out."""
    found = []
    for sound in sounds:
        try:
            found.append(model(sound[None]))
        except ValueError as error:
            print(f"left out: {error}")
    return torch.cat(found).numpy()


def one_by_one(each: dict[str, Any]) -> Verification:
    """Every recording is enrolled alone and tried against every other."""
    names = [name for name, v in each.items() for _ in v]
    everything = np.concatenate(list(each.values()))
    scores = cosine(everything, everything)
    scores[np.tril_indices(len(scores))] = np.nan  # every pair once
    return verify(scores, names, names)


def together(model: Any, sounds: dict[str, list[Any]], each: dict[str, Any], how: str) -> Any:
    """The first few recordings of a speaker are enrolled; all the rest are tried, one by one."""
    names = list(sounds)
    enrolled = torch.cat([pooled(model, sounds[name][:ENROLLED], how) for name in names])
    heard = [name for name in names for _ in each[name][ENROLLED:]]
    rest = np.concatenate([each[name][ENROLLED:] for name in names])
    return verify(cosine(enrolled.numpy(), rest), names, heard)


def pooled(model: Any, sounds: list[Any], how: str) -> Any:
    """The vector [1, E] of several recordings: of a learned encoder the mean of theirs."""
    if isinstance(model, IVector):
        return model.together(sounds, how)
    return torch.cat([model(sound[None]) for sound in sounds]).mean(0, keepdim=True)


def halves(model: Any, sounds: dict[str, list[Any]]) -> Verification:
    """The first half of a recording is enrolled, the second halves are tried."""
    cut = {name: x[0].split((len(x[0]) + 1) // 2) for name, x in sounds.items()}
    pairs = {}
    for name, (first, second) in cut.items():
        both = vectors(model, [first, second])
        if len(both) == 2:
            pairs[name] = both
    enrolled, heard = (np.stack([both[i] for both in pairs.values()]) for i in (0, 1))
    return verify(cosine(enrolled, heard), list(pairs), list(pairs))


def measure(model: Any, sounds: dict[str, list[Any]]) -> Rows:
    """Rows of the table."""
    several = {name: x for name, x in sounds.items() if len(x) > ENROLLED}
    each = {name: vectors(model, x) for name, x in several.items()}
    rows = [("one recording against one, all speakers with several", one_by_one(each))]
    groups = sorted({name.split("_")[0] for name in several})
    for group in groups:
        inside = {name: v for name, v in each.items() if name.split("_")[0] == group}
        if len(inside) > 1:
            rows.append((f"the same, only `{group}_*`", one_by_one(inside)))
    for how in ("statistics", "vectors") if isinstance(model, IVector) else ("vectors",):
        what = f"{ENROLLED} recordings against one, pooled by {how}"
        rows.append((what, together(model, several, each, how)))
    single = {name: x for name, x in sounds.items() if len(x) == 1}
    if len(single) > 1:
        what = "first half of the only recording against second halves"
        rows.append((what, halves(model, single)))
    return rows


def as_table(rows: Rows) -> str:
    """The table in Markdown."""
    text = (
        "| trials | error (95 %) | speakers | same voice | another voice |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    for what, v in rows:
        low, high = (100 * value for value in v.interval)
        error = f"{100 * v.error_rate:.1f} ({low:.1f} to {high:.1f})"
        text += f"| {what} | {error} | {v.speakers} | {v.targets} | {v.others} |\n"
    return text


def main() -> None:
    """Fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("runs/ivector"))
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    parser.add_argument("--beside", nargs="+", default=[], help="extractors: names or folders")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=1)
    given, others = key_values()
    options = parser.parse_args(others)
    torch.set_num_threads(options.threads)
    cfg, took = read_overrides(given, PrepareCfg), ""
    if not options.folder.exists():
        began = time.perf_counter()
        sepaudio.prepare_ivector([options.manifest], options.folder, cfg)
        took = f"Fitted in {time.perf_counter() - began:.0f} s. "
    model: Any = sepaudio.load(options.folder)
    sounds = speakers(options.manifest, options.split, model.sample_rate)
    with torch.no_grad():
        rows = measure(model, sounds)
        encoders = {name: speaker_of(name) for name in options.beside}
        beside = {
            name: measure(one, speakers(options.manifest, options.split, one.sample_rate))
            for name, one in encoders.items()
        }
    asked = f" --beside {' '.join(options.beside)}" if beside else ""
    words = asked + "".join(f" {word}" for word in given)
    text = (
        "# Speaker verification by i-vectors\n\n"
        f"Made by `python recipes/speaker/ivector.py {options.manifest.name}{words}`"
        f"{'' if options.split == 'test' else f', split {options.split}'}. {took}"
        f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} thread; Python "
        f"{platform.python_version()}, torch {version('torch')}.\n\n"
        f"Cosine of vectors; {len(sounds)} speakers, none heard in fitting. Error: equal error "
        "rate in percent, with the 95 % interval from drawing the enrolled speakers again. Voices "
        "of different collections differ in microphone and room as well, which helps to refuse "
        "them; the rows of one collection are without that help. Halves of one recording share "
        "both, which helps to accept: no measure of knowing a voice again in another recording.\n\n"
        f"{as_table(rows)}\n"
    )
    for name, found in beside.items():
        text += f"The encoder of `{Path(name).name}` on the same trials:\n\n{as_table(found)}\n"
    text += _below_title(options.folder / "README.md")
    atomic_text(options.into / "README.md", text)
    print(text)


def _below_title(card: Path) -> str:
    """The card of the front-end, one level down."""
    return "#" + card.read_text(encoding="utf-8")


if __name__ == "__main__":
    script(main)
