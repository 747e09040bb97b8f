"""Turn audio shipped in Debian packages into labelled speech, music and noise clips.

Debian packages hold real voices in many languages (telephone prompts, games, teaching
programs), real bands and real sound effects, each under a free licence that the package
states. This script reads packages fetched beforehand; it downloads nothing itself:

    python data_prep/debian_audio.py --list          # prints the apt-get command
    python data_prep/debian_audio.py --packages DEBS --out OUT

The table `RULES` records, for each group of files, the kind and the licence that the
package's copyright file gives. Copyleft software licences (GPL, LGPL, GFDL) are used for
testing only, so everything under them has the split `test`. A voice or a track is always
in one split.
"""

import argparse
import csv
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Audio = npt.NDArray[np.float32]

COLUMNS = ("path", "kind", "speaker", "sample_rate", "duration_s", "license", "source", "split")
MAX_RATE = 44100
MAX_S = 25.0  # longest excerpt
SHORT_S = 2.0  # recordings shorter than this are joined ...
JOINED_S = 10.0  # ... to items of about this length
SUFFIXES = {".wav", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".gsm", ".g722", ".raw"}


@dataclass(frozen=True)
class Row:
    """One line of `manifest.csv`."""

    path: str
    kind: str
    speaker: str
    sample_rate: int
    duration_s: float
    license: str
    source: str
    split: str


@dataclass(frozen=True)
class Rule:
    """Which files of a package are used, as what, under which licence.

    `pattern` is searched in the path inside the package. `key` names the voice or track,
    which never crosses splits; `{0}` is the pattern's first group, and `-` means the file's
    own name without trailing numbers. `cuts` excerpts of at most `MAX_S` seconds are taken
    from each long recording, and `minutes` altogether.
    """

    package: str
    kind: str
    license: str
    minutes: float
    cuts: int
    key: str
    pattern: str


