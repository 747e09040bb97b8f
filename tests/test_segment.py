"""Timelines of arrays and files: where changes lie, what is silence, how it is smoothed."""

import csv
import io as text_io
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import odd_files
import pytest
import torch
from test_cli import call

import sepaudio
from sepaudio import io, registry
from sepaudio.context import WHOLE
from sepaudio.data import timeline
from sepaudio.data.timeline import Segment
from sepaudio.verbs import picture, smooth
from sepaudio.verbs import segment as verb
from sepaudio.verbs.segment import Heard, SegmentCfg, decide, hear, segment, segment_files

SAMPLES = Path(__file__).parent.parent / "samples"


class Late(torch.nn.Module):
    """Says of every 10 ms whether the mean of the second before was above zero: half a second late.

    Its answer is about as sure as the second is clear.
    """

    task, causal, channels, labels = "classification", True, None, ("low", "high")
    sample_rate, hop, seconds_per_frame = 1000, 10, 0.01

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, context=WHOLE):
        frames = context.frames(x, 10, 10)
        frames = frames.reshape(len(x), -1, 10).mean(-1) if frames.shape[-1] else frames
        if not frames.shape[-1]:
            return x.new_zeros(len(x), 2, 0)
        past = context.at("past").left(frames[:, None], 99)
        mean = torch.nn.functional.avg_pool1d(past, 100, 1)[:, 0]
        return torch.stack([-10 * mean, 10 * mean], dim=1)


@pytest.fixture
def net():
    return Late()


def steps(*values, seconds=4.0, rate=1000):
    return np.repeat(np.array(values, np.float32), round(seconds * rate))


def shape(one):
    return [(s.label, s.start, s.end) for s in one.segments]


def test_changes_lie_where_the_sound_changes(net):
    """A network that hears the past second is half a second late; the offset takes it back."""
    x = steps(0.5, -0.5, 0.5)
    one = segment(x, 1000, model=net, cfg=SegmentCfg(offset=0.5, switch=0.1))
    assert [s.label for s in one.segments] == ["high", "low", "high"]
    assert [s.end for s in one.segments] == pytest.approx([4, 8, 12], abs=0.03)
    late = segment(x, 1000, model=net, cfg=SegmentCfg(offset=0, switch=0.1))
    assert [s.end for s in late.segments][:2] == pytest.approx([4.5, 8.5], abs=0.03)


@pytest.mark.parametrize("weights", ["speech_music_noise", "speech_music_noise_slim"])
@pytest.mark.parametrize("other", ["music_cello", "helicopter"])
def test_the_shipped_networks_find_a_synthetic_switch(weights, other):
    """Speech and something else, there and back, without pauses: neither too late nor too soon."""
    rate = 16000

    def take(name, seconds):
        x = io.read(SAMPLES / f"{name}.flac", rate)[0][rate : round((1 + seconds) * rate)]
        return x / np.sqrt(np.mean(x**2)) * 0.05

    speech, sound = take("speech", 3.8), take(other, 3)
    one = segment(np.concatenate([speech, sound, speech, sound, speech]), rate, model=weights)
    assert len(one.segments) == 5
    errors = [s.end - t for s, t in zip(one.segments, (3.8, 6.8, 10.6, 13.6), strict=False)]
    assert max(map(abs, errors)) < 0.4
    assert abs(np.mean(errors)) < 0.15


def test_segments_cover_the_recording_without_gaps(net):
    x = np.random.default_rng(0).standard_normal(12_345).astype(np.float32) * 0.3
    one = segment(x, 1000, model=net, cfg=SegmentCfg(smoothing="none", min_duration=0))
    assert len(one.segments) > 5
    assert one.segments[0].start == 0
    assert one.seconds == 12.345
    assert all(a.end == b.start for a, b in pairwise(one.segments))
    assert all(a.label != b.label for a, b in pairwise(one.segments))


@pytest.mark.parametrize("length", [1, 9, 10, 11, 99, 19_999, 20_000, 20_001, 45_678])
def test_a_file_gives_what_its_array_gives(net, length, tmp_path):
    x = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    io.write(tmp_path / "x.wav", x, 1000)
    cfg = SegmentCfg(smoothing="none", min_duration=0)
    (one,) = segment_files([tmp_path / "x.wav"], model=net, cfg=cfg)
    assert one.segments == segment(x, 1000, model=net, cfg=cfg).segments
    assert one.seconds == length / 1000
    assert one.file == str(tmp_path / "x.wav")


