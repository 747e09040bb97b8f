"""The shipped extractor, separator and classifier of sounds on the real recordings in samples/."""

from pathlib import Path

import numpy as np
import pytest

import sepaudio
from sepaudio import hub, io, metrics
from sepaudio.cli import main
from sepaudio.verbs.enroll import enroll

SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 8000


def test_speech_over_music_is_both(tmp_path, capsys):
    voice, rate = io.read(SAMPLES / "speech.flac", channel=0)
    cello, _ = io.read(SAMPLES / "music_cello.flac", sample_rate=rate, channel=0)
    n = min(len(voice), len(cello))
    level = np.sqrt(np.mean(voice[:n] ** 2) / np.mean(cello[:n] ** 2))
    mixture = voice[:n] + 0.3 * level * cello[:n]
    x = np.concatenate([cello[: 4 * rate] * 0.3 * level, mixture, cello[: 4 * rate] * 0.3 * level])
    one = sepaudio.segment(x, rate, model="speech_over_music")
    heard = {
        name: sum(s.end - s.start for s in one.segments if s.label == name)
        for name in ("speech", "music")
    }
    assert heard["music"] > 0.7 * len(x) / rate
    assert 0.4 * n / rate < heard["speech"] < 1.4 * n / rate


def read(name):
    x, rate = io.read(SAMPLES / name, channel=0)
    return io.resample(x, rate, RATE)


@pytest.fixture(scope="module")
def extractor():
    return sepaudio.load("one_speaker")


def mixed(extractor, target, other, db):
    """What `extract` improves where a speaker talks over something, `db` louder [dB]."""
    n = min(len(target) // 2, len(other))
    known, target, other = target[n : 2 * n], target[:n], other[:n]
    gain = np.sqrt(np.mean(target**2) / np.mean(other**2)) * 10 ** (-db / 20)
    mixture = target + gain * other
    embedding = enroll([known], RATE, model=extractor).embedding
    estimate, rate = sepaudio.extract(mixture, RATE, embedding, model=extractor)
    assert rate == RATE
    return metrics.si_snr(estimate, target) - metrics.si_snr(mixture, target), estimate, target


def level_of(estimate, target):
    """How loud an estimate is beside what it is of [dB]."""
    return 10 * np.log10(np.mean(estimate**2) / np.mean(target**2) + 1e-20)


@pytest.mark.parametrize(
    ("other", "off"),
    [
        ("crying_baby.flac", 3),
        ("dishes.flac", 4),
        ("helicopter.flac", 3),
    ],
)
def test_a_speaker_comes_out_of_noise_as_loud_as_he_was(extractor, other, off):
    gain, estimate, target = mixed(extractor, read("speech.flac"), read(other), 0.0)
    assert gain > 2
    assert abs(level_of(estimate, target)) < off


def test_of_two_speakers_the_enrolled_one_comes_out(tmp_path, capsys):
    out = tmp_path / "one.wav"
    enrolled = ["--enroll", str(SAMPLES / "mixture_enrollment.flac")]
    with pytest.raises(SystemExit) as stopped:
        main(["extract", str(SAMPLES / "mixture.flac"), *enrolled, "-o", str(out)])
    assert stopped.value.code == 0
    estimate, rate = io.read(out, channel=0)
    mixture = read("mixture.flac")
    assert (rate, len(estimate)) == (RATE, len(mixture))
    assert np.isfinite(estimate).all()
    share = np.mean(estimate**2) / np.mean(mixture**2)
    assert 0.05 < share < 1.2  # neither silence nor something made up
    assert "enrolled" in capsys.readouterr().err


def test_a_crying_baby_is_named(capsys):
    """The clip is of the fold that was not trained on."""
    file = str(SAMPLES / "crying_baby.flac")
    with pytest.raises(SystemExit) as stopped:
        main(["classify", "--model", "esc10", file, "--format", "csv"])
    assert stopped.value.code == 0
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert line.split(",")[1] == "crying_baby"


def test_no_clip_of_the_fold_that_tests_was_trained_on():
    about = hub.read_config(hub.SHIPPED / "esc10")
    data = about["recipe"]["data"]
    assert (data["fold"], data["folds"]) == (5, "official")
    assert "Sampling" in data["refused_licenses"] and "NC" in data["refused_licenses"]
