"""Write a folder of bad and odd audio files: `python tests/odd_files.py FOLDER`.

`make` says for each whether it must give a result (True) or one clean error (False).
"""

import os
import struct
import sys
import wave
import zipfile
from pathlib import Path

import numpy as np
import soundfile as sf

RATES = (1000, 7999, 8000, 11025, 22050, 44100, 48000, 96000, 192000, 384000)
KINDS = {  # name: format, subtype, rate
    "pcm8.wav": ("WAV", "PCM_U8", 16000),
    "pcm16.wav": ("WAV", "PCM_16", 16000),
    "pcm24.wav": ("WAV", "PCM_24", 16000),
    "pcm32.wav": ("WAV", "PCM_32", 16000),
    "float.wav": ("WAV", "FLOAT", 16000),
    "double.wav": ("WAV", "DOUBLE", 16000),
    "ulaw.wav": ("WAV", "ULAW", 8000),
    "alaw.wav": ("WAV", "ALAW", 8000),
    "ima.wav": ("WAV", "IMA_ADPCM", 16000),
    "msadpcm.wav": ("WAV", "MS_ADPCM", 16000),
    "gsm.wav": ("WAV", "GSM610", 8000),
    "extensible.wav": ("WAVEX", "PCM_16", 16000),
    "flac16.flac": ("FLAC", "PCM_16", 44100),
    "flac24.flac": ("FLAC", "PCM_24", 96000),
    "vorbis.ogg": ("OGG", "VORBIS", 44100),
    "opus.opus": ("OGG", "OPUS", 48000),
    "mp3.mp3": ("MP3", "MPEG_LAYER_III", 44100),
    "aiff.aiff": ("AIFF", "PCM_16", 44100),
    "au.au": ("AU", "PCM_16", 8000),
    "caf.caf": ("CAF", "PCM_16", 44100),
    "alac.caf": ("CAF", "ALAC_16", 44100),
    "w64.w64": ("W64", "PCM_16", 48000),
    "rf64.rf64": ("RF64", "PCM_16", 48000),
    "sphere.sph": ("NIST", "PCM_16", 16000),
    "creative.voc": ("VOC", "PCM_16", 16000),
}


def sound(rate: int, seconds: float = 0.5, channels: int = 1) -> np.ndarray:
    """A tone a channel with a little noise, [T, C]."""
    t = np.arange(max(1, round(rate * seconds)))[:, None] / rate
    tones = 0.3 * np.sin(2 * np.pi * rate / 40 * (1 + np.arange(channels)) * t)
    return tones + 0.01 * np.random.default_rng(0).standard_normal(tones.shape)


def header(data: bytes, rate: int = 16000, size: int | None = None, channels: int = 1) -> bytes:
    """A 16-bit WAV file by hand, whose header may lie about rate and size."""
    size = len(data) if size is None else size
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 % 2**32, 2 * channels, 16)
    riff = min(36 + size, 2**32 - 1)
    return b"".join(
        (b"RIFF", struct.pack("<I", riff), b"WAVEfmt ", struct.pack("<I", 16), form)
    ) + struct.pack("<4sI", b"data", size) + data  # fmt: skip


