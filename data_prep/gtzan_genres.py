"""GTZAN genres as a manifest, without its faulty files and with no artist in two splits.

    python data_prep/gtzan_genres.py --root genres --artists index.txt --out genres.csv
    python data_prep/gtzan_genres.py --root genres --lists train valid test --out genres.csv

Reads `<genre>/<genre>.<number>.wav` (or .au). Who plays is not in the set: `--artists` takes a CSV
with the columns file and artist, or lines `file ::: artist ::: title` as in Sturm's index; artists
are dealt to the splits by a hash of their names (seed 0), genre by genre, and a file without an
artist is its own. `--lists` takes published lists of files instead, such as the fault-filtered and
artist-filtered ones of Kereliuk, Sturm & Larsen 2015 (1507.04761).

`FAULTY` holds the 70 excerpts that those three lists leave out for faults that Sturm 2013
(1306.1461) catalogued: repetitions of another excerpt or recording, and distortion. The set comes
without a licence.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from sepaudio.cli import script
from sepaudio.data import manifest
from sepaudio.io import AudioError

GENRES = (
    *("blues", "classical", "country", "disco", "hiphop"),
    *("jazz", "metal", "pop", "reggae", "rock"),
)
FAULTY = {
    "classical": (42,),
    "country": (8, 52),
    "disco": (38, 50, 51, 55, 60, 71, 98),
    "hiphop": (1, 39, 46, 47, 48, 49, 50, 76),
    "jazz": (33, 34, 35, 36, 37, 38, 39, 40, 42, 43, 44, 45, 46),
    "metal": (4, 34, 40, 41, 42, 43, 44, 45, 58),
    "pop": (15, 21, 22, 30, 37, 45, 47, 48, 51, 52, 54, 56, 57, 67, 68, 87),
    "reggae": (3, 5, 7, 8, 10, 13, 33, 41, 73, 75, 80, 81, 86, 91),
}
UNREADABLE = "jazz.00054"  # in a copy that goes round; whole in others
SHARES = {"train": 0.5, "valid": 0.2, "test": 0.3}
SEED = 0


def main(argv: Sequence[str] | None = None) -> None:
    """Write the manifest of all files that are not faulty."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="holds blues, classical ...")
    parser.add_argument("--artists", type=Path, help="who plays in which file")
    parser.add_argument("--lists", type=Path, nargs=3, metavar=("TRAIN", "VALID", "TEST"))
    parser.add_argument("--with-faulty", action="store_true", help="keep the faulty files")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if bool(args.artists) == bool(args.lists):
        raise SystemExit(
            "expected --artists or --lists: without, songs of one artist lie on both sides of the "
            "split, and accuracy comes out too high"
        )
    files = [path for genre in GENRES for path in _files(args.root / genre)]
    if not files:
        raise SystemExit(f"{args.root}: no blues/blues.00000.wav and so on: expected GTZAN")
    bad = {f"{genre}.{number:05d}" for genre, numbers in FAULTY.items() for number in numbers}
    files = [path for path in files if args.with_faulty or path.stem not in bad]
    artists = _artists(args.artists) if args.artists else {}
    splits = _listed(args.lists) if args.lists else _dealt(files, artists)
    rows = []
    for path in files:
        if path.stem not in splits:
            continue  # the lists leave it out
        try:
            rows.append(
                manifest.of_file(
                    path,
                    kind=path.parent.name,
                    split=splits[path.stem],
                    source=f"gtzan_genres@{_who(path, artists)}:{path.name}",
                    license="unknown",
                )
            )
        except AudioError as error:
            if path.stem != UNREADABLE:
                raise
            print(f"left out: {error}")
    manifest.write(args.out, rows)
    print(f"{args.out}: {len(rows)} excerpts")


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.wav"), *folder.glob("*.au")])


def _artists(path: Path) -> dict[str, str]:
    """Artists by file, without folder and suffix."""
    found = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    if ":::" in text:
        for line in text.splitlines():
            name, _, rest = line.partition(":::")
            found[Path(name.strip()).stem] = rest.partition(":::")[0].strip(" :")
    else:
        for row in csv.DictReader(text.splitlines()):
            found[Path(row["file"]).stem] = row["artist"].strip()
    return {name: artist.casefold() for name, artist in found.items() if artist}


def _dealt(files: Sequence[Path], artists: dict[str, str]) -> dict[str, str]:
    """Splits by file: all of an artist's in one, whatever their genre."""
    place: dict[str, str] = {}
    for genre in GENRES:
        names = {_who(path, artists) for path in files if path.parent.name == genre}
        place |= manifest.split(names - place.keys(), SHARES, SEED, salt=genre)
    return {path.stem: place[_who(path, artists)] for path in files}


def _who(path: Path, artists: dict[str, str]) -> str:
    return artists.get(path.stem, path.stem)


def _listed(lists: Sequence[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for split, path in zip(manifest.SPLITS, lists, strict=True):
        for line in path.read_text(encoding="utf-8").split():
            if found.setdefault(Path(line).stem, split) != split:
                raise SystemExit(f"{path}: {line} stands in another list, too")
    return found


if __name__ == "__main__":
    script(main)
