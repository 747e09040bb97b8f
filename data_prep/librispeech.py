"""LibriSpeech as a manifest: one row an utterance, splits by the names of its subsets.

Genders come from SPEAKERS.TXT where it is there.

python data_prep/librispeech.py --root LibriSpeech --out librispeech.csv
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest, published


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of all subsets found, or of those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds train-clean-100 and so on")
    parser.add_argument("--subsets", nargs="+", help="only these")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows, genders = [], published.librispeech_genders(args.root)
    for subset in args.subsets or sorted(path.name for path in args.root.glob("*-*")):
        # <subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
        found = sorted((args.root / subset).glob("*/*/*.flac"))
        rows += [
            manifest.of_file(
                path,
                kind="speech",
                split=published.split_of(subset),
                source=f"librispeech@{subset}:{path.name}",
                license="CC-BY-4.0",
                speaker=path.parts[-3],
                gender=genders.get(path.parts[-3], ""),
            )
            for path in found
        ]
    if not rows:
        raise SystemExit(f"{args.root}: no dev-clean/*/*/*.flac: expected LibriSpeech's folders")
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} utterances, {len({row.speaker for row in rows})} speakers")


if __name__ == "__main__":
    script(main)
