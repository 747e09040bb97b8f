"""Audio files in and out: the only file that knows soundfile and soxr."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sepaudio import files, integers

__all__ = ["AudioError", "AudioInfo", "blocks", "find", "info", "read", "resample", "write"]

Array = npt.NDArray[np.float32]
PathLike = str | os.PathLike[str]

SUFFIXES = (
    *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".sph", ".voc"),
)
FOREIGN = (".m4a", ".m4b", ".mp4", ".mov", ".wma", ".aac", ".mka", ".mkv", ".webm", ".amr", ".3gp")
FOREIGN_HEADS = (
    rb"....ftyp|\x30\x26\xb2\x75|\x1a\x45\xdf\xa3|wvpk|MAC |#!AMR|\xff[\xf0\xf1\xf8\xf9]"
)
BROKEN = ("ALAC_20", "ALAC_24", "ALAC_32")  # libsndfile 1.2.2 writes noise-like sound wrong
MAX_RATE = 768_000  # [Hz]
LOUDEST = 1e36  # beyond it the sums of a resampler leave float32
STREAMED = 0x7FFF_0000  # from here on, what programs that write to a pipe put for an unknown size


class AudioError(files.FileError):
    """Audio that cannot be read or written; says which file, what was expected and what to do."""


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says; what it does not say is None."""

    path: Path  # "-" is the standard input
    sample_rate: int  # [Hz]
    channels: int
    n_samples: int | None  # per channel
    duration: float | None  # [s]
    format: str  # container in libsndfile's words, such as WAV
    subtype: str  # encoding in libsndfile's words, such as PCM_16


