"""Classification of arrays and files: how windows are summed up, and what is refused."""

import numpy as np
import pytest
import torch

import sepaudio
from sepaudio import io, registry
from sepaudio.verbs import classify as verb
from sepaudio.verbs.classify import Classification, classify, classify_files


class Loudness(torch.nn.Module):
    """Says "loud" with a probability of the window's mean square."""

    task = "classification"
    labels, sample_rate = ("quiet", "loud"), 100

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def clip(self, x, lengths=None):
        total = x.square().sum(-1)
        mean = total / (x.shape[-1] if lengths is None else lengths)
        mean = mean.clamp(1e-6, 1 - 1e-6)
        return torch.stack([(1 - mean).log(), mean.log()], dim=-1)


@pytest.fixture
def net():
    return Loudness()


def test_windows_are_weighted_by_the_time_they_alone_cover(net):
    x = np.concatenate([np.full(200, 0.5), np.full(200, 0.9), np.full(100, 0.1)])
    result = classify(x, 100, model=net)
    last = (100 * 0.81 + 100 * 0.01) / 200  # the last two seconds decide the last one
    expected = (200 * 0.25 + 200 * 0.81 + 100 * last) / 500
    assert result.probabilities["loud"] == pytest.approx(expected, rel=1e-5)
    assert result.seconds == 5


def test_silent_windows_are_not_asked(net):
    x = np.concatenate([np.zeros(200), np.full(200, 0.9)])
    result = classify(x, 100, model=net)
    assert result.probabilities["loud"] == pytest.approx(0.81, rel=1e-5)
    assert result.silence == 0.5


def test_a_pause_does_not_count_wherever_it_stands(net):
    loud, pause = np.full(200, 0.9), np.full(200, 0.004)
    for x in (np.r_[loud, pause], np.r_[pause, loud]):
        result = classify(x, 100, model=net)
        assert result.probabilities["loud"] == pytest.approx(0.81, rel=1e-5)
        assert result.silence == 0.5
    assert classify(pause, 100, model=net).silence == 0


def test_silence_has_its_own_label(net):
    result = classify(np.zeros(500), 100, model=net)
    assert result == Classification(label="silence", silence=1.0, seconds=5.0)


@pytest.mark.parametrize("length", [1, 7, 199, 200, 201, 12_801, 30_000])
def test_a_file_gives_what_its_array_gives(net, length, tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, length).astype(np.float32)
    io.write(tmp_path / "x.wav", x, 100)
    (one,) = classify_files([tmp_path / "x.wav"], model=net)
    other = classify(x, 100, model=net)
    assert one.probabilities == pytest.approx(other.probabilities, rel=1e-6)
    assert one.seconds == other.seconds == length / 100


def test_any_rate_and_channels_are_taken_as_documented():
    model = registry.create("swishnet_test").eval()
    x = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32) * 0.1
    stereo = classify(x, 1000, model=model)
    mono = classify(x.mean(axis=0), 1000, model=model)
    assert stereo == mono
    high = classify(io.resample(x, 1000, 44100), 44100, model=model)
    assert high.probabilities["speech"] == pytest.approx(mono.probabilities["speech"], abs=0.02)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros(0, np.float32), "x has no samples"),
        (np.zeros((2, 0), np.float32), "x has no samples"),
        (np.zeros((0, 5), np.float32), "x has no samples"),
        (np.zeros((5, 2), np.float32), r"x has shape \[5, 2\]: expected \[C, T\]; pass x.T"),
        (np.zeros((1, 2, 3), np.float32), r"x has shape \[1, 2, 3\]: expected \[T\]"),
        (np.array([0.0, np.nan]), "x has NaN or infinite samples"),
        (np.array([0.0, np.inf]), "x has NaN or infinite samples"),
        (np.zeros(5, np.int16), "x has dtype int16: expected floats"),
        (np.full(500, 32767.0), "samples reach 3.277e.04 at 0.0 s: expected full scale 1"),
    ],
)
def test_bad_arrays_are_refused(net, x, match):
    with pytest.raises(ValueError, match=match):
        classify(x, 100, model=net)


def test_a_bad_rate_window_or_device_is_refused(net):
    x = np.ones(10, np.float32)
    with pytest.raises(ValueError, match="sample_rate=0: expected Hz"):
        classify(x, 0, model=net)
    with pytest.raises(ValueError, match=r"window=0: expected seconds"):
        classify(x, 100, model=net, window=0)
    with pytest.raises(ValueError, match="device='gpu' is not usable here"):
        classify(x, 100, model=net, device="gpu")


def test_what_is_not_a_classifier_is_refused():
    with pytest.raises(ValueError, match="Linear does no job of ours: expected classification"):
        verb.resolve(torch.nn.Linear(1, 1))


def test_an_untrained_name_where_weights_are_needed_says_so():
    with pytest.raises(ValueError, match="'swishnet_slim' is an untrained architecture"):
        sepaudio.load("swishnet_slim")
    with pytest.raises(ValueError, match="no set of weights is called 'speech_musc_noise'; did"):
        sepaudio.load("speech_musc_noise")


def test_a_bad_file_is_a_result_and_the_rest_is_done(net, tmp_path):
    io.write(tmp_path / "good.wav", np.full(300, 0.9, np.float32), 100)
    (tmp_path / "bad.wav").write_text("no audio at all")
    paths = [tmp_path / "bad.wav", tmp_path / "missing.wav", tmp_path / "good.wav"]
    bad, missing, good = classify_files(paths, model=net)
    assert "text" in bad.error
    assert "does not exist" in missing.error
    assert (good.label, good.error) == ("loud", None)


# what weights get wrong, as their cards say; the default gets nothing wrong
MISSES = {"speech_music_noise": {}, "speech_music_noise_slim": {"singing.flac": "noise"}}


@pytest.mark.parametrize("weights", list(MISSES))
def test_the_shipped_models_hear_what_a_listener_hears(weights):
    import csv
    from pathlib import Path

    folder = Path(__file__).parent.parent / "samples"
    with (folder / "expected.csv").open() as file:
        expected = {row["file"]: row["label"] for row in csv.DictReader(file)}
    assert set(expected) == {path.name for path in folder.glob("*.flac")}
    found = {
        Path(result.file).name: result.label
        for result in classify_files([folder / name for name in expected], model=weights)
    }
    assert found == expected | MISSES[weights]
