"""Make labelled synthetic speech, music and singing for training and for testing.

    python data_prep/synthetic.py --out OUT --seed 1 --minutes 40 [--speech FOLDER]

* speech: espeak-ng reads sentences, numbers and dates in many languages and voices;
* music: random compositions, from a solo melody to a full band, written as MIDI and played
  by fluidsynth with the FluidR3 GM soundfont (MIT licence, (c) Frank Wen);
* sung: speech re-sung with the WORLD vocoder (package `pyworld`): vowels are stretched and
  the pitch follows a melody with portamento and vibrato; half of it over a band. The speech
  is espeak's, or every other time real CC0, CC-BY or public-domain speech from `--speech`,
  a folder with a `manifest.csv`; its voice, split and licence are kept.

A detector that has only met spoken voices and instruments takes singing for speech; real
singing under a free licence is scarce, so it is imitated here. The output belongs to who
runs the script and is marked CC0-1.0. The same seed gives the same files as long as the
programs stay the same. An espeak variant (a voice) and a composition are in one split only.
"""

import argparse
import csv
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from debian_audio import Row, read_audio, save, split_of, write_manifest

Audio = npt.NDArray[np.float32]
Random = np.random.Generator

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
APT = {"espeak-ng": "espeak-ng", "fluidsynth": "fluidsynth"}
VOICES = re.findall(
    r"\S+",
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Jacky Lee Mario Michael Mike Storm adam "
    "antonio aunty belinda boris caleb david edward f1 f2 f3 f4 f5 grandma grandpa linda m1 m2 "
    "m3 m4 m5 m6 m7 m8 marcelo max paul quincy rob steph victor zac croak klatt3 whisper",
)
SENTENCES = {
    "en-us": "The rain stopped before we reached the harbour.|Put two cups of flour in the bowl."
    "|Your train leaves from platform nine.|Nobody had told her about the meeting.",
    "en-gb": "Mind the step as you come in, please.|I have not seen him since Tuesday evening.",
    "de": "Der Zug nach Bremen hat heute Verspätung.|Bitte schließen Sie das Fenster."
    "|Gestern haben wir lange am See gesessen.",
    "fr-fr": "Le marché ouvre à huit heures.|Nous avons perdu la clé du jardin."
    "|Il fait plus froid que la semaine dernière.",
    "es": "La biblioteca cierra a las nueve.|Mañana iremos juntos a la playa."
    "|Mi hermana vive cerca de la estación.",
    "it": "Il treno per Torino parte tra poco.|Abbiamo comprato pane e formaggio."
    "|La finestra della cucina è aperta.",
    "pt-br": "O ônibus passa a cada dez minutos.|Ela gosta de café sem açúcar.",
    "nl": "De winkel is morgen gesloten.|Wij fietsen langs de rivier naar huis.",
    "sv": "Bussen går klockan sju varje morgon.|Vi såg en räv i skogen igår.",
    "da": "Vi mødes foran biblioteket klokken fire.|Det regner stadig på øen.",
    "nb": "Båten til byen er forsinket i dag.|Hun leser avisen ved vinduet.",
    "fi": "Juna lähtee viideltä asemalta.|Kissa nukkuu lämpimällä kivellä.",
    "pl": "Sklep jest otwarty do ósmej.|Wczoraj padał śnieg przez cały dzień.",
    "cs": "Vlak do Brna jede za pět minut.|Na stole leží modrá kniha.",
    "hu": "A bolt reggel nyolckor nyit.|Tegnap sokat sétáltunk a parton.",
    "ro": "Magazinul se închide la ora șapte.|Am plecat devreme spre munte.",
    "ru": "Поезд отходит через десять минут.|Вчера мы долго гуляли у реки.",
    "uk": "Крамниця зачиняється о восьмій.|Сьогодні тепло і сонячно.",
    "el": "Το λεωφορείο φεύγει στις πέντε.|Η θάλασσα είναι ήρεμη σήμερα.",
    "tr": "Otobüs her yarım saatte bir gelir.|Dün akşam yağmur yağdı.",
    "sw": "Basi linaondoka saa mbili asubuhi.|Watoto wanacheza karibu na mto.",
    "hi": "दुकान सुबह आठ बजे खुलती है।|आज मौसम बहुत अच्छा है।",
    "id": "Kereta berangkat pukul tujuh pagi.|Kami makan siang di tepi pantai.",
    "vi": "Xe buýt đến lúc sáu giờ.|Hôm nay trời rất đẹp.",
    "cmn": "火车十点钟出发。|今天天气很好，我们去公园吧。",
    "ta": "கடை காலை எட்டு மணிக்கு திறக்கும்.|இன்று வானம் தெளிவாக உள்ளது.",
}
PROGRAMS = {  # General MIDI programs, from 0
    "melody": (0, 4, 11, 22, 24, 26, 40, 41, 42, 56, 57, 60, 64, 65, 68, 71, 73, 75, 79, 80, 105),
    "chords": (0, 1, 4, 5, 16, 18, 19, 21, 24, 25, 27, 29, 30, 46, 48, 49, 88, 89),
    "bass": (32, 33, 34, 35, 36, 38, 43),
    "choir": (52, 53, 54, 91),
    "strings": (44, 45, 48, 49, 50),
    "brass": (56, 57, 58, 60, 61, 66),
}
TEXTURES = {  # the parts that play; `melody` is dropped where a voice takes it
    "solo": ("melody",),
    "arpeggio": ("arpeggio",),
    "duo": ("melody", "chords"),
    "choir": ("choir",),
    "orchestra": ("melody", "strings", "brass", "bass"),
    "combo": ("melody", "arpeggio", "bass", "drums"),
    "band": ("melody", "chords", "bass", "drums"),
    "full": ("melody", "chords", "strings", "bass", "drums"),
    "drums": ("drums",),
}
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (5, 3, 0, 4),
    (0, 3, 4, 4),
    (1, 4, 0, 0),
    (0, 0, 3, 0, 4, 3, 0, 4),
    (0, 4, 5, 2, 3, 0, 3, 4),
)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))
HITS = ((36, 42, 38, 42), (36, 46, 38, 46), (36, 51, 38, 51), (36, 70, 37, 70), (41, 54, 47, 39))


