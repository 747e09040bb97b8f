"""Published lists of mixtures and of enrollments, as rows of ours: LibriMix, WSJ0-mix and -extr.

Sources: the metadata and the generating script of github.com/JorisCos/LibriMix; the lists and
rules of github.com/mpariente/pywsj0-mix; the lists of github.com/xuchenglin28/speaker_extraction
and speaker_extraction_SpEx; the enrollment maps of github.com/BUTSpeechFIT/speakerbeam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import io
from . import table
from .level import active_level
from .mixtures import Mixture, Part
from .render import Array, first_channel, poly

KINDS = ("clean", "both", "single")  # all speakers; with noise; the first speaker with noise
SPLIT_NAMES = {
    **{"train": "train", "tr": "train", "dev": "valid", "cv": "valid", "valid": "valid"},
    **{"test": "test", "tt": "test"},
}


def split_of(name: str) -> str:
    """The split that a published name such as tr, dev-clean or libri2mix_test-clean stands for.

    Raises:
        ValueError: none of the known words is in it.
    """
    for word in name.replace("-", "_").split("_"):
        if word in SPLIT_NAMES:
            return SPLIT_NAMES[word]
    raise ValueError(f"{name!r} names no split: expected one of {', '.join(SPLIT_NAMES)} in it")


def librispeech_genders(root: str | Path) -> dict[str, str]:
    """Genders (f, m) by speaker, from the SPEAKERS.TXT of LibriSpeech; empty where it is not.

    Raises:
        ValueError: a line is not `speaker | F or M | ...`.
    """
    path = Path(root) / "SPEAKERS.TXT"
    found = {}
    for number, line in enumerate(_text(path) if path.exists() else [], start=1):
        if not line.strip() or line.startswith(";"):
            continue
        words = [word.strip().lower() for word in line.split("|")]
        if len(words) < 2 or words[1] not in ("f", "m"):
            raise ValueError(f"{path}, line {number}: {line!r}: expected a speaker | F or M | ...")
        found[words[0]] = words[1]
    return found


def librimix(
    metadata: str | Path,
    librispeech: str | Path,
    wham_noise: str | Path | None = None,
    *,
    sample_rate: int = 8000,
    mode: str = "min",
    kind: str = "clean",
) -> list[Mixture]:
    """The mixtures of one of LibriMix's metadata files, such as libri2mix_test-clean.csv.

    Args:
        metadata: the CSV file.
        librispeech: the folder that holds train-clean-100, dev-clean and so on; SPEAKERS.TXT gives
            the genders where it is there.
        wham_noise: the folder that holds tr, cv and tt; needed unless kind is clean.
        sample_rate: 16000 or, after resampling, 8000 [Hz].
        mode: min or max.
        kind: clean, both or single, as in mix_clean.

    Raises:
        ValueError: the file is none of LibriMix's, or a row makes no sense.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected {', '.join(KINDS)}")
    if kind != "clean" and wham_noise is None:
        raise ValueError(
            f"kind={kind!r} has noise: expected the folder of WHAM's; name it (--wham-noise)"
        )
    metadata = Path(metadata)
    split = split_of(metadata.stem)
    needed = ("mixture_ID", "source_1_path", "source_1_gain", "noise_path", "noise_gain")
    rows, genders = [], librispeech_genders(librispeech)
    for number, row in table.read(metadata, needed, "LibriMix metadata (CSV)"):
        where = f"{metadata}, line {number}"
        table.need(row, needed, where)
        n_src = sum(name.startswith("source_") and name.endswith("_path") for name in row)
        sources = []
        for i in range(1, n_src + 1):
            path = Path(librispeech) / row[f"source_{i}_path"]
            gain = table.number(row, f"source_{i}_gain", where) or 0.0
            speaker = path.name.split("-")[0]
            heard = gain if kind != "single" or i == 1 else 0.0
            gender = genders.get(speaker, "")
            sources.append(Part(path=path, speaker=speaker, gender=gender, gain=heard))
        noise = None
        if wham_noise is not None and kind != "clean":
            gain = table.number(row, "noise_gain", where) or 0.0
            noise = Part(path=Path(wham_noise) / row["noise_path"], gain=gain)
        rows.append(
            Mixture(
                id=row["mixture_ID"],
                sources=tuple(sources),
                noise=noise,
                sample_rate=sample_rate,
                mode=mode,
                rules="librimix",
                split=split,
            )
        )
    return rows