def test_blocks_of_any_size_are_heard_alike():
    model = registry.create("swishnet_test").eval()
    x = np.random.default_rng(0).standard_normal(5000).astype(np.float32) * 0.1
    whole = hear(model, [x])
    parts = hear(model, np.split(x, [1, 17, 400, 401, 3333]))
    np.testing.assert_allclose(whole.probabilities, parts.probabilities, atol=1e-5)
    np.testing.assert_allclose(whole.power, parts.power, rtol=1e-6)
    frames = model(torch.from_numpy(x)[None]).softmax(1)[0].T.detach().numpy()
    np.testing.assert_allclose(whole.probabilities, frames, atol=1e-5)


def test_silence_is_below_an_absolute_or_a_relative_level(net):
    loud, hum, faint = 0.5, 0.004, 0.0003  # -6, -48 and -70.5 dB
    found = shape(segment(steps(loud, hum, loud), 1000, model=net))
    assert [name for name, *_ in found] == ["high", "silence", "high"]
    assert [end for *_, end in found] == pytest.approx([4, 8, 12], abs=0.06)
    assert shape(segment(steps(hum), 1000, model=net)) == [("high", 0, 4)]
    assert shape(segment(steps(faint), 1000, model=net)) == [("silence", 0, 4)]
    cfg = SegmentCfg(silence_db=-80)
    assert shape(segment(steps(faint), 1000, model=net, cfg=cfg)) == [("high", 0, 4)]


def test_a_short_pause_is_no_silence(net):
    x = steps(0.5, 0.5)
    x[3000:3400] = 0
    assert shape(segment(x, 1000, model=net)) == [("high", 0, 8)]
    x[3000:3900] = 0
    assert [s.label for s in segment(x, 1000, model=net).segments] == ["high", "silence", "high"]


def test_what_is_shorter_than_any_silence_may_be_silent(net):
    assert shape(segment(np.zeros(100), 1000, model=net)) == [("silence", 0, 0.1)]
    assert segment(np.zeros(100), 1000, model=net).segments[0].probability is None


def heard(chances, frame=0.1):
    chances = np.array(chances, np.float32)
    power = np.full(len(chances), 0.1, np.float32)
    names = tuple("abcd"[: chances.shape[1]])
    return Heard(
        probabilities=chances, power=power, labels=names, frame=frame, seconds=len(chances) * frame
    )


def test_the_probability_is_the_mean_of_the_label():
    one = decide(
        heard([[0.9, 0.1]] * 10 + [[0.7, 0.3]] * 10 + [[0.2, 0.8]] * 20),
        SegmentCfg(offset=0, switch=0.1),
    )
    assert one.segments == (
        Segment(start=0, end=2, label="a", probability=0.8),
        Segment(start=2, end=4, label="b", probability=0.8),
    )


def test_a_short_stretch_goes_to_the_likelier_neighbour():
    chances = [[0.8, 0.1, 0.1]] * 20 + [[0.2, 0.5, 0.3]] * 3 + [[0.1, 0.1, 0.8]] * 20
    cfg = SegmentCfg(offset=0, smoothing="none", min_duration=0.5)
    assert [s.end for s in decide(heard(chances), cfg).segments] == [2, 4.3]
    cfg = SegmentCfg(offset=0, smoothing="none", min_duration=0.3)
    assert [s.label for s in decide(heard(chances), cfg).segments] == ["a", "b", "c"]


def brute(chances, switch):
    """The best sequence of all."""
    from itertools import product

    evidence = np.log(chances)

    def worth(path):
        changes = sum(a != b for a, b in pairwise(path))
        return sum(evidence[i, k] for i, k in enumerate(path)) - switch * changes

    return worth, max(map(worth, product(range(chances.shape[1]), repeat=len(chances))))


@pytest.mark.parametrize("switch", [0.0, 0.3, 1.0, 3.0, 100.0])
def test_viterbi_finds_the_best_of_all_sequences(switch):
    chances = np.random.default_rng(1).dirichlet([1, 1, 1], 7).astype(np.float32)
    worth, best = brute(chances.astype(np.float64), switch)
    assert worth(smooth.viterbi(chances, switch).tolist()) == pytest.approx(best, rel=1e-6)


