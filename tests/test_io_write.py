"""Writing audio: what is written is read back, or nothing is written."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sepaudio import io

EXACT = [
    ("a.wav", None, 0), ("a.WAV", "DOUBLE", 0), ("a.wav", "PCM_U8", 2**-8),
    ("a.wav", "PCM_16", 2**-16), ("a.wav", "PCM_24", 2**-24), ("a.flac", None, 2**-16),
    ("a.flac", "PCM_24", 2**-24), ("a.aiff", None, 2**-16), ("a.au", None, 2**-16),
    ("a.caf", "ALAC_16", 2**-16), ("a.w64", None, 2**-16), ("a.rf64", "FLOAT", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "subtype", "step"), EXACT)
@pytest.mark.parametrize("channels", [1, 2])
def test_round_trip(tmp_path, name, subtype, step, channels):
    x = np.random.default_rng(0).uniform(-0.99, 0.99, (channels, 2000)).astype(np.float32)
    x[:, :3] = [[-1, 1, 0]]
    io.write(tmp_path / name, x, 16000, subtype)
    y, rate = io.read(tmp_path / name, channel="all")
    assert rate == 16000
    error = np.abs(y - x)
    error[:, 1] /= 2  # +1 itself lies one step above the largest integer
    assert error.max() <= step
    io.write(tmp_path / name, y, 16000, subtype)  # a copy of a copy is the same
    np.testing.assert_array_equal(io.read(tmp_path / name, channel="all")[0], y)


@pytest.mark.parametrize(("name", "rate"), [("a.ogg", 44100), ("a.opus", 48000), ("a.mp3", 44100)])
def test_lossy_round_trip(tmp_path, name, rate):
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    io.write(tmp_path / name, x, rate)
    y, own = io.read(tmp_path / name)
    assert (own, len(y)) == (rate, rate)
    assert np.std(y - x) < 0.1 * np.std(x)


def test_level_is_never_changed_unasked(tmp_path):
    x = np.array([0.0, 3.0, -2.0, 0.5], np.float32)
    io.write(tmp_path / "a.wav", x, 8000)
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav")[0], x)
    with pytest.raises(
        io.AudioError, match=r"samples reach 3: expected -1 to 1 for PCM_16; write "
    ):
        io.write(tmp_path / "a.flac", x, 8000)
    io.write(tmp_path / "a.flac", x, 8000, clip=True)
    y = io.read(tmp_path / "a.flac")[0]
    np.testing.assert_allclose(y, [0, 1, -1, 0.5], atol=2**-15)


@pytest.mark.parametrize(
    ("name", "x", "rate", "subtype", "text"),
    [
        ("a.wav", np.zeros(0), 8000, None, r"samples are float64 of shape \[0\]: expected floats"),
        ("a.wav", np.zeros((1, 2, 3)), 8000, None, r"of shape \[1, 2, 3\]: expected floats \[T\]"),
        ("a.wav", np.zeros(3, int), 8000, None, r"samples are int64 of shape \[3\]: expected"),
        ("a.wav", np.array([0, np.nan]), 8, None, r"the sample at 0.125 s is nan: expected finite"),
        ("a.wav", np.array([[0], [np.inf]]), 8, None, r"the sample at 0 s is inf: expected finite"),
        ("a.wav", np.zeros(3), 0, None, r"a.wav: sample_rate=0: expected 1 to 768000 Hz"),
        ("a.xyz", np.zeros(3), 8000, None, r"a.xyz suffix '.xyz': expected one of .*; use .wav"),
        ("a", np.zeros(3), 8000, None, r"a suffix '': expected one of"),
        ("a.wav", np.zeros(3), 8000, "PCM_12", r"subtype='PCM_12': expected one of PCM_16, "),
        ("a.caf", np.zeros(3), 8000, "ALAC_24", r"subtype='ALAC_24': expected one of PCM_S8, "),
        ("a.opus", np.zeros(300), 44100, None, r"cannot be written \(.*\): expected .* 44100 Hz"),
        ("no/a.wav", np.zeros(3), 8000, None, r"cannot be written \(.*no is not a folder"),
    ],
)  # fmt: skip
def test_write_refuses(tmp_path, name, x, rate, subtype, text):
    with pytest.raises(io.AudioError, match=text):
        io.write(tmp_path / name, x, rate, subtype)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    io.write(tmp_path / "a.wav", np.full(10, 0.5), 8000)

    def broken(file, *arguments, **keywords):
        Path(os.fsdecode(file)).write_bytes(b"RIFF")
        raise KeyboardInterrupt

    monkeypatch.setattr(sf, "write", broken)
    with pytest.raises(KeyboardInterrupt):
        io.write(tmp_path / "a.wav", np.zeros(10), 8000)
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav")[0], 0.5)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.wav"]


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    import shutil
    from types import SimpleNamespace

    def fails(*_, **__):
        raise sf.LibsndfileError(2)  # all that libsndfile says is "System error"

    monkeypatch.setattr(sf, "write", fails)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(io.AudioError, match="finds no room on the disk"):
        io.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    with pytest.raises(io.AudioError, match=r"cannot be written \(System error\)"):
        io.write(tmp_path / "a.wav", np.zeros(8), 8000)
    assert not list(tmp_path.iterdir())
