"""Room responses as a manifest: a folder of recorded ones, or rooms simulated by pyroomacoustics.

python data_prep/rooms.py --root FOLDER --out rooms.csv
python data_prep/rooms.py --simulate 1000 --root NEW_FOLDER --out rooms.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest

SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of all audio files under the folder, simulated before when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--simulate", type=int, default=0, help="number of rooms")
    parser.add_argument("--rate", type=int, default=16000, help="of simulated responses [Hz]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--license", default="")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.simulate:
        args.root.mkdir(parents=True, exist_ok=True)
        for number in range(args.simulate):
            random = np.random.default_rng([args.seed, number])
            io.write(args.root / f"room_{number:05d}.wav", simulate(args.rate, random), args.rate)
    files = {path.relative_to(args.root).as_posix(): path for path in io.find(args.root)}
    splits = manifest.split(files, SHARES, args.seed)
    rows = [
        manifest.of_file(
            path,
            kind="rir",
            split=splits[name],
            source=f"{args.root.name}@:{name}",
            license="CC0-1.0" if args.simulate else args.license,
        )
        for name, path in files.items()
    ]
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} responses")


def simulate(sample_rate: int, random: np.random.Generator) -> np.ndarray:
    """The response [T] of a shoebox room with a T60 of 0.15 to 0.8 s, by image sources."""
    try:
        import pyroomacoustics
    except ImportError:
        raise SystemExit("--simulate needs pyroomacoustics: pip install pyroomacoustics") from None
    size = random.uniform((3, 3, 2.4), (10, 8, 4))
    shortest = 24 * np.log(10) / 343 * size.prod() / (2 * (size @ np.roll(size, 1)))
    t60 = max(random.uniform(0.15, 0.8), 1.2 * shortest)  # what walls can reach, by Sabine
    absorption, order = pyroomacoustics.inverse_sabine(t60, size)
    room = pyroomacoustics.ShoeBox(
        size,
        fs=sample_rate,
        materials=pyroomacoustics.Material(absorption),
        max_order=min(order, 40),
    )
    room.add_source(random.uniform(0.5, size - 0.5))
    room.add_microphone(random.uniform(0.5, size - 0.5))
    room.compute_rir()
    response = np.asarray(room.rir[0][0], np.float32)
    return response / np.abs(response).max()


if __name__ == "__main__":
    script(main)
