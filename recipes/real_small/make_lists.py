"""Write the fixed test lists: two speakers, one in noise, one over music, two without the enrolled.

And two speakers in noise, and the two speakers of before whose enrollment comes by telephone, as it
may have been recorded elsewhere. Two more lists, five times as long, tell how well an extractor
knows whether the enrolled speaker is there: a hundred mixtures are too few to tell a calibration
error of 5 % from none.

    python recipes/real_small/make_lists.py MANIFEST.csv [--mixtures 100] [--seconds 4] [--seed 1]
        [--rate 8000]

Speakers of the test split alone, so that none was heard in training. The target and its enrollment
are of different files where a speaker has several, else of different parts of one file. SIR from
-5 to 5 dB, SNR from 0 to 10 dB, below two speakers from 5 to 15 dB, over the part of a file that is
heard.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest, mixtures
from sepaudio.data.augment import AugmentCfg, round_trip
from sepaudio.data.mixtures import Mixture, Part

ENROLLMENT, LEVEL = 6.0, 0.05  # longest [s], RMS of the target
BEHIND = 5.0, 15.0  # how far noise is below the target of two who talk in it [dB]
KINDS = {  # of each list: what is in it, least and largest SIR or SNR [dB], times --mixtures
    "two_speakers": ("two_speakers", -5.0, 5.0, 1),
    "noise": ("noise", 0.0, 10.0, 1),
    "music": ("music", 0.0, 10.0, 1),
    "absent": ("absent", -5.0, 5.0, 1),
    "with_speaker": ("two_speakers", -5.0, 5.0, 5),
    "without_speaker": ("absent", -5.0, 5.0, 5),
    "two_in_noise": ("two_in_noise", -5.0, 5.0, 1),
}


def part(row: Any, start: float, seconds: float, rms: float) -> Part:
    """A stretch of a file at a level."""
    x, rate = io.read(row.path, channel=0)
    heard = x[round(start * rate) : round((start + seconds) * rate)]
    now = float(np.sqrt(np.mean(np.square(heard, dtype=np.float64)))) + 1e-9
    return Part(
        path=row.path,
        speaker=row.speaker,
        gender=row.gender,
        start=start,
        duration=seconds,
        gain=rms / now,
    )


def by_telephone(row: Mixture, folder: Path, random: np.random.Generator) -> Mixture:
    """The same mixture, whose enrollment comes by telephone: 300 to 3400 Hz, through a codec."""
    enrolled = row.enrollments[0]
    x, rate = io.read(enrolled.path, channel=0)
    first, n = round(enrolled.start * rate), round((enrolled.duration or 0.0) * rate)
    y = round_trip(x[first : first + n], rate, replace(AugmentCfg(), telephone=1.0), random)
    name = row.id.replace("two_speakers", "by_telephone")
    folder.mkdir(parents=True, exist_ok=True)
    io.write(folder / f"{name}.flac", y, rate, clip=True)
    there = replace(enrolled, path=folder / f"{name}.flac", start=0.0)
    return replace(row, id=name, enrollments=(there,))


def lengths(rows: list[Any]) -> dict[Path, float]:
    """Seconds of every file."""
    return {row.path: io.info(row.path).duration for row in rows}


def main() -> None:
    """Draw and write the lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a mixture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--out", type=Path, default=Path("runs/real_small/lists"))
    options = parser.parse_args()
    lasting = options.seconds
    rows = [row for row in manifest.read(options.manifest) if row.split == "test"]
    kinds = {k: [r for r in rows if r.kind == k] for k in ("speech", "noise", "music")}
    seconds = lengths([row for here in kinds.values() for row in here])
    speakers: dict[str, list[Any]] = defaultdict(list)
    for row in kinds["speech"]:
        if row.speaker and not row.speaker.startswith("unlabelled"):
            speakers[row.speaker].append(row)
    long = {
        name: [row for row in here if seconds[row.path] >= lasting]
        for name, here in speakers.items()
    }
    long = {name: here for name, here in long.items() if here}
    targets = sorted(
        name
        for name, here in long.items()
        if len(speakers[name]) > 1 or seconds[here[0].path] >= lasting + 3
    )
    if not targets or len(long) < 3:
        parser.error(
            f"{options.manifest}: {len(targets)} test speakers with a recording of {lasting:g} s "
            f"and something to enroll with, of {len(long)}: expected 3 or more; give that split "
            "more speakers (speaker_folders.py --shares 0.5 0.25 0.25) or pass shorter --seconds"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    for order, (name_of_list, (kind, low, high, times)) in enumerate(KINDS.items()):
        bed = "noise" if kind == "two_in_noise" else kind
        if not kinds.get(bed, kinds["speech"]):
            print(f"no {bed} in the test split of {options.manifest}: no list of it")
            continue
        random, made = np.random.default_rng([options.seed, order]), []
        for number in range(times * options.mixtures):
            name = targets[int(random.integers(len(targets)))]
            row = long[name][int(random.integers(len(long[name])))]
            others = [r for r in speakers[name] if r.path != row.path]
            room = seconds[row.path] - lasting
            if others:
                start = float(random.uniform(0, room))
                own = others[int(random.integers(len(others)))]
                enrolled = part(own, 0.0, min(ENROLLMENT, seconds[own.path]), LEVEL)
            else:  # the enrollment is what comes before
                start = room
                enrolled = part(row, 0.0, min(ENROLLMENT, room), LEVEL)
            target = part(row, start, lasting, LEVEL)
            under = LEVEL * 10 ** (-float(random.uniform(low, high)) / 20)
            pool = [n for n in sorted(long) if n != name]
            noise, sources = None, [target]
            if kind == "absent":  # somebody else speaks in the place of the enrolled speaker
                pool.remove(someone := pool[int(random.integers(len(pool)))])
                instead = long[someone][int(random.integers(len(long[someone])))]
                begin = float(random.uniform(0, seconds[instead.path] - lasting))
                sources = [part(instead, begin, lasting, LEVEL)]
            if kind in ("two_speakers", "absent", "two_in_noise"):
                other = long[pool[int(random.integers(len(pool)))]]
                which = other[int(random.integers(len(other)))]
                begin = float(random.uniform(0, seconds[which.path] - lasting))
                sources.append(part(which, begin, lasting, under))
            if bed in kinds:
                if kind == "two_in_noise":
                    under = LEVEL * 10 ** (-float(random.uniform(*BEHIND)) / 20)
                which = kinds[bed][int(random.integers(len(kinds[bed])))]
                span = min(lasting, seconds[which.path])
                begin = float(random.uniform(0, seconds[which.path] - span))
                noise = part(which, begin, span, under)
            made.append(
                Mixture(
                    id=f"{name_of_list}_{number:03}",
                    sources=tuple(sources),
                    sample_rate=options.rate,
                    noise=noise,
                    enrollments=(enrolled,),
                    target=None if kind == "absent" else 0,
                    split="test",
                )
            )
        lists = {name_of_list: made}
        if name_of_list == "two_speakers":
            random = np.random.default_rng([options.seed, len(KINDS)])
            folder = options.out / "telephone"
            lists["by_telephone"] = [by_telephone(row, folder, random) for row in made]
        for name, mixed in lists.items():
            mixtures.write(options.out / f"{name}.csv", mixed)
            print(options.out / f"{name}.csv")


if __name__ == "__main__":
    script(main)