@dataclass(frozen=True)
class Note:
    """One note: start and length in beats, MIDI pitch and velocity."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass
class Piece:
    """A composition: tempo and, for each part, its General MIDI program and notes."""

    tempo: float
    beats: int
    parts: dict[str, tuple[int, list[Note]]] = field(default_factory=dict)


def compose(rng: Random, seconds: float, texture: str) -> Piece:
    """A random piece: key, scale, tempo and chord progression, then each part's notes.

    The melody walks by small steps over the scale and lands on chord tones, so that it
    sounds like a tune rather than like random pitches.
    """
    tempo = float(rng.uniform(60, 170))
    piece = Piece(tempo, max(8, int(seconds * tempo / 60)))
    root, scale = int(rng.integers(48, 60)), SCALES[rng.integers(len(SCALES))]
    chords = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    pattern, swing = HITS[rng.integers(len(HITS))], float(rng.choice([0.0, 0.0, 0.12]))

    def tone(degree: int) -> int:
        return root + 12 * (degree // 7) + scale[degree % 7]

    for part in TEXTURES[texture]:
        source = {"arpeggio": "chords", "drums": "melody"}.get(part, part)
        program = int(rng.choice(PROGRAMS[source]))
        notes: list[Note] = []

        def add(start: float, length: float, pitch: int, notes: list[Note] = notes) -> None:
            start = max(0.0, start + float(rng.normal(0, 0.01)))
            notes.append(Note(start, length, pitch, int(rng.integers(62, 112))))

        beat, degree = 0.0, int(rng.integers(4, 10))
        while part == "melody" and beat < piece.beats:
            length = float(rng.choice([0.5, 0.5, 1, 1, 1.5, 2]))
            if rng.random() > 0.12:
                add(beat, length * float(rng.uniform(0.7, 1.0)), tone(degree))
            beat += length
            degree = int(np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -4]), 2, 14))
        for bar in range(0, piece.beats, 4):
            chord = chords[bar // 4 % len(chords)]
            triad = [chord, chord + 2, chord + 4]
            if part in ("chords", "choir", "strings", "brass"):
                step = 4 if part != "chords" else int(rng.choice([1, 2, 4]))
                for offset in range(0, 4, step):
                    for degree in triad:
                        add(bar + offset, step * 0.95, tone(degree + 7 * (part == "brass")))
            elif part == "bass":
                for offset in range(4):
                    add(bar + offset, 0.9, tone(triad[rng.choice([0, 0, 0, 2])]) - 12)
            elif part == "arpeggio":
                for offset in range(8):
                    add(bar + offset / 2, 0.6, tone([*triad, chord + 7][offset * 3 % 4]))
            elif part == "drums":
                for offset in range(8):
                    late = swing * (offset % 2)
                    add(bar + offset / 2 + late, 0.2, pattern[offset // 2 * 2 % 4])
                    if offset % 2 or rng.random() < 0.5:
                        add(bar + offset / 2 + late, 0.2, pattern[1])
        piece.parts[part] = (program, notes)
    return piece


def to_midi(piece: Piece) -> bytes:
    """The piece as a standard MIDI file: format 0, 480 ticks to the beat."""
    events: list[tuple[int, int, bytes]] = [
        (0, 0, b"\xff\x51\x03" + int(60e6 / piece.tempo).to_bytes(3, "big"))
    ]
    for number, (part, (program, notes)) in enumerate(piece.parts.items()):
        channel = 9 if part == "drums" else number
        events.append((0, 0, bytes([0xC0 | channel, program])))
        for note in notes:
            start, end = round(note.start * 480), round((note.start + note.length) * 480)
            events.append((start, 2, bytes([0x90 | channel, note.pitch, note.velocity])))
            events.append((end, 1, bytes([0x80 | channel, note.pitch, 0])))
    track, now = bytearray(), 0
    for tick, _, message in sorted(events):
        delta, now = tick - now, tick
        groups = [delta & 0x7F]
        while delta := delta >> 7:
            groups.append(delta & 0x7F | 0x80)
        track += bytes(reversed(groups)) + message
    track += b"\x00\xff\x2f\x00"
    return (
        b"MThd"
        + struct.pack(">IHHH", 6, 0, 1, 480)
        + b"MTrk"
        + struct.pack(">I", len(track))
        + bytes(track)
    )


def run(command: Sequence[str]) -> None:
    """Run a program; a missing one is reported with the package that holds it."""
    if shutil.which(command[0]) is None:
        raise SystemExit(
            f"program {command[0]} not found; expected it on the PATH; "
            f"install it with: apt-get install {APT[command[0]]}"
        )
    subprocess.run(command, check=True, capture_output=True)


def play(piece: Piece, rate: int) -> Audio:
    """Play a piece with fluidsynth."""
    if not SOUNDFONT.exists():
        raise SystemExit(
            f"no soundfont at {SOUNDFONT}; expected FluidR3 GM; "
            f"install it with: apt-get install fluid-soundfont-gm"
        )
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.write_bytes(to_midi(piece))
        run(
            [
                "fluidsynth",
                "-ni",
                "-q",
                "-g",
                "0.5",
                "-r",
                str(rate),
                "-F",
                str(wav),
                "-o",
                "synth.dynamic-sample-loading=1",
                str(SOUNDFONT),
                str(midi),
            ]
        )
        return read_audio(wav)[0]


def speak(rng: Random, voice: str, language: str, seconds: float) -> tuple[Audio, int]:
    """Sentences, numbers and dates of one language, read by one espeak-ng voice."""
    pieces: list[Audio] = []
    rate, total = 22050, 0.0
    while total < seconds:
        text = str(rng.choice(SENTENCES[language].split("|")))
        if rng.random() < 0.25:
            text = str(
                rng.choice(
                    [
                        f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.",
                        f"{rng.integers(1, 10**5)}, {rng.integers(1, 100)}",
                    ]
                )
            )
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder, "voice.wav")
            run(
                [
                    "espeak-ng",
                    "-v",
                    f"{language}+{voice}",
                    "-s",
                    str(rng.integers(120, 220)),
                    "-p",
                    str(rng.integers(20, 80)),
                    "-w",
                    str(wav),
                    text,
                ]
            )
            audio, rate = read_audio(wav)
        pieces.append(np.pad(audio, (0, int(rng.uniform(0.1, 0.6) * rate))))
        total += len(pieces[-1]) / rate
    return np.concatenate(pieces), rate


def sing(rng: Random, speech: Audio, notes: Sequence[Note], tempo: float, rate: int) -> Audio:
    """Re-sing speech with the WORLD vocoder: long vowels, a melody, portamento, vibrato."""
    # pyworld 0.3.5 asks pkg_resources, gone from setuptools, for its own version only.
    if "pkg_resources" not in sys.modules and find_spec("pkg_resources") is None:
        stub: Any = SimpleNamespace(get_distribution=lambda name: SimpleNamespace(version=""))
        sys.modules["pkg_resources"] = stub
    try:
        import pyworld
    except ImportError as error:
        raise ImportError(f"{error}; singing needs pyworld: pip install pyworld") from error
    signal = speech.astype(np.float64)
    f0, times = pyworld.dio(signal, rate)
    f0 = pyworld.stonemask(signal, f0, times, rate)
    spectrum = pyworld.cheaptrick(signal, f0, times, rate)
    aperiodicity = pyworld.d4c(signal, f0, times, rate)
    # Voiced frames last `stretch` times longer, pauses are shortened to a third.
    level = np.log10(spectrum.mean(axis=1) + 1e-12)
    silent = level < level.max() - 4.5
    stretch = float(rng.uniform(1.6, 3.2))
    cost = np.where(f0 > 0, stretch, np.where(silent, 0.35, 1.0))
    frames = np.searchsorted(np.cumsum(cost), np.arange(int(cost.sum())))
    frames = np.minimum(frames, len(f0) - 1)
    # The tune at 5 ms a frame, in semitones, moved by octaves to where the voice speaks.
    beat = np.arange(len(frames)) * 0.005 * tempo / 60
    starts = np.array([note.start for note in notes])
    current = np.clip(np.searchsorted(starts, beat, side="right") - 1, 0, None)
    tune = np.array([note.pitch for note in notes], dtype=np.float64)[current]
    spoken = 69 + 12 * np.log2(np.median(f0[f0 > 0]) / 440) if (f0 > 0).any() else 50.0
    tune += 12 * round((spoken + 4 - float(np.median(tune))) / 12)
    glide = np.hanning(2 * int(rng.integers(5, 14)) + 1)
    tune = np.convolve(np.pad(tune, len(glide) // 2, mode="edge"), glide / glide.sum(), "valid")
    swell = np.clip((beat - starts[current]) * 60 / tempo / 0.4, 0, 1)
    phase = 2 * np.pi * rng.uniform(4.8, 6.5) * 0.005 * np.arange(len(frames))
    tune += rng.uniform(0.15, 0.6) * swell * np.sin(phase)
    sung = np.where(f0[frames] > 0, 440 * 2 ** ((tune - 69) / 12), 0.0)
    result = pyworld.synthesize(
        sung,
        np.ascontiguousarray(spectrum[frames]),
        np.ascontiguousarray(aperiodicity[frames]),
        rate,
    )
    return np.asarray(result, dtype=np.float32)


def real_speech(folder: Path) -> list[dict[str, str]]:
    """Speech of at least 4 s in a folder's manifest whose licence allows this use."""
    free = re.compile(r"(CC0-1\.0|CC-BY-[34]\.0|public-domain)$", re.IGNORECASE)
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        rows = [
            row
            for row in csv.DictReader(handle)
            if row["kind"] == "speech"
            and free.match(row["license"])
            and float(row["duration_s"]) >= 4
            and int(row["sample_rate"]) >= 16000
            and row["speaker"]
        ]
    if not rows:
        raise SystemExit(
            f"no free speech in {folder / 'manifest.csv'}; expected rows of kind "
            f"speech, CC0, CC-BY or public domain, 4 s or longer; name another"
        )
    return rows


