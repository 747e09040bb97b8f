r"""A Kaldi data folder, or a pair of lhotse manifests, as a manifest of ours.

    python data_prep/kaldi_lhotse.py --kaldi data/train --split train --out train.csv
    python data_prep/kaldi_lhotse.py --lhotse recordings.jsonl.gz supervisions.jsonl.gz \
        --split train --out train.csv

A Kaldi folder holds wav.scp and utt2spk, perhaps segments and spk2gender. Both give a row an
utterance; relative paths in them are relative to the working folder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import foreign, manifest


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--kaldi", type=Path, metavar="FOLDER")
    which.add_argument("--lhotse", type=Path, nargs=2, metavar=("RECORDINGS", "SUPERVISIONS"))
    parser.add_argument("--split", choices=manifest.SPLITS, required=True)
    parser.add_argument("--license", default="")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    how = {"split": args.split, "license": args.license}
    rows = foreign.kaldi(args.kaldi, **how) if args.kaldi else foreign.lhotse(*args.lhotse, **how)
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} utterances, {len({row.speaker for row in rows})} speakers")


if __name__ == "__main__":
    script(main)
