"""GTZAN music/speech as a manifest: a quarter to fine-tune on, three quarters to test on.

    python data_prep/gtzan_music_speech.py --root gtzan_music_speech --out gtzan_ms.csv

Reads `music_wav/*.wav` and `speech_wav/*.wav` (or `music/*.wav` and `speech/*.wav`). The quarter is
that of Hussain & Haque 2018 (1812.00149), who do not say which files: here they are dealt by a hash
of their names (seed 0), class by class. The set comes without a licence.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest

SHARES = {"train": 0.25, "test": 0.75}
SEED = 0


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds music_wav and speech_wav")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = []
    for kind in ("music", "speech"):
        files = [*args.root.glob(f"{kind}_wav/*.wav"), *args.root.glob(f"{kind}/*.wav")]
        if not files:
            raise SystemExit(f"{args.root}: no {kind}_wav/*.wav: expected GTZAN music/speech")
        splits = manifest.split([path.name for path in files], SHARES, SEED, salt=kind)
        rows += [
            manifest.of_file(
                path,
                kind=kind,
                split=splits[path.name],
                source=f"gtzan_music_speech@marsyas:{path.name}",
                license="unknown",
            )
            for path in sorted(files)
        ]
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} recordings")


if __name__ == "__main__":
    script(main)