# package, kind, licence (by its copyright file; + where it differs by file), minutes, cuts,
# key, pattern. The Asterisk files of one voice are taken with different words each.
TABLE = r"""
# speech, permissive licences
asterisk-core-sounds-en-g722 speech CC-BY-SA-3.0 6 1 allison_smith /sounds/\w+/[n-z][^/]*\.g722
asterisk-core-sounds-en-wav speech CC-BY-SA-3.0 4 1 allison_smith /sounds/\w+/[a-h][^/]*\.wav
asterisk-core-sounds-en-gsm speech CC-BY-SA-3.0 3 1 allison_smith /sounds/\w+/([i-m]|\w+/)[^/]*\.gsm
asterisk-core-sounds-es-g722 speech CC-BY-SA-3.0 6 1 allison_smith /sounds/\w+/[n-z][^/]*\.g722
asterisk-core-sounds-es-wav speech CC-BY-SA-3.0 4 1 allison_smith /sounds/\w+/[a-h][^/]*\.wav
asterisk-core-sounds-fr-g722 speech CC-BY-SA-3.0 6 1 june_wallack /sounds/\w+/[n-z][^/]*\.g722
asterisk-core-sounds-fr-wav speech CC-BY-SA-3.0 4 1 june_wallack /sounds/\w+/[a-h][^/]*\.wav
asterisk-core-sounds-fr-gsm speech CC-BY-SA-3.0 3 1 june_wallack /sounds/\w+/([i-m]|\w+/)[^/]*\.gsm
asterisk-core-sounds-it-g722 speech CC-BY-3.0 6 1 carlo_flora /sounds/\w+/[n-z][^/]*\.g722
asterisk-core-sounds-it-wav speech CC-BY-3.0 4 1 carlo_flora /sounds/\w+/[a-h][^/]*\.wav
asterisk-core-sounds-ru-g722 speech CC-BY-3.0 6 1 ivrvoice_ru /sounds/\w+/[n-z][^/]*\.g722
asterisk-core-sounds-ru-wav speech CC-BY-3.0 4 1 ivrvoice_ru /sounds/\w+/[a-h][^/]*\.wav
asterisk-prompt-fr-armelle speech BSD-2-Clause-like 10 1 armelle_desjardins \.gsm$
asterisk-prompt-it-menardi-wav speech CC-BY-SA-3.0 10 1 paola_dal_zot Menardi/(?!silence).*\.wav$
festvox-ru speech BSD-like 10 1 msu_ru_nsh /wav/.*\.wav$
gcin-voice speech CC-BY-3.0 10 1 chu_lo /5\.ogg$
# speech, testing only
asterisk-prompt-es-co speech GPL-2 6 1 july_jimenez \.gsm$
codec2-examples speech LGPL-2.1 4 1 codec2_{0} /raw/(.orig|hts[12]a|kristoff|ve9qrp|vk5qi)\.raw$
fillets-ng-data-cs speech GPL-2 10 1 fillets_cs_{0} /cs/.*-([mv])-[^/]*\.ogg$
fillets-ng-data-nl speech GPL-2 10 1 fillets_nl_{0} /nl/.*-([mv])-[^/]*\.ogg$
hedgewars-data speech GFDL-1.3 6 1 hedgewars_{0} /voices/(?!Robot|Singer)(\w+)/.*\.ogg$
kajongg speech GPL-2+ 4 1 kajongg_{0} /voices/((?:de/)?\w+\d)/.*\.ogg$
klettres-data speech GPL-2+ 10 1 klettres_{0} /klettres/(\w+)/\w+/.*\.ogg$
ktuberling-data speech GPL-2+ 10 1 ktuberling_{0} /sounds/(\w\w)[^/]*/.*\.(?:ogg|wav|opus)$
tuxpaint-stamps-default speech GPL-2 10 1 tuxpaint_{0} _desc_(\w+)\.(?:ogg|wav)$
# music, permissive licences
asterisk-moh-opsound-wav music CC-BY-SA-3.0 10 6 - /moh/(\w+).*\.wav$
fretsonfire-songs-muldjord music CC-BY-SA-3.0 10 6 {0} muldjord/([^/]+)/song\.ogg$
fretsonfire-songs-sectoid music MIT 10 6 {0} sectoid/([^/]+)/song\.ogg$
fretsonfire-songs-sectoid music MIT 10 1 {0} sectoid/([^/]+)/guitar\.ogg$
flare-game music CC-BY-SA-3.0+ 10 1 - fantasycore/music/.*\.ogg$
hydrogen-drumkits-effects music CC-BY-3.0 4 1 guitar_strums GuitarStrums/.*\.flac$
hyperrogue-music music CC-BY-SA-3.0 10 1 - /music/(hr3?-\w+).*\.ogg$
lomiri-sounds music CC-BY-SA-3.0+CC0-1.0+CC-BY 10 1 - /ringtones/.*\.ogg$
marsshooter-data music CC-BY-SA-3.0 10 2 - /audio/(?:music/.*|menu|tutorial)\.ogg$
openclonk-data music CC-BY-3.0 10 2 - /Music\.ocg/.*\.ogg$
renpy-thequestion music MIT 10 2 - illurock\.opus$
scratch music CC-BY-SA-3.0 10 1 scratch_loops /Music Loops/.*\.mp3$
scratch music CC-BY-SA-3.0 10 1 scratch_vocals /Vocals/(?:BeatBox|Doy|Hey|Oooo|Sing).*$
singularity-music music CC-BY-SA-3.0 10 2 - /music/.*\.ogg$
ufoai-music music CC-BY-3.0 10 1 - /(?:David|azrael1|karlmacklin|van_)[^/]*\.ogg$
ufoai-music music CC-BY-SA-3.0 10 1 - /(?:Crystan|Marine|TheThings|returnjourney)[^/]*\.ogg$
zaz-data music CC-BY-SA-3.0 10 1 zaz_{0} /mus([^/]*)\.ogg$
# music, testing only
hedgewars-data music GPL-2 10 1 - /Music/.*\.ogg$
supertux-data music GPL-2+ 10 1 - /music/.*\.ogg$
warzone2100-music music GPL-2+ 10 1 wz_{0} /(track\d+|menu)[^/]*\.opus$
wesnoth-1.16-music music GPL-2+ 10 1 - /music/.*\.ogg$
# noise, permissive licences
endless-sky-data noise public-domain 4 1 - /sounds/(?!heavy rocket hit|explosion huge).*\.wav$
flare-game noise CC-BY-SA-3.0+ 10 1 - /soundfx/(env|steps|inv|powers|enem).*\.ogg$
hyperrogue-music noise CC-BY-SA-4.0+CC0-1.0+CC-BY-3.0 4 1 - /sounds/.*\.ogg$
marsshooter-data noise public-domain 4 1 - /audio/toon/.*\.wav$
scratch noise CC-BY-SA-3.0 10 1 - /(?:Animal|Effects|Human)/[^/]*$
# noise, testing only
bucklespring-data noise GPL-2+ 2 1 - /wav/.*\.wav$
colobot-common-sounds noise GPL-3+ 4 1 - /sounds/.*\.wav$
searchandrescue-data noise GPL 4 1 - /sounds/.*\.wav$
tuxpaint-stamps-default noise GPL-2 10 1 - /(animals|vehicles|town|household)/[^_]*\.(ogg|wav)$
"""


