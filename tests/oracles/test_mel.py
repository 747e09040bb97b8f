"""The front-ends against librosa, torchaudio and python_speech_features."""

import librosa
import numpy as np
import pytest
import python_speech_features as psf
import torch

from sepaudio import doors
from sepaudio.frontends import MFCC, STFT, Deltas, LogMel, deltas, mel_cfg, mel_filters

pytestmark = pytest.mark.oracle
RATES = [8000, 16000, 22050, 44100]


def signal(sample_rate, seconds=1.2):
    """Noise, a gliding tone with harmonics, a click and 0.2 s of digital silence; float64."""
    rng = np.random.default_rng(0)
    t = np.arange(int(sample_rate * seconds) + 13) / sample_rate
    x = 0.05 * rng.standard_normal(len(t))
    for k in range(1, 5):
        x += 0.2 / k * np.sin(2 * np.pi * k * (200 * t + 100 * t**2))
    x[len(t) // 3] += 0.9
    x[len(t) // 2 : len(t) // 2 + sample_rate // 5] = 0
    return x


def agree(ours, theirs, limit):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= limit * theirs.std()


def test_agree_can_fail():
    with pytest.raises(AssertionError):
        agree(torch.ones(3), np.array([1.0, 1.0, 1.1]), 1e-4)


@pytest.mark.parametrize("dtype, limit", [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("n_mfcc, n_mels, lifter", [(20, 32, 22), (13, 26, 0), (12, 40, 10)])
def test_psf_mfcc(sample_rate, dtype, limit, n_mfcc, n_mels, lifter):
    x = signal(sample_rate)
    cfg = mel_cfg("psf", sample_rate, n_mfcc=n_mfcc, n_mels=n_mels, lifter=float(lifter))
    theirs = psf.mfcc(x, sample_rate, numcep=n_mfcc, nfilt=n_mels, nfft=cfg.n_fft, ceplifter=lifter)
    agree(MFCC(cfg).to(dtype)(torch.tensor(x, dtype=dtype)), theirs.T, limit)


@pytest.mark.parametrize("changes", [{"energy": False}, {"preemphasis": 0.9}, {"f_min": 100.0}])
def test_psf_options(changes):
    x = signal(16000)
    theirs = psf.mfcc(
        x, 16000, numcep=20, nfilt=32, nfft=512, appendEnergy=changes.get("energy", True),
        preemph=changes.get("preemphasis", 0.97), lowfreq=changes.get("f_min", 0),
    )  # fmt: skip
    agree(MFCC(mel_cfg("psf", 16000, **changes)).double()(torch.tensor(x)), theirs.T, 1e-10)


@pytest.mark.parametrize("n", [1, 399, 400, 401, 560, 561])
def test_psf_short_signals(n):
    x = signal(16000)[:n]
    theirs = psf.mfcc(x, 16000, numcep=20, nfilt=32, nfft=512)
    agree(MFCC(mel_cfg("psf", 16000)).double()(torch.tensor(x)), theirs.T, 1e-10)


@pytest.mark.parametrize("sample_rate", RATES)
def test_psf_log_mel_of_the_teacher(sample_rate):
    x, cfg = signal(sample_rate), mel_cfg("psf", sample_rate, n_mels=64)
    theirs = psf.logfbank(x, sample_rate, nfilt=64, nfft=cfg.n_fft)
    agree(LogMel(cfg).double()(torch.tensor(x)), theirs.T, 1e-10)


@pytest.mark.parametrize("sample_rate", RATES)
def test_librosa_presets(sample_rate):
    x = signal(sample_rate)
    cfg = mel_cfg("librosa", sample_rate)
    bands = librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=sample_rate))
    agree(LogMel(cfg).double()(torch.tensor(x)), bands, 1e-6)  # its filters are float32
    agree(LogMel(cfg)(torch.tensor(x).float()), bands, 1e-4)
    cepstra = librosa.feature.mfcc(y=x, sr=sample_rate, lifter=22)
    cfg = mel_cfg("librosa", sample_rate, lifter=22.0)
    agree(MFCC(cfg).double()(torch.tensor(x)), cepstra, 1e-6)
    agree(MFCC(cfg)(torch.tensor(x).float()), cepstra, 1e-4)


@pytest.mark.parametrize("power, top_db", [(1, None), (2, None), (2, 40.0), (1, 60.0)])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_librosa_options(power, top_db, pad_mode):
    x = signal(16000)
    spec = librosa.feature.melspectrogram(
        y=x, sr=16000, n_fft=512, hop_length=160, win_length=400, window="hamming", n_mels=40,
        power=power, htk=True, norm=None, fmin=50, fmax=7000, pad_mode=pad_mode,
    )  # fmt: skip
    to_db = librosa.power_to_db if power == 2 else librosa.amplitude_to_db
    cfg = mel_cfg(
        "librosa", 16000, n_fft=512, hop=160, window_length=400, window="hamming", n_mels=40,
        power=power, mel_scale="htk", mel_norm="peak", f_min=50.0, f_max=7000.0, top_db=top_db,
        pad_mode=pad_mode, floor=1e-5,
    )  # fmt: skip
    agree(LogMel(cfg).double()(torch.tensor(x)), to_db(spec, amin=1e-5, top_db=top_db), 1e-6)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("htk", [False, True])
def test_librosa_filters(sample_rate, htk):
    for norm, f_min, f_max in [("slaney", 0.0, None), (None, 60.0, 3000.0)]:
        theirs = librosa.filters.mel(
            sr=sample_rate, n_fft=1024, n_mels=50, fmin=f_min, fmax=f_max, htk=htk, norm=norm,
            dtype=np.float64,
        )  # fmt: skip
        scale = "htk" if htk else "slaney"
        ours = mel_filters(sample_rate, 1024, 50, f_min, f_max, scale, norm or "peak")
        assert np.abs(ours - theirs).max() <= 1e-12 * theirs.max()


@pytest.mark.parametrize("nfilt, nfft", [(26, 512), (64, 512), (80, 256)])
def test_psf_filters(nfilt, nfft):
    theirs = psf.get_filterbanks(nfilt, nfft, 16000)  # 80 in 256 leave some empty
    ours = mel_filters(16000, nfft, nfilt, scale="htk_floored", norm="peak")
    assert np.abs(ours - theirs).max() < 1e-12


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
@pytest.mark.parametrize("n_fft, hop, size", [(512, 160, 400), (400, 100, 400), (511, 128, 301)])
def test_librosa_stft(window, n_fft, hop, size):
    x = signal(8000)
    options = {"n_fft": n_fft, "hop_length": hop, "win_length": size, "window": window}
    for pad_mode in ("constant", "reflect"):
        theirs = librosa.stft(x, pad_mode=pad_mode, **options)
        ours = STFT(n_fft, hop, size, window, pad_mode=pad_mode).double()
        agree(ours(torch.tensor(x)), theirs, 1e-12)
    back = librosa.istft(theirs, length=len(x), **options)
    agree(ours.inverse(torch.tensor(theirs), len(x)), back, 1e-12)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.filterwarnings("ignore:At least one mel filterbank:UserWarning")
def test_torchaudio_presets(sample_rate):
    torchaudio = doors.torchaudio()
    x = torch.tensor(signal(sample_rate)).float()
    theirs = torchaudio.transforms.MFCC(sample_rate)
    agree(MFCC(mel_cfg("torchaudio", sample_rate))(x), theirs(x), 1e-4)
    bands = theirs.amplitude_to_DB(theirs.MelSpectrogram(x))
    agree(LogMel(mel_cfg("torchaudio", sample_rate))(x), bands, 1e-4)


@pytest.mark.parametrize("center", [True, False])
def test_torchaudio_options(center):
    torchaudio = doors.torchaudio()
    x = torch.tensor(signal(16000)).float()
    options = {"n_fft": 512, "hop_length": 160, "n_mels": 40}
    theirs = torchaudio.transforms.MFCC(
        16000, 13, log_mels=True, melkwargs={**options, "center": center}
    )
    cfg = mel_cfg(
        "torchaudio", 16000, n_fft=512, hop=160, window_length=512, n_mels=40, n_mfcc=13,
        center=center, log="ln", floor=1e-6,
        floor_rule="add", top_db=None,
    )  # fmt: skip
    agree(MFCC(cfg)(x), theirs(x), 1e-4)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_deltas(width):
    x = np.random.default_rng(0).standard_normal((7, 40))
    ours = deltas(torch.tensor(x), width)
    agree(ours, psf.delta(x.T, width).T, 1e-12)
    agree(ours, librosa.feature.delta(x, width=2 * width + 1, mode="nearest"), 1e-12)
    torchaudio = doors.torchaudio()
    agree(ours, torchaudio.functional.compute_deltas(torch.tensor(x), 2 * width + 1), 1e-12)
    stacked = Deltas(width)(torch.tensor(x))
    agree(stacked[14:], psf.delta(psf.delta(x.T, width), width).T, 1e-12)


@pytest.mark.parametrize("width, order", [(2, 2), (4, 2), (4, 3)])
def test_deltas_of_higher_order(width, order):
    x = np.random.default_rng(0).standard_normal((7, 40))
    theirs = librosa.feature.delta(x, width=2 * width + 1, order=order, mode="nearest")
    agree(deltas(torch.tensor(x), width, order), theirs, 1e-11)
    agree(Deltas(width, order, "savgol")(torch.tensor(x))[-7:], theirs, 1e-11)