def normal(audio: Audio, peak: float) -> Audio:
    """Scale to a peak."""
    return np.asarray(audio * (peak / max(1e-6, float(np.abs(audio).max()))), dtype=np.float32)


def clips(seed: int, minutes: float, speech: Path | None) -> Iterator[tuple[Row, Audio]]:
    """All clips with their manifest rows; 30 % speech, 40 % music, 30 % sung."""
    real = real_speech(speech) if speech else []
    for kind, share in (("espeak", 0.3), ("fluidsynth", 0.4), ("sung", 0.3)):
        left, number = share * minutes * 60, 0
        while left > 0:
            rng = np.random.default_rng([seed, *kind.encode(), number])
            # Each voice gets a turn, and each language and texture in another order.
            voice = VOICES[number * 11 % len(VOICES)]
            language = list(SENTENCES)[number % len(SENTENCES)]
            key, speaker, license_name = voice, f"espeak_{voice}", "CC0-1.0"
            detail, split = f"{language}+{voice}", ""
            rate, seconds = 16000, float(rng.uniform(7, 16))
            if kind == "espeak":
                audio, native = speak(rng, voice, language, seconds)
                if number % 2:
                    rate = native
                audio = soxr.resample(audio, native, rate)
            elif kind == "fluidsynth":
                rate = (44100, 22050)[number % 2]
                detail = list(TEXTURES)[number % len(TEXTURES)]
                key, speaker = f"{seed}/{number}", ""
                audio = play(compose(rng, seconds + 6, detail), rate)
            else:
                if real and number % 2:
                    row = real[int(rng.integers(len(real)))]
                    audio, native = read_audio(Path(str(speech), row["path"]))
                    speaker, split, license_name = row["speaker"], row["split"], row["license"]
                    detail = row["source"]
                else:
                    audio, native = speak(rng, voice, language, seconds / 2)
                audio = soxr.resample(audio, native, rate)[: 9 * rate]
                piece = compose(rng, 30, str(rng.choice(["duo", "combo", "band", "full"])))
                _, tune = piece.parts.pop("melody")
                audio = normal(sing(rng, audio, tune, piece.tempo, rate), 0.5)
                if rng.random() < 0.5:
                    band = soxr.resample(play(piece, 22050), 22050, rate)[: len(audio)]
                    gain = 10 ** (-float(rng.uniform(2, 14)) / 20)
                    band = np.pad(band, (0, len(audio) - len(band)))
                    audio = audio + band * gain * np.sqrt(np.mean(audio**2) / np.mean(band**2))
                    detail += ":band"
            audio = normal(audio[: 25 * rate], float(rng.uniform(0.2, 0.95)))
            folder = "speech" if kind == "espeak" else "music"
            name = f"{folder}/{kind}_{number:04d}_{re.sub(r'[^A-Za-z0-9]+', '_', detail)[:40]}.flac"
            yield (
                Row(
                    name,
                    folder,
                    speaker,
                    rate,
                    round(len(audio) / rate, 3),
                    license_name,
                    f"synthetic:{kind}:{detail}",
                    split or split_of(key),
                ),
                audio,
            )
            left -= len(audio) / rate
            number += 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: write everything under a temporary name, then rename it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="new folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--speech", type=Path, help="folder of free speech with a manifest.csv")
    options = parser.parse_args(arguments)
    if options.out.exists():
        raise SystemExit(f"{options.out} exists; expected a new folder: remove it or name another")
    partial = options.out.with_name(options.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = [
        row
        for row, audio in clips(options.seed, options.minutes, options.speech)
        if save(audio, row.sample_rate, partial / row.path)
    ]
    write_manifest(rows, partial)
    partial.rename(options.out)
    print(f"{len(rows)} clips, {sum(row.duration_s for row in rows) / 60:.1f} min")


if __name__ == "__main__":
    main()