def _parse(table: str) -> Iterator[Rule]:
    """The rules of a table of lines."""
    for line in table.strip().splitlines():
        if not line.startswith("#"):
            package, kind, license_name, minutes, cuts, key, pattern = line.split(maxsplit=6)
            yield Rule(package, kind, license_name, float(minutes), int(cuts), key, pattern)


RULES = tuple(_parse(TABLE))


def split_of(key: str, license_name: str = "") -> str:
    """The split of a voice or track: by hash, and always test under a GPL-like licence."""
    if re.match(r"L?GPL|GFDL", license_name):
        return "test"
    share = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if share < 0.7 else "valid" if share < 0.8 else "test"


def write_manifest(rows: Sequence[Row], folder: Path) -> None:
    """Check that no voice crosses splits, then write `manifest.csv` in one step."""
    seen: dict[str, str] = {}
    for row in rows:
        if row.speaker and seen.setdefault(row.speaker, row.split) != row.split:
            raise ValueError(
                f"voice {row.speaker!r} is in the splits {seen[row.speaker]} and {row.split}; "
                f"a voice must be in one split: give its files one key and one licence group"
            )
    temporary = folder / "manifest.csv.tmp"
    with temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(row) for row in rows)
    temporary.replace(folder / "manifest.csv")


def read_audio(path: Path) -> tuple[Audio, int]:
    """Read any supported file as mono; ffmpeg is used only where libsndfile cannot read."""
    subtype = {".gsm": "GSM610", ".raw": "PCM_16"}.get(path.suffix.lower())  # no header: 8 kHz
    form = {"format": "RAW", "subtype": subtype, "channels": 1, "samplerate": 8000}
    try:
        data, rate = soundfile.read(
            path, dtype="float32", always_2d=True, **(form if subtype else {})
        )
    except soundfile.LibsndfileError:
        if shutil.which("ffmpeg") is None:
            raise SystemExit(
                f"{path.name} cannot be read by libsndfile and ffmpeg is not installed; "
                f"install it with: apt-get install ffmpeg"
            ) from None
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "wav", "-"]
        decoded = subprocess.run(command, check=True, capture_output=True).stdout
        data, rate = soundfile.read(BytesIO(decoded), dtype="float32", always_2d=True)
    mono = data.mean(axis=1)
    if rate > MAX_RATE:
        mono, rate = soxr.resample(mono, rate, MAX_RATE), MAX_RATE
    return mono, int(rate)


def excerpts(audio: Audio, rate: int, count: int) -> list[Audio]:
    """At most `count` evenly spread pieces of at most `MAX_S` seconds; one is the middle."""
    length = int(MAX_S * rate)
    if len(audio) <= length:
        return [audio]
    count = min(count, len(audio) // length)
    shares = np.linspace(0.05, 0.95, count) if count > 1 else np.array([0.5])
    starts = [int(share * (len(audio) - length)) for share in shares]
    return [audio[start : start + length] for start in starts]


def items(files: Sequence[tuple[str, Path]], rule: Rule) -> Iterator[tuple[str, Audio, int]]:
    """Clips of one voice or track: long files cut, short ones joined with pauses.

    The pauses hold noise at -80 dBFS, not zeros, which would give the joins away.
    """
    rng = np.random.default_rng(int(hashlib.sha256(rule.pattern.encode()).hexdigest()[:8], 16))
    waiting: list[Audio] = []
    first, rate, total = "", 0, 0.0
    for inner, path in files:
        audio, own_rate = read_audio(path)
        if len(audio) >= SHORT_S * own_rate:
            for number, piece in enumerate(excerpts(audio, own_rate, rule.cuts)):
                yield f"{inner}#{number}" if rule.cuts > 1 else inner, piece, own_rate
            continue
        if not waiting:
            first, rate, total = inner, own_rate, 0.0
        audio = soxr.resample(audio, own_rate, rate)
        pause = rng.normal(0, 1e-4, int(rng.uniform(0.2, 0.8) * rate)).astype(np.float32)
        waiting += [audio, pause]
        total += (len(audio) + len(pause)) / rate
        if total >= JOINED_S or (total >= SHORT_S and path is files[-1][1]):
            yield f"{first} and {len(waiting) // 2 - 1} more", np.concatenate(waiting), rate
            waiting = []


def save(audio: Audio, rate: int, path: Path) -> bool:
    """Write 16-bit FLAC, unless the clip is silent or too short to be of use."""
    if len(audio) < 0.5 * rate or float(np.sqrt(np.mean(audio**2))) < 1e-3:
        return False
    peak = float(np.abs(audio).max())
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio * min(1.0, 0.99 / peak), rate, subtype="PCM_16")
    return True