def librimix_enrollments(rows: Sequence[Mixture], path: str | Path) -> list[Mixture]:
    """A row for every target with its enrollments, from a file in SpeakerBeam's layout.

    Either map_mixture2enrollment (mixture, target utterance, s1/other mixture) or a CSV with
    mixture_id, utterance_id, enr_path1, length1 and so on, whose paths are files that exist.

    Raises:
        ValueError: a line names a mixture or an utterance that is not in the list.
    """
    path, known = Path(path), {row.id: row for row in rows}
    found = []
    for number, line in enumerate(_text(path), start=1):
        where = f"{path}, line {number}"
        words = [word.strip() for word in line.split("," if "," in line else None)]
        if not words or words[0] == "mixture_id":
            continue
        if len(words) < 3:
            raise ValueError(f"{where}: expected a mixture, an utterance and an enrollment")
        row = _of(known, words[0], where)
        stems = [part.path.stem for part in row.sources]
        if words[1] not in stems:
            raise ValueError(f"{where}: {words[1]!r} is not in {words[0]}: expected one of {stems}")
        if "," in line:
            parts = [Part(path=path.parent / word) for word in words[2::2] if word]
        else:
            source, _, other = words[2].partition("/")
            parts = [_as_written(_of(known, other, where), source, where)]
        found.append(_targeted(row, stems.index(words[1]), parts, words[1]))
    return found


def wsj0_mix(
    listed: str | Path,
    wsj0: str | Path,
    levels: Mapping[str, float] | None = None,
    *,
    sample_rate: int = 8000,
    mode: str = "min",
) -> list[Mixture]:
    """The mixtures of a WSJ0 list: utterances and gains [dB], and in -extr lists an enrollment.

    Every file is brought to unit active level before its gain. Lists with an enrollment are
    those of WSJ0-2mix-extr: the first speaker is the target.

    Args:
        listed: a text file such as mix_2_spk_tt.txt or mix_2_spk_tt_extr.txt.
        wsj0: the folder that holds the first folder of the names in the list.
        levels: active levels by utterance, as in the published activlev files (power); what is
            not there is measured, at `sample_rate`.
        sample_rate: [Hz].
        mode: min or max; -extr is published in max.

    Raises:
        ValueError: a line makes no sense, or a file is missing; the message names the line.
    """
    listed, known = Path(listed), dict(levels or {})
    split = split_of(listed.stem)
    rows = []
    for number, line in enumerate(_text(listed), start=1):
        where, words = f"{listed}, line {number}", line.split()
        if not words:
            continue
        pairs = list(zip(words[0::2], words[1::2], strict=False))
        try:
            gains = [float(gain) for _, gain in pairs]
        except ValueError:
            gains = []
        if len(gains) < 2:
            raise ValueError(
                f"{where}: {line!r}: expected two or more utterances, each with a gain"
            )
        names = [name for name, _ in pairs] + ([words[-1]] if len(words) % 2 else [])
        parts = []
        for name, gain in zip(names, [*gains, 0.0], strict=False):
            path = _wsj0_file(Path(wsj0), name, where)
            if path.stem not in known:
                known[path.stem] = active_level(_at_rate(path, sample_rate), sample_rate)
            scale = 10 ** (gain / 20) / known[path.stem] ** 0.5 if known[path.stem] else 0.0
            parts.append(Part(path=path, speaker=path.stem[:3], gain=scale))
        n_src = len(pairs)
        stems = [part.path.stem for part in parts]
        words_of_id = [f"{stem}_{gain:.8g}" for stem, gain in zip(stems, gains, strict=False)]
        rows.append(
            Mixture(
                id="_".join([*words_of_id, *stems[n_src:]]),
                sources=tuple(parts[:n_src]),
                enrollments=tuple(parts[n_src:]),
                target=0 if parts[n_src:] else None,
                sample_rate=sample_rate,
                mode=mode,
                rules="wsj0_mix_extr" if parts[n_src:] else "wsj0_mix",
                split=split,
            )
        )
    return rows