def test_median_and_hysteresis_do_what_they_are_called():
    x = np.random.default_rng(0).random((9000, 2)).astype(np.float32)
    found = smooth.median(x, 5)
    assert found[4097] == pytest.approx(np.median(x[4095:4100], axis=0))
    assert found[0] == pytest.approx(np.median(x[[0, 0, 0, 1, 2]], axis=0))
    lead = np.array([0.6, 0.45, 0.3, 0.55, 0.7], np.float32)
    chances = np.stack([lead, 1 - lead], axis=1)
    assert smooth.hysteresis(chances, 0.0).tolist() == [0, 1, 1, 0, 0]
    assert smooth.hysteresis(chances, 0.2).tolist() == [0, 0, 1, 1, 0]


def test_a_class_is_drawn_in_but_not_across_what_is_fixed():
    labels = np.repeat([0, 1, 0, 1, 2, 1], [5, 6, 5, 2, 5, 9])
    free = np.zeros(len(labels), bool)
    found = smooth.runs(smooth.drawn_in(labels, 1, 2, free))
    assert found == [(0, 7, 0), (7, 9, 1), (9, 17, 0), (17, 25, 2), (25, 32, 1)]
    fixed = free.copy()
    fixed[[6, 10, 22]] = True  # one frame in; at the end; before the beginning
    found = smooth.runs(smooth.drawn_in(labels, 1, 2, fixed))
    assert found == [(0, 6, 0), (6, 11, 1), (11, 17, 0), (17, 23, 2), (23, 32, 1)]
    fixed = free.copy()
    fixed[11] = True  # behind the end: it stays; the beginning moves
    assert smooth.runs(smooth.drawn_in(labels, 1, 2, fixed))[1] == (7, 11, 1)
    assert (smooth.drawn_in(labels, 1, 0, free) == labels).all()
    assert (smooth.drawn_in(np.ones(3, int), 1, 9, free[:3]) == 1).all()


@pytest.mark.parametrize("least", [1, 2, 5, 40])
def test_no_stretch_is_too_short_but_an_only_one(least):
    labels = np.random.default_rng(least).integers(0, 3, 300)
    found = smooth.runs(smooth.without_short(labels, least))
    assert len(found) == 1 or min(end - start for start, end, _ in found) >= least
    assert (found[0][0], found[-1][1]) == (0, 300)
    assert (smooth.without_short(labels, 1) == labels).all()


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"smoothing": "mean"}, "smoothing='mean': expected viterbi, median, none"),
        ({"switch": -1}, "switch=-1: expected 0 or more"),
        ({"offset": float("nan")}, "offset=nan: expected 0 or more"),
    ],
)
def test_bad_settings_are_refused(values, match):
    with pytest.raises(ValueError, match=match):
        SegmentCfg(**values)


def test_what_cannot_decide_every_frame_is_refused(net):
    with pytest.raises(
        ValueError, match="SpectrogramClassifier names whole clips: expected a causal"
    ):
        verb.resolve(registry.create("spectrogram_mobilenet"))
    with pytest.raises(ValueError, match=r"samples reach 3.277e.04 at 0.0 s: expected full scale"):
        segment(np.full(500, 32767.0), 1000, model=net)
    with pytest.raises(ValueError, match=r"x has shape \[5, 2\]: expected \[C, T\]"):
        segment(np.zeros((5, 2)), 1000, model=net)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to ask")