def make(folder: Path) -> dict[Path, bool]:
    """Write about a hundred files below `folder` (made if missing); file -> readable."""
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[Path, bool] = {}

    def put(name: str, good: bool, content: bytes) -> None:
        (folder / name).write_bytes(content)
        out[folder / name] = good

    def audio(name: str, good: bool, x: np.ndarray, rate: int, form: str, subtype: str) -> None:
        sf.write(folder / name, x, rate, format=form, subtype=subtype)
        out[folder / name] = good

    for name, (form, subtype, rate) in KINDS.items():
        audio(name, True, sound(rate), rate, form, subtype)
    for rate in RATES:
        audio(f"rate_{rate}.wav", True, sound(rate), rate, "WAV", "PCM_16")
    audio("rate_1.wav", True, np.full(3, 0.1), 1, "WAV", "PCM_16")
    for channels in (2, 6, 32):
        x = sound(16000, channels=channels)
        audio(f"channels_{channels}.wav", True, x, 16000, "WAV", "PCM_16")

    x = sound(16000)[:, 0]
    odd = {
        "silent": np.zeros(8000),
        "one_sample": x[:1],
        "two_samples": x[:2],
        "dc": np.full(8000, 0.5),
        "clipped": np.sign(x),
        "impulse": np.eye(1, 8000, 4000)[0],
        "loud_1e30": x * 1e30,
        "denormal": np.full(8000, 1e-42),
        "tiny_1e-30": x * 1e-30,
    }
    for name, y in odd.items():
        audio(f"{name}.wav", True, y, 16000, "WAV", "FLOAT")
    audio("one_sample_384000.wav", True, sound(384000)[:1], 384000, "WAV", "PCM_16")
    for name, value in {"nan": np.nan, "inf": np.inf, "minus_inf": -np.inf, "1e37": 1e37}.items():
        y = x.copy()
        y[4000] = value
        audio(f"{name}.wav", False, y, 16000, "WAV", "FLOAT")
    audio("double_1e300.wav", False, x * 1e300, 16000, "WAV", "DOUBLE")
    audio("all_nan.wav", False, np.full(8000, np.nan), 16000, "WAV", "FLOAT")

    put("empty.wav", False, b"")
    put("empty.mp3", False, b"")
    put("zero_samples.wav", False, header(b""))
    put("text.wav", False, b"This is not a sound.\n" * 40)
    put("page.mp3", False, b"<!doctype html><html><body>404 not found</body></html>\n")
    put("picture.wav", False, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(600))
    put("photo.flac", False, b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(600))
    put("movie.m4a", False, b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(600))
    put("windows.wma", False, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(600))
    put("zeros.wav", False, bytes(1000))
    put("noise.ogg", False, np.random.default_rng(1).bytes(5000))
    with zipfile.ZipFile(folder / "archive.wav", "w") as archive:
        archive.writestr("x.txt", "x" * 100)
    out[folder / "archive.wav"] = False

    pcm = (x * 32767).astype("<i2").tobytes()
    put("by_hand.wav", True, header(pcm))
    put("header_cut.wav", False, header(pcm)[:30])
    put("header_damaged.wav", False, b"RIFF" + bytes(60) + pcm)
    put("data_cut.wav", False, header(pcm)[:4000])
    put("streamed_4gb.wav", True, header(pcm, size=2**32 - 1))
    put("streamed_2gb.wav", True, header(pcm, size=2**31 - 1))
    put("streamed_0.wav", False, header(pcm, size=0))
    put("says_3mb.wav", False, header(pcm, size=3_000_000))
    put("rate_0.wav", False, header(pcm, rate=0))
    put("rate_4e9.wav", False, header(pcm, rate=4_000_000_000))
    put("channels_0.wav", False, header(pcm, channels=0))
    for name in ("flac16.flac", "mp3.mp3", "aiff.aiff", "au.au", "caf.caf", "w64.w64", "rf64.rf64"):
        whole = (folder / name).read_bytes()
        put(f"cut_{name}", False, whole[: len(whole) // 2])
    whole = (folder / "vorbis.ogg").read_bytes()
    put("cut_header.ogg", False, whole[:100])
    put("raw.raw", False, pcm)

    names = (
        "späß 東京 🎵",
        "with space",
        "-dash",
        "quote'\"",
        "double.tar",
        "100%",
        "[1]",
        "a,b;c",
    )
    for name in (*(f"{name}.wav" for name in names), "x" * 200 + ".wav", "UPPER.WAV", "no_suffix",
                 "wrong_suffix.mp3"):  # fmt: skip
        put(name, True, header(pcm))
    (folder / "deep" / "er").mkdir(parents=True, exist_ok=True)
    put("deep/er/inside.wav", True, header(pcm))
    (folder / "folder.wav").mkdir(exist_ok=True)
    put("folder.wav/inside.wav", True, header(pcm))
    put(".hidden.wav", True, header(pcm))
    if os.name == "posix":
        links = {
            "broken_link.wav": "nowhere.wav",
            "loop.wav": "loop.wav",
            "link.wav": "by_hand.wav",
        }
        for name, target in links.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)
            out[folder / name] = name == "link.wav"
        (folder / "deep" / "up").unlink(missing_ok=True)
        (folder / "deep" / "up").symlink_to("..")  # a folder that holds itself
    with wave.open(str(folder / "stdlib.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(pcm)
    out[folder / "stdlib.wav"] = True
    return out


if __name__ == "__main__":
    for path, good in make(Path(sys.argv[1])).items():
        sys.stdout.write(f"{'ok ' if good else 'bad'} {path}\n")
