"""MUSAN as a manifest, with a split of our own, since it has none.

Of each class 65 / 10 / 25 % of the files, dealt by a hash of their names (seed 0): the same
everywhere.

    python data_prep/musan.py --root musan --out musan.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

SHARES = {"train": 0.65, "valid": 0.10, "test": 0.25}
SEED = 0


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest; its speech has no speakers, so it can be noise but no target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds music, noise and speech")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = []
    for folder in sorted(path for path in args.root.glob("*/*") if path.is_dir()):
        kind, name = folder.parts[-2:]
        if kind not in ("music", "noise", "speech"):
            continue
        files = {path.name: path for path in sorted(folder.glob("*.wav"))}
        splits = manifest.split(files, SHARES, SEED, salt=f"{kind}/{name}")
        rows += [
            manifest.of_file(
                path,
                kind=kind,
                split=splits[file],
                source=f"musan@{name}:{file}",
                license="CC-BY-4.0",
            )
            for file, path in files.items()
        ]
    if not rows:
        raise SystemExit(f"{args.root}: no music/*/*.wav and so on: expected MUSAN's folders")
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} recordings")


if __name__ == "__main__":
    script(main)
