"""Audio in and out: nothing lost, nothing guessed, every refusal explained."""

import io as std_io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import odd_files
import pytest
import soundfile as sf
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from sepaudio import io


def python(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, stdout=-1, text=True, check=True, env=environment).stdout


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    return folder, odd_files.make(folder)


@pytest.fixture
def noise(tmp_path):
    """Two seconds of stereo noise at 44100 Hz: its path and samples [C, T]."""
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 88200)).astype(np.float32)
    sf.write(tmp_path / "noise.wav", x.T, 44100, subtype="FLOAT")
    return tmp_path / "noise.wav", x


def test_every_odd_file_reads_or_gives_one_clean_error(odd, capfd):
    folder, expected = odd
    wrong = {}
    for path, good in expected.items():
        try:
            x, rate = io.read(path, 16000)
        except io.AudioError as error:
            text = str(error)
            clean = text.startswith(str(path)) and ": expected " in text and "; " in text
            if good or not clean or "\n" in text:
                wrong[path.name] = text
        else:
            sound = np.isfinite(x).all() and x.dtype == np.float32 and len(x) > 0 and rate == 16000
            if not (good and sound and x.ndim == 1):
                wrong[path.name] = x.shape
    assert wrong == {}
    capfd.readouterr()  # libsndfile's MP3 decoder speaks to the terminal
    inside = set(io.find(folder))
    hidden = {"no_suffix", ".hidden.wav", "movie.m4a", "windows.wma", "raw.raw"}
    assert inside == {path for path in expected if path.name not in hidden}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gone.wav", "gone.wav does not exist: expected a file; check the name"),
        ("deep", "deep is a folder: expected a file; name a file in it"),
        ("empty.wav", r"empty.wav is empty \(0 bytes\): expected a file; copy it again"),
        ("zero_samples.wav", "holds no samples: expected at least one; record it again"),
        ("text.wav", "is text: expected an audio file; check the name"),
        ("picture.wav", "is a PNG image: expected an audio file; check the name"),
        ("archive.wav", "is a zip archive: expected an audio file"),
        ("header_cut.wav", r"cannot be read by libsndfile \(.*data.*\): expected WAV, .*cut off"),
        ("zeros.wav", r"cannot be read by libsndfile \(Format not recognised\): expected WAV"),
        ("raw.raw", r"expected WAV, .*; its header is damaged, cut off, or \(raw PCM\) absent"),
        ("data_cut.wav", "is cut short at 3956 bytes: expected 16000; copy it again"),
        ("cut_rf64.rf64", r"is cut short at \d+ samples: expected 24000; copy it again"),
        ("cut_mp3.mp3", r"is cut short at \d+ samples: expected 22050; copy it again"),
        ("cut_flac16.flac", r"cannot be decoded after sample \d+ of 22050 \(.*\): expected undam"),
        ("nan.wav", r"nan.wav the sample at 0.25 s is nan: expected finite numbers.*; mend"),
        ("minus_inf.wav", r"the sample at 0.25 s is -inf: expected finite numbers"),
        ("1e37.wav", r"the sample at 0.25 s is 1e\+37: expected finite numbers"),
        ("movie.m4a", r"libsndfile.*; convert it: ffmpeg -i \S*movie.m4a \S*movie.wav$"),
        ("windows.wma", r"; convert it: ffmpeg -i \S*windows.wma \S*windows.wav$"),
    ],
)
def test_errors_name_file_fault_expectation_and_remedy(odd, name, text, capfd):
    with pytest.raises(io.AudioError, match=text):
        io.read(odd[0] / name)
    capfd.readouterr()


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_errors_of_links_and_pipes(odd, tmp_path):
    with pytest.raises(io.AudioError, match=r"broken_link.wav is a broken link: expected a file"):
        io.info(odd[0] / "broken_link.wav")
    with pytest.raises(io.AudioError, match=r"loop.wav cannot be read \(.*symbolic links\)"):
        io.info(odd[0] / "loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(io.AudioError, match="is no regular file: expected a file; pipe it in"):
        io.info(tmp_path / "pipe.wav")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="this user may read anything")