def info(path: PathLike) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: If the file is missing, unreadable, empty, not audio, or cut short.
    """
    with _open(path) as sound:
        rate, n = int(sound.samplerate), int(sound.frames)
        format, subtype = str(sound.format), str(sound.subtype)
        if n > 2**62:  # libsndfile's word for unknown is the largest integer
            return AudioInfo(Path(path), rate, sound.channels, None, None, format, subtype)
        return AudioInfo(Path(path), rate, sound.channels, n, n / rate, format, subtype)


def read(
    path: PathLike, sample_rate: int | None = None, channel: int | str = "mix"
) -> tuple[Array, int]:
    """Read a whole audio file: samples [T], or [C, T] for channel="all", and their rate [Hz].

    The arguments and the errors are those of `blocks`.
    """
    about = _check(path, sample_rate, channel)
    x = np.concatenate(list(_pieces(about, sample_rate, channel)))
    return np.ascontiguousarray(x.T), sample_rate or about.sample_rate


def blocks(
    path: PathLike,
    seconds: float,
    sample_rate: int | None = None,
    channel: int | str = "mix",
    overlap: float = 0,
) -> Iterator[Array]:
    """Read an audio file in blocks [t] or [C, t]; memory does not grow with the file.

    Every block but the last has round(seconds * rate) samples. Without overlap the blocks put
    together equal `read` bit for bit, whatever their size. A file too short to give one sample at
    the new rate gives its first sample.

    A file that holds less than its header announces is an error, not a shorter file. Two cases
    cannot be seen: the unknown size in the header of a stream, and a cut Ogg file.

    Args:
        path: A file, or `-` for a whole file with its header on the standard input.
        seconds: Length of a block.
        sample_rate: Rate to resample to [Hz]; the file's own when None.
        channel: "mix" for the mean of all channels, an index, or "all".
        overlap: Seconds that a block shares with the one before.

    Raises:
        AudioError: If the file is missing, unreadable, empty, not audio or cut short, lacks the
            channel, or holds a sample that is not a finite number. Faults of the header are raised
            by the call, faults of the samples by the iteration.
        ValueError: If `seconds` or `overlap` make no sense.
    """
    about = _check(path, sample_rate, channel)
    rate = sample_rate or about.sample_rate
    size, shared = round(seconds * rate), round(overlap * rate)
    if size < 1:
        raise ValueError(f"seconds={seconds}: expected at least one sample at {rate} Hz; use more")
    if not 0 <= shared < size:
        raise ValueError(f"overlap={overlap}: expected 0 or more; use less than seconds={seconds}")
    return _blocks(_pieces(about, sample_rate, channel), size, shared)


def write(
    path: PathLike,
    x: npt.ArrayLike,
    sample_rate: int,
    subtype: str | None = None,
    clip: bool = False,
) -> None:
    """Write float samples [T] or [C, T], whole or not at all; the suffix picks the format.

    The level is never changed, and what was read from an integer encoding is written back to it
    bit for bit.

    Args:
        path: The file.
        x: Samples.
        sample_rate: [Hz].
        subtype: Encoding in libsndfile's words (PCM_16, FLOAT ...); when None, FLOAT for WAV, which
            holds any level, and the usual one of other formats.
        clip: Cut what lies outside -1..1 where the encoding cannot hold it; else it is an error.

    Raises:
        AudioError: If samples are missing, not finite, too large for the encoding or of the wrong
            rank, or if the format cannot hold this rate, encoding or number of channels.
    """
    import soundfile

    x = np.asarray(x)
    if x.ndim not in (1, 2) or x.dtype.kind != "f" or x.size == 0:
        fault = f"samples are {x.dtype} of shape {list(x.shape)}"
        raise _error(path, fault, "floats [T] or [C, T], T > 0", "give such an array")
    _check_rate(f"{files.name(path)}: sample_rate", sample_rate)
    _check_finite(path, x.T, 0, sample_rate, np.finfo(np.float64).max)
    kind, subtype = encoding(path, subtype)
    if subtype not in ("FLOAT", "DOUBLE"):
        if not clip and (top := np.abs(x).max()) > 1:
            remedy = "write FLOAT in .wav, lower the level, or cut it off (clip=True, --clip)"
            raise _error(path, f"samples reach {top:.4g}", f"-1 to 1 for {subtype}", remedy)
        x = integers.steps(np.clip(x, -1, 1), subtype)
    try:
        with files.atomic(path) as temporary:
            soundfile.write(os.fsencode(temporary), x.T, int(sample_rate), subtype, format=kind)
    except (soundfile.LibsndfileError, OSError) as error:
        if files.room(path) < x.nbytes:
            raise _error(path, "finds no room on the disk", "enough", "free some") from error
        fault = f"cannot be written ({_reason(error)})"
        needs = f"a place and a format for {x.T.shape[1:] or 1} channels at {sample_rate} Hz"
        raise _error(path, fault, needs, "choose another name, format or rate") from error


def encoding(path: PathLike, subtype: str | None = None) -> tuple[str, str]:
    """Container and encoding that `write` gives a file, in libsndfile's words.

    Raises:
        AudioError: If the suffix is none that can be written, or the container lacks the encoding.
    """
    import soundfile

    suffix = Path(path).suffix.lower()
    names = {".wave": "WAV", ".aif": "AIFF", ".aifc": "AIFF", ".oga": "OGG", ".opus": "OGG"}
    kind = names.get(suffix, suffix[1:].upper())
    if suffix not in SUFFIXES or kind not in soundfile.available_formats():
        raise _error(path, f"suffix {suffix!r}", f"one of {' '.join(SUFFIXES)}", "use .wav")
    usual = {"WAV": "FLOAT", ".opus": "OPUS"}
    subtype = subtype or usual.get(kind) or usual.get(suffix) or soundfile.default_subtype(kind)
    known = [s for s in soundfile.available_subtypes(kind) if s not in BROKEN]
    if subtype not in known:
        raise _error(path, f"subtype={subtype!r}", f"one of {', '.join(known)}", "choose one")
    return kind, subtype


def resample(x: npt.NDArray[Any], from_rate: int, to_rate: int) -> npt.NDArray[Any]:
    """Resample floats [..., T] from one rate to another [Hz], by soxr at high quality.

    Gives T * to_rate / from_rate samples, halves rounded up, at least one.

    Raises:
        AudioError: If `x` holds no samples or no floats, or a rate is outside 1..768000.
    """
    import soxr

    _check_rate("from_rate", from_rate)
    _check_rate("to_rate", to_rate)
    if x.dtype not in (np.float32, np.float64) or x.size == 0 or x.ndim == 0:
        what = f"x is {x.dtype} of shape {list(x.shape)}"
        raise AudioError(f"{what}: expected float32 or float64 [..., T], T > 0; convert it")
    if from_rate == to_rate:
        return x
    rows = [soxr.resample(row, from_rate, to_rate) for row in x.reshape(-1, x.shape[-1])]
    y = np.stack(rows).reshape(*x.shape[:-1], len(rows[0]))
    return y if y.size else x[..., :1]


def transcode(x: Array, sample_rate: int, kind: str, subtype: str, quality: float) -> Array:
    """Send samples [T] within -1..1 through libsndfile's codec `kind`, `subtype`, in memory.

    Some add or drop a few samples; quality goes from 0, the best, to 1, the smallest.
    """
    import soundfile

    memory = BytesIO()
    lossy = subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III")
    graded = {"compression_level": quality} if lossy else {}
    soundfile.write(memory, x, sample_rate, format=kind, subtype=subtype, **graded)
    memory.seek(0)
    return np.asarray(soundfile.read(memory, dtype="float32")[0])


def find(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    """List the audio files that files, folders, patterns and `-` stand for; see `files.find`.

    Raises:
        AudioError: If a folder holds no audio file.
    """
    try:
        return files.find(paths, SUFFIXES)
    except files.FileError as error:
        raise AudioError(str(error)) from error


def _check(path: PathLike, rate: int | None, channel: int | str) -> AudioInfo:
    """Check what is asked of a file against its header."""
    if rate is not None:
        _check_rate("sample_rate", rate)
    about = info(path)
    if channel not in ("mix", "all", *range(about.channels)) or isinstance(channel, bool):
        expected = f"'mix', 'all' or 0 to {about.channels - 1}"
        raise _error(path, f"channel={channel!r}", expected, "the file has no other")
    return about


def _check_rate(name: str, rate: int) -> None:
    whole = isinstance(rate, int | np.integer) and not isinstance(rate, bool)
    if not whole or not 1 <= rate <= MAX_RATE:
        raise AudioError(f"{name}={rate!r}: expected 1 to {MAX_RATE} Hz; give a whole number")


def _check_finite(path: PathLike, x: npt.NDArray[Any], at: int, rate: int, top: float) -> None:
    """Refuse samples [t] or [t, C], the first of which is number `at`, that are no numbers."""
    bad = ~(np.abs(x) <= top)  # true for NaN, which compares with nothing
    if bad.any():
        first = tuple(np.argwhere(bad)[0])
        fault = f"the sample at {(at + first[0]) / rate:.6g} s is {x[first]:.6g}"
        raise _error(path, fault, "finite numbers, usually -1 to 1", "mend what made the samples")


def _blocks(pieces: Iterator[Array], size: int, shared: int) -> Iterator[Array]:
    """Cut pieces [t] or [t, C] of any length into blocks of one size."""
    held: list[Array] = []
    length, old = 0, 0  # samples held; how many of them went out before
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length < size:
            continue
        x, at = np.concatenate(held), 0
        while at + size <= length:
            yield np.array(x[at : at + size].T, order="C")  # a copy: what it is cut from is freed
            at, old = at + size - shared, shared
        held, length = [x[at:].copy()], length - at
    if length > old:
        yield np.ascontiguousarray(np.concatenate(held).T)


def _pieces(about: AudioInfo, rate: int | None, channel: int | str) -> Iterator[Array]:
    """Samples of a file at a rate, [t] or [t, C], in pieces of no particular length."""
    import soxr

    own, rate = about.sample_rate, rate or about.sample_rate
    # Bounded on both sides of the resampler, for many channels and for rates far apart.
    size = max(1, min(2**18, 2**18 * own // rate) // about.channels)
    raw = (_pick(x, channel) for x in _frames(about, size))
    if own == rate:
        yield from raw
        return
    n = about.channels if channel == "all" else 1
    stream = soxr.ResampleStream(own, rate, n, dtype="float32", quality="HQ")
    start, given = None, 0
    for x in raw:
        start = x[:1] if start is None else start
        y = stream.resample_chunk(x)
        given += len(y)
        yield y
    assert start is not None  # _frames gives at least one sample or raises
    y = stream.resample_chunk(start[:0], last=True)
    yield y if given + len(y) else start


def _pick(x: Array, channel: int | str) -> Array:
    """[t, C] -> the mean or one channel [t], or all [t, C]."""
    if channel == "all":
        return x
    if channel != "mix":
        return np.ascontiguousarray(x[:, int(channel)])
    total = x[:, 0].astype(np.float64)
    for c in range(1, x.shape[1]):  # always in this order: the sum is the same for any length
        total += x[:, c]
    return np.asarray(total / x.shape[1], dtype=np.float32)


def _frames(about: AudioInfo, size: int) -> Iterator[Array]:
    """Checked samples [t, C] of a file at its own rate."""
    import soundfile

    path, at = about.path, 0
    of = "" if about.n_samples is None else f" of {about.n_samples}"
    with _open(path) as sound:
        while True:
            try:
                x = sound.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                fault = f"cannot be decoded after sample {at}{of} ({_reason(error)})"
                raise _error(path, fault, "undamaged data", "copy the file again") from error
            if len(x) == 0:
                break
            _check_finite(path, x, at, about.sample_rate, LOUDEST)
            at += len(x)
            yield x
    # The count in an MP3 header is of whole packets; two of 1152 samples may be padding.
    if about.n_samples and at < about.n_samples - 2304 * (about.format == "MP3"):
        raise _error(path, f"is cut short at {at} samples", f"{about.n_samples}", "copy it again")
    if at == 0:
        raise _error(path, "holds no samples", "at least one", "record it again")


def _open(path: PathLike) -> Any:
    """Open an audio file for reading from front to back."""
    import soundfile

    file = files.stdin() if os.fspath(path) == "-" else Path(path)
    try:
        head = files.look(file)
        sound = soundfile.SoundFile(os.fsencode(file))
    except files.FileError as error:
        raise AudioError(str(error).replace(str(file), files.name(path), 1)) from error
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw has no header
        raise _diagnose(path, head, error) from error
    sound.seekable = lambda: False  # soundfile would seek after every read, which upsets decoders
    if fault := _fault(sound):
        sound.close()
        raise _error(path, *fault)
    return sound


def _fault(sound: Any) -> tuple[str, str, str] | None:
    """What libsndfile lets pass: absurd rates, no samples, less data than announced."""
    if not 1 <= sound.samplerate <= MAX_RATE:
        return f"is of {sound.samplerate} Hz", f"1 to {MAX_RATE} Hz", "mend its header"
    # libsndfile corrects a size and tells it only in its log.
    log, announced, there, unit = sound.extra_info, 0, 0, "bytes"
    if size := re.search(r"(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", log):
        announced, there = int(size[1]), int(size[2])
    elif count := re.search(r"frame count (\d+) does not match value from 'ds64' .* (\d+)", log):
        announced, there, unit = int(count[2]), int(count[1]), "samples"
    if there + 8 < announced < STREAMED:  # a pad byte or a half sample is no loss
        return f"is cut short at {there} {unit}", str(announced), "copy it again"
    return None if sound.frames else ("holds no samples", "at least one", "record it again")


def _diagnose(path: PathLike, head: bytes, error: Exception) -> AudioError:
    """What a file is that libsndfile refused, and what to do about it."""
    if kind := files.kind(head):
        return _error(path, f"is {kind}", "an audio file", "check the name")
    fault = f"cannot be read by libsndfile ({_reason(error)})"
    suffix = Path(path).suffix
    if re.match(FOREIGN_HEADS, head, re.DOTALL) or suffix.lower() in FOREIGN:
        ends = (os.fspath(path), os.fspath(path).removesuffix(suffix) + ".wav")
        one, two = (shlex.quote("./" * end.startswith("-") + files.name(end)) for end in ends)
        command = f"ffmpeg -i {one} {two}" if ends[0] != "-" else "ffmpeg -i - -f wav -"
        return _error(path, fault, "a free format such as WAV", f"convert it: {command}")
    remedy = "its header is damaged, cut off, or (raw PCM) absent"
    return _error(path, fault, "WAV, FLAC, Ogg, MP3, AIFF, AU, CAF, W64, RF64 or SPHERE", remedy)


def _error(path: PathLike, fault: str, expected: str, remedy: str) -> AudioError:
    return AudioError(f"{files.name(path)} {fault}: expected {expected}; {remedy}")


def _reason(error: Exception) -> str:
    """The system's or libsndfile's own words, without the path."""
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return str(text).strip().rstrip(".")
