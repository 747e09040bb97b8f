"""WHAM's noise as a manifest; the splits are its folders tr, cv and tt.

python data_prep/wham.py --root wham_noise --out wham.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest, published


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest; copies at other speeds, which LibriMix makes, are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds tr, cv and tt")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = [
        manifest.of_file(
            path,
            kind="noise",
            split=published.split_of(folder),
            source=f"wham_noise@{folder}:{path.name}",
            license="CC-BY-NC-4.0",
        )
        for folder in ("tr", "cv", "tt")
        for path in sorted((args.root / folder).glob("*.wav"))
        if not path.stem.endswith(("sp08", "sp12"))
    ]
    if not rows:
        raise SystemExit(f"{args.root}: no tr, cv or tt with .wav files: expected wham_noise")
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} recordings")


if __name__ == "__main__":
    script(main)