def wsj0_enrollments(rows: Sequence[Mixture], path: str | Path, wsj0: str | Path) -> list[Mixture]:
    """A row for every target with its enrollments, from SpEx's aux.scp or aux_generated_list.scp.

    A line is a key, which is the mixture's name and an utterance, and one or more utterances; the
    target is the source whose speaker they share.

    Raises:
        ValueError: a line names a mixture, a speaker or a file that is not there.
    """
    path, known = Path(path), {row.id: row for row in rows}
    audio = {file.stem: file for file in io.find(wsj0)}
    found = []
    for number, line in enumerate(_text(path), start=1):
        where, words = f"{path}, line {number}", line.split()
        if not words:
            continue
        mixture, _, _ = words[0].rpartition("_")
        row = _of(known, mixture, where)
        stems = [Path(word).stem for word in words[1:]]
        missing = [stem for stem in stems if stem not in audio]
        if missing or not stems:
            raise ValueError(f"{where}: no file {missing} under {wsj0}: expected it there")
        speakers = [part.speaker for part in row.sources]
        if stems[0][:3] not in speakers:
            raise ValueError(
                f"{where}: speaker {stems[0][:3]!r} is not in {speakers}: mend the key"
            )
        target = speakers.index(stems[0][:3])
        parts = [Part(path=audio[stem], speaker=stem[:3]) for stem in stems]
        found.append(_targeted(row, target, parts, stems[0]))
    return found


def wsj0_levels(paths: Sequence[str | Path]) -> dict[str, float]:
    """Active levels by utterance, from files whose lines are an utterance and its power.

    Raises:
        ValueError: a line is not such a pair.
    """
    levels = {}
    for path in paths:
        for number, line in enumerate(_text(Path(path)), start=1):
            try:
                name, level = line.split()
                levels[name] = float(level)
            except ValueError:
                raise ValueError(
                    f"{path}, line {number}: {line!r}: expected an utterance and its level"
                ) from None
    return levels


def _targeted(row: Mixture, target: int, parts: Sequence[Part], name: str) -> Mixture:
    speaker = row.sources[target].speaker
    enrollments = tuple(replace(part, speaker=speaker) for part in parts)
    return replace(row, id=f"{row.id}/{name}", target=target, enrollments=enrollments)


def _of(known: Mapping[str, Mixture], name: str, where: str) -> Mixture:
    if name not in known:
        raise ValueError(f"{where}: no mixture {name!r} in the list: read the list it belongs to")
    return known[name]


def _as_written(row: Mixture, source: str, where: str) -> Part:
    """What the file of source "s1" or "s2" of a mixture holds: in min mode, cut to the shortest."""
    if source not in [f"s{i}" for i in range(1, len(row.sources) + 1)]:
        raise ValueError(f"{where}: source {source!r}: expected s1 to s{len(row.sources)}")
    part = row.sources[int(source[1:]) - 1]
    lengths = [io.info(each.path).duration for each in row.sources] if row.mode == "min" else []
    known = [length for length in lengths if length is not None]
    return replace(part, duration=min(known) if known else None)


def _wsj0_file(root: Path, name: str, where: str) -> Path:
    """The file of a list's name, whatever the copy's suffix."""
    names = [root / name, *((root / name).with_suffix(end) for end in (".wav", ".flac", ".wv1"))]
    for path in names:
        if path.exists():
            return path
    raise ValueError(
        f"{where}: {root / name} does not exist, nor as .wav, .flac or .wv1: pass the "
        f"folder that holds {Path(name).parts[0]}"
    )


def _at_rate(path: Path, sample_rate: int) -> Array:
    x, own = first_channel(path)
    return poly(x, own, sample_rate)


def _text(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist: expected a published list") from None