def test_long_files_do_not_fill_memory(tmp_path):
    """An hour more takes far less than its 230 MB of samples: three hours stay within 1 GB."""
    peaks = []
    for minutes in (1, 61):
        path = tmp_path / f"{minutes}.flac"
        x = np.random.default_rng(0).standard_normal(8000 * 60).astype(np.float32) * 0.05
        io.write(path, np.tile(x, minutes), 8000, "PCM_16")
        code = (
            "import re, sepaudio; [r] = sepaudio.segment_files([%r], "
            "model='speech_music_noise_slim'); assert not r.error and r.segments;"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code % str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 80  # [MB]


def rows(text):
    return list(csv.DictReader(text_io.StringIO(text)))


def test_a_folder_of_bad_and_odd_files(capfd, tmp_path):
    """No traceback, no NaN, the good ones done, each bad one a row with its error."""
    wanted = odd_files.make(tmp_path)
    wanted[tmp_path / "loud_1e30.wav"] = False  # readable, but no level a microphone gives
    slim = ("-m", "speech_music_noise_slim", "-q")
    code, out, err = call(capfd, "segment", *slim, *wanted)
    found = rows(out)
    assert code == 1
    assert "Traceback" not in out + err
    assert {row["file"] for row in found} == {str(path) for path in wanted}
    for row in found:
        good = wanted[Path(row["file"])]
        assert bool(row["label"]) == good, row
        assert bool(row["error"]) == (not good), row
        if good:
            assert 0 <= float(row["start_s"]) < float(row["end_s"])


def test_files_of_all_formats_hold_the_same(capfd, tmp_path):
    voice, noise = SAMPLES / "speech.flac", SAMPLES / "helicopter.flac"
    code, out, _ = call(capfd, "segment", voice, noise)
    assert code == 0
    assert [row["label"] for row in rows(out)] == ["speech", "noise"]
    (tmp_path / "x.csv").write_text(out)
    expected = [one.segments for one in timeline.read(tmp_path / "x.csv")]
    for name in ("x.jsonl", "x.rttm"):
        assert call(capfd, "segment", voice, noise, "-o", tmp_path / name) == (0, "", "")
        assert [one.segments for one in timeline.read(tmp_path / name)] == expected
    for format, suffix in (("textgrid", "TextGrid"), ("audacity", "txt")):
        call(capfd, "segment", voice, noise, "-o", tmp_path / "each", "-f", format)
        for path, segments in zip((voice, noise), expected, strict=True):
            (one,) = timeline.read(tmp_path / "each" / f"{path.stem}.{suffix}")
            assert one.segments == segments
    code, out, _ = call(capfd, "segment", voice, "--format", "audacity")
    assert out == (tmp_path / "each" / "speech.txt").read_text()


def test_nothing_is_overwritten_by_mistake(capfd, tmp_path):
    x = np.full(1600, 0.1, np.float32)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        io.write(tmp_path / folder / "x.wav", x, 16000)
    both = (tmp_path / "a" / "x.wav", tmp_path / "b" / "x.wav")
    out = tmp_path / "out"
    refused = [
        ((*both, "-f", "audacity", "-o", out), "would both be written to x.txt: rename one"),
        ((*both, "-f", "rttm"), "are both 'x' in RTTM"),
        ((*both, "-f", "textgrid"), "2 recordings: textgrid holds one; name a folder with -o"),
        ((*both, "--plot", tmp_path / "x.png"), "--plot with 2 recordings: expected one"),
        ((both[0], "-f", "csv", "-o", both[0]), "is one of the recordings: write elsewhere"),
        ((both[0], "-o", tmp_path / "x.xyz"), "ends with '.xyz': expected .csv, .jsonl"),
        ((both[0], "--switch", -1), "switch=-1.0: expected 0 or more"),
    ]
    for arguments, match in refused:
        code, _, err = call(capfd, "segment", *arguments)
        assert code == 2
        assert match in err
    out.mkdir()
    assert call(capfd, "segment", both[0], "-f", "audacity", "-o", out)[0] == 0
    code, _, err = call(capfd, "segment", both[0], "-f", "audacity", "-o", out)
    assert code == 2
    assert "pass --overwrite" in err
    assert call(capfd, "segment", both[0], "-f", "audacity", "-o", out, "--overwrite")[0] == 0
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["x.txt", "x.wav", "x.wav"]


def test_an_error_is_told_where_the_format_has_no_place_for_it(capfd, tmp_path):
    bad, out = tmp_path / "bad.wav", tmp_path / "out"
    bad.write_text("no audio at all")
    good = SAMPLES / "speech.flac"
    code, _, err = call(capfd, "segment", bad, good, "-f", "textgrid", "-o", out)
    assert code == 1
    assert "bad.wav is text" in err
    assert [path.name for path in out.iterdir()] == ["speech.TextGrid"]


def test_a_picture_sums_up_any_length_alike():
    x = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    x[100_000:] *= 0.1
    whole = picture.summary([x], len(x))
    parts = picture.summary(np.split(x, [1, 500, 512, 70_000]), len(x))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other)
    power, low, high = whole
    assert power.shape == (257, 1200)
    assert (low.min(), high.max()) == (x.min(), x.max())
    assert power[:, :600].mean() == pytest.approx(100 * power[:, 600:].mean(), rel=0.1)
    for length in (1, 100, 511, 513):
        assert all(np.isfinite(y).all() for y in picture.summary([x[:length]], length))


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")
def test_a_picture_is_drawn_of_one_recording(capfd, tmp_path):
    code, _, _ = call(
        capfd, "segment", SAMPLES / "mixture.flac", "--plot", tmp_path / "x.png", "-q"
    )
    assert code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    one = sepaudio.segment(np.zeros(100), 16000, model="speech_music_noise_slim")
    picture.draw(tmp_path / "y.svg", one, [np.zeros(100, np.float32)], 16000)
    assert "silence" in (tmp_path / "y.svg").read_text()