def test_error_of_rights(noise):
    noise[0].chmod(0)
    with pytest.raises(io.AudioError, match=r"cannot be read \(Permission denied\): expected"):
        io.info(noise[0])


@pytest.mark.parametrize("rate", [0, 768_001])
def test_absurd_rates_in_headers_are_refused(rate):
    sound = SimpleNamespace(samplerate=rate)
    assert io._fault(sound) == (f"is of {rate} Hz", "1 to 768000 Hz", "mend its header")


def test_ffmpeg_command_quotes_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-a b.m4a", "x.mp4"):
        Path(name).write_bytes(b"\0\0\0\x20ftypM4A \0" + bytes(100))
    with pytest.raises(io.AudioError, match=r"ffmpeg -i './-a b.m4a' './-a b.wav'$"):
        io.info("-a b.m4a")
    with pytest.raises(io.AudioError, match=r"ffmpeg -i x.mp4 x.wav$"):
        io.info("x.mp4")


def test_info_reads_the_header(odd, noise):
    assert io.info(noise[0]) == io.AudioInfo(noise[0], 44100, 2, 88200, 2.0, "WAV", "FLOAT")
    about = io.info(odd[0] / "flac24.flac")
    assert (about.sample_rate, about.format, about.subtype) == (96000, "FLAC", "PCM_24")


def test_unknown_length_is_none_and_reads_to_the_end(odd, tmp_path):
    whole = bytearray((odd[0] / "flac16.flac").read_bytes())
    whole[21] &= 0xF0  # the 36 bits of a FLAC header that count the samples
    whole[22:26] = bytes(4)
    (tmp_path / "streamed.flac").write_bytes(whole)
    about = io.info(tmp_path / "streamed.flac")
    assert (about.n_samples, about.duration) == (None, None)
    x, _ = io.read(tmp_path / "streamed.flac")
    np.testing.assert_array_equal(x, io.read(odd[0] / "flac16.flac")[0])


def test_channels(noise):
    path, x = noise
    both, rate = io.read(path, channel="all")
    assert (rate, both.flags.c_contiguous) == (44100, True)
    np.testing.assert_array_equal(both, x)
    for c in (0, 1, np.int64(1)):
        np.testing.assert_array_equal(io.read(path, channel=c)[0], x[c])
    np.testing.assert_array_equal(io.read(path)[0], x.astype(np.float64).mean(0).astype(np.float32))


@pytest.mark.parametrize("channel", [2, -1, "left", True, None, 0.5])
def test_unknown_channels_are_refused(noise, channel):
    with pytest.raises(io.AudioError, match=r"channel=.*: expected 'mix', 'all' or 0 to 1; the"):
        io.read(noise[0], channel=channel)


@pytest.mark.parametrize("rate", [0, -1, 768_001, 8000.0, "8000", True])
def test_unusable_rates_are_refused(noise, rate):
    with pytest.raises(io.AudioError, match=r"^sample_rate=.*: expected 1 to 768000 Hz; give"):
        io.read(noise[0], rate)