def convert(tree: Path, package: str, version: str, out: Path) -> list[Row]:
    """Convert the files of one unpacked package that the table names."""
    for archive in [path for path in tree.rglob("*.pk3") if path.is_file()]:
        zipfile.ZipFile(archive).extractall(archive.with_suffix(""))
    found = sorted(
        path for path in tree.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    rows: list[Row] = []
    for rule in (rule for rule in RULES if rule.package == package):
        keyed: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        for path in found:
            inner = path.relative_to(tree).as_posix()
            match = re.search(rule.pattern, "/" + inner)
            if match:
                own = re.sub(r"[\d\W_]+$", "", path.stem) or path.stem
                key = rule.key.format(*match.groups()) if rule.key != "-" else f"{package}/{own}"
                keyed[key].append((inner, path))
        # Noise and music keys are many and short: clips are joined within a split instead.
        groups: dict[tuple[str, str], list[tuple[str, Path]]] = defaultdict(list)
        for key, files in sorted(keyed.items()):
            voice = key if rule.kind == "speech" else ""
            groups[voice, split_of(key, rule.license)] += files
        for files in groups.values():
            files.sort(key=lambda file: hashlib.sha256(file[0].encode()).hexdigest())
        for (voice, split), files in groups.items():
            share = 1 / len(groups) if voice else len(files) / sum(map(len, groups.values()))
            left = rule.minutes * 60 * share
            for inner, audio, rate in items(files, rule):
                slug = re.sub(r"\W+", "_", f"{voice} {Path(inner).stem}", flags=re.ASCII)[:60]
                name = f"{rule.kind}/{package}/{RULES.index(rule):02d}_{len(rows):04d}_{slug}.flac"
                if not save(audio, rate, out / name):
                    continue
                rows.append(
                    Row(
                        name,
                        rule.kind,
                        re.sub(r"\W+", "_", voice),
                        rate,
                        round(len(audio) / rate, 3),
                        rule.license,
                        f"debian:{package}@{version}:{inner}",
                        split,
                    )
                )
                left -= len(audio) / rate
                if left <= 0:
                    break
    return rows


def build(packages: Path, out: Path, unpacked: bool = False) -> list[Row]:
    """Make the whole folder under a temporary name and rename it when it is complete."""
    if out.exists():
        raise SystemExit(f"{out} exists; expected a new folder: remove it or name another")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows: list[Row] = []
    missing: list[str] = []
    for name in dict.fromkeys(rule.package for rule in RULES):
        matches = sorted(packages.glob(name if unpacked else f"{name}_*.deb"))
        if not matches:
            missing.append(name)
            continue
        if unpacked:
            new = convert(matches[-1], name, "unpacked", partial)
        else:
            version = matches[-1].name.split("_")[1].replace("%3a", ":")
            with tempfile.TemporaryDirectory() as tree:
                subprocess.run(["dpkg-deb", "-x", str(matches[-1]), tree], check=True)
                new = convert(Path(tree), name, version, partial)
        rows += new
        print(f"{name}: {len(new)} clips, {sum(row.duration_s for row in new) / 60:.1f} min")
    if missing:
        print("not found and left out:", *missing, file=sys.stderr)
    if not rows:
        raise SystemExit(f"no known package in {packages}; fetch some first, see --list")
    write_manifest(rows, partial)
    partial.rename(out)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--list", action="store_true", help="print the apt-get command and stop")
    parser.add_argument("--packages", type=Path, help="folder of .deb files")
    parser.add_argument("--unpacked", action="store_true", help="folder holds NAME/ trees instead")
    parser.add_argument("--out", type=Path, help="new folder to write")
    options = parser.parse_args(arguments)
    if options.list:
        print("apt-get download", *dict.fromkeys(rule.package for rule in RULES))
    elif options.packages is None or options.out is None:
        parser.error("--packages and --out are needed (or --list)")
    else:
        build(options.packages, options.out, options.unpacked)


if __name__ == "__main__":
    main()
