"""VoxCeleb 1 or 2 as a manifest: one row a file, a share of the speakers of dev for validation.

python data_prep/voxceleb.py --root voxceleb1 --out voxceleb1.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio import io
from sepaudio.cli import script
from sepaudio.data import manifest


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of <any>/<speaker>/<video>/<number>.wav; folders named test are test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--valid", type=float, default=0.02, help="share of the speakers of dev")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    files = sorted(path for path in args.root.glob("**/id*/*/*") if path.suffix in io.SUFFIXES)
    if not files:
        raise SystemExit(
            f"{args.root}: no id*/*/*.wav: expected VoxCeleb's folders; convert .m4a files first: "
            "ffmpeg -i IN.m4a -ac 1 -ar 16000 OUT.wav"
        )
    held = {path: _is_test(path.relative_to(args.root)) for path in files}
    names = {path.parts[-3] for path in files if not held[path]}
    shares = {"train": 1 - args.valid, "valid": args.valid}
    splits = manifest.split(names, shares, args.seed)
    rows = [
        manifest.of_file(
            path,
            kind="speech",
            split="test" if held[path] else splits[path.parts[-3]],
            source=f"voxceleb@{path.parts[-2]}:{path.name}",
            license="CC-BY-4.0",
            speaker=path.parts[-3],
        )
        for path in files
    ]
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} utterances, {len({row.speaker for row in rows})} speakers")


def _is_test(path: Path) -> bool:
    return any("test" in part.lower() for part in path.parts[:-3])


if __name__ == "__main__":
    script(main)