def test_mono_mix_is_the_file_itself_and_the_mix_cannot_overflow(tmp_path):
    x = np.array([1e-42, 1e-30, 0.1, 1e35], np.float32)
    sf.write(tmp_path / "mono.wav", x, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(io.read(tmp_path / "mono.wav")[0], x)
    sf.write(tmp_path / "many.wav", np.full((10, 1000), 9e35), 8000, subtype="FLOAT")
    np.testing.assert_allclose(io.read(tmp_path / "many.wav")[0], 9e35, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(odd_files.KINDS))
def test_every_format_reads_as_libsndfile_reads_it_whole(odd, name):
    x, rate = sf.read(odd[0] / name, dtype="float32")
    y, own = io.read(odd[0] / name)
    assert own == rate
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("name", ["ima.wav", "gsm.wav", "flac16.flac", "vorbis.ogg", "mp3.mp3"])
def test_small_reads_do_not_upset_decoders(odd, name):
    about = io.info(odd[0] / name)
    x = np.concatenate(list(io._frames(about, 777)))[:, 0]
    np.testing.assert_array_equal(x, sf.read(odd[0] / name, dtype="float32")[0])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 5000),
    own=st.sampled_from([8000, 11025, 44100]),
    rate=st.sampled_from([None, 7999, 8000, 16000, 48000]),
    channel=st.sampled_from(["mix", "all", 1]),
    size=st.floats(1e-3, 1.0),
    overlap=st.sampled_from([0, 0, 0.3, 0.9]),
    step=st.integers(1, 3000),
)
def test_blocks_put_together_are_the_whole(
    tmp_path_factory, n, own, rate, channel, size, overlap, step
):
    path = tmp_path_factory.getbasetemp() / "law.wav"
    x = np.random.default_rng(n).uniform(-1, 1, (n, 3)).astype(np.float32)
    sf.write(path, x, own, subtype="FLOAT")
    whole, _ = io.read(path, rate, channel)
    length, shared = round(size * (rate or own)), round(size * overlap * (rate or own))
    shared = min(shared, length - 1)
    frames = io._frames
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "_frames", lambda about, _: frames(about, step))
        parts = list(io.blocks(path, size, rate, channel, shared / (rate or own)))
    assert all(part.shape[-1] == length for part in parts[:-1])
    assert parts[-1].shape[-1] <= length
    kept = [parts[0], *(part[..., shared:] for part in parts[1:])]
    assert all(part.shape[-1] > 0 for part in kept)
    np.testing.assert_array_equal(np.concatenate(kept, -1), whole)
    if rate is not None:
        mixed = whole if channel == "all" else whole[None]
        base = x.T if channel == "all" else x.T[1:2] if channel == 1 else None
        if base is not None:
            np.testing.assert_array_equal(mixed, io.resample(base, own, rate))


def test_a_long_stream_equals_the_whole_resampled(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, 1_000_000).astype(np.float32)
    sf.write(tmp_path / "long.wav", x, 44100, subtype="FLOAT")
    whole, _ = io.read(tmp_path / "long.wav", 16000)
    np.testing.assert_array_equal(whole, soxr.resample(x, 44100, 16000))


def test_blocks_do_not_hold_on_to_what_they_are_cut_from(noise):
    for block in io.blocks(noise[0], 0.01, channel="all"):
        assert block.flags.c_contiguous
        base = block if block.base is None else block.base
        assert base.nbytes <= 2 * 441 * 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's account of memory")
def test_memory_does_not_grow_with_the_file(tmp_path):
    with sf.SoundFile(tmp_path / "long.wav", "w", 48000, 2, "PCM_16") as file:
        for _ in range(100):
            file.write(np.zeros((480_000, 2), np.int16))  # 1000 s, 384 MB as float32
    code = """
import resource, sys
from sepaudio import io
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
first = None
for block in io.blocks(sys.argv[1], 1.0, 8000):
    first = first or peak()
print(peak() - first)
"""
    assert int(python(code, tmp_path / "long.wav")) < 20_000  # [KiB]


def test_faults_of_the_header_come_with_the_call(odd, noise):
    with pytest.raises(io.AudioError, match="is text"):
        io.blocks(odd[0] / "text.wav", 1.0)
    bad = io.blocks(odd[0] / "nan.wav", 0.1)
    with pytest.raises(io.AudioError, match="is nan"):
        list(bad)
    with pytest.raises(ValueError, match=r"seconds=1e-06: expected at least one sample at 44100"):
        io.blocks(noise[0], 1e-6)
    with pytest.raises(ValueError, match=r"overlap=1.0: expected 0 or more; use less than sec"):
        io.blocks(noise[0], 1.0, overlap=1.0)
    with pytest.raises(ValueError, match=r"overlap=-1: expected 0 or more"):
        io.blocks(noise[0], 1.0, overlap=-1)


def test_one_sample_stays_one_sample_at_a_lower_rate(odd):
    x, _ = io.read(odd[0] / "one_sample_384000.wav", 8000)
    np.testing.assert_array_equal(x, io.read(odd[0] / "one_sample_384000.wav")[0])
    assert [len(b) for b in io.blocks(odd[0] / "one_sample_384000.wav", 1.0, 8000)] == [1]


def test_resample_is_soxr_for_any_shape():
    x = np.random.default_rng(0).standard_normal((2, 3, 4410))
    y = io.resample(x, 44100, 16000)
    assert (y.shape, y.dtype) == ((2, 3, 1600), np.float64)
    np.testing.assert_array_equal(y[1, 2], soxr.resample(x[1, 2], 44100, 16000))
    assert io.resample(x.astype(np.float32), 44100, 8000).dtype == np.float32
    assert io.resample(x, 8000, 8000) is x
    assert io.resample(x[..., :1], 44100, 8000).shape == (2, 3, 1)


@pytest.mark.parametrize(("own", "rate"), [(44100, 16000), (8000, 48000), (7999, 8000)])
def test_resample_keeps_a_tone_and_removes_what_would_fold(own, rate):
    t, u = np.arange(own) / own, np.arange(rate) / rate
    y = io.resample(np.sin(2 * np.pi * 1000 * t), own, rate)
    middle = slice(rate // 10, -rate // 10)
    wanted = np.sin(2 * np.pi * 1000 * u)
    assert np.abs(y - wanted)[middle].max() < 1e-4
    if own == 44100:
        high = io.resample(np.sin(2 * np.pi * 12000 * t), own, rate)
        assert np.abs(high[middle]).max() < 1e-4


def test_resample_refuses_what_is_no_sound():
    with pytest.raises(io.AudioError, match=r"x is int64 of shape \[3\]: expected float32 or"):
        io.resample(np.arange(3), 8000, 16000)
    with pytest.raises(io.AudioError, match=r"of shape \[2, 0\]: expected .*T > 0"):
        io.resample(np.zeros((2, 0)), 8000, 16000)
    with pytest.raises(io.AudioError, match=r"to_rate=0: expected 1 to 768000 Hz"):
        io.resample(np.zeros(3), 8000, 0)


def test_standard_input_can_be_read_again_and_is_named(noise, odd, monkeypatch):
    stream = SimpleNamespace(buffer=std_io.BytesIO(noise[0].read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert io.info("-").n_samples == 88200
    np.testing.assert_array_equal(io.read("-", channel="all")[0], noise[1])
    assert sum(len(block) for block in io.blocks("-", 0.3)) == 88200
    for name, text in {
        "nan.wav": r"^<stdin> the sample at 0.25 s is nan",
        "empty.wav": r"^<stdin> is empty \(0 bytes\): expected a file",
        "movie.m4a": r"^<stdin> cannot be read .* convert it: ffmpeg -i - -f wav -$",
    }.items():
        stream = SimpleNamespace(buffer=std_io.BytesIO((odd[0] / name).read_bytes()))
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(io.AudioError, match=text):
            io.read("-")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of any bytes")
def test_names_that_are_no_text(noise):
    path = noise[0].with_name(os.fsdecode(b"\xff.wav"))
    noise[0].rename(path)
    np.testing.assert_array_equal(io.read(path, channel="all")[0], noise[1])
    io.write(path, noise[1], 8000)
    assert io.info(path).sample_rate == 8000
    path.write_bytes(b"")
    with pytest.raises(io.AudioError, match=r"udcff.wav is empty") as caught:
        io.info(path)
    str(caught.value).encode()


def test_find_refuses_folders_without_audio(odd, tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(io.AudioError, match=r"holds no file .*: expected files of .*\.wav.*below"):
        io.find(tmp_path)
    assert io.find(["-", "gone.wav"]) == [Path("-"), Path("gone.wav")]
    assert io.find(odd[0] / "deep" / "er") == [odd[0] / "deep" / "er" / "inside.wav"]


def test_import_is_cheap():
    code = "import sys; import sepaudio.io; print({'soundfile', 'soxr', 'torch'} & {*sys.modules})"
    assert python(code) == "set()\n"
