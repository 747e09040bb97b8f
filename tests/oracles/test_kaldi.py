"""Kaldi's features against torchaudio's compliance module and against Kaldi's rules."""

import numpy as np
import pytest
import torch

from sepaudio import doors
from sepaudio.frontends import (
    KaldiMFCC,
    kaldi_cfg,
    kaldi_deltas,
    subtract_sliding_mean,
    voiced_frames,
)

pytestmark = pytest.mark.oracle


def signal(n, seed=0):
    """Noise with a gliding tone, a pause and an offset."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    x = 0.02 * rng.standard_normal(n) + 0.2 * np.sin(1e-5 * t**2 + 0.1 * t) + 0.01
    x[n // 2 : n // 2 + n // 5] *= 1e-3
    return torch.tensor(x, dtype=torch.float32)


def theirs_of(x, cfg):
    kaldi = doors.torchaudio().compliance.kaldi
    return kaldi.mfcc(
        cfg.scale * x[None], sample_frequency=cfg.sample_rate, num_ceps=cfg.n_mfcc,
        num_mel_bins=cfg.n_mels, low_freq=cfg.f_min, high_freq=cfg.f_max, use_energy=True,
        snip_edges=False, dither=0.0, energy_floor=0.0,
    ).T  # fmt: skip


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("seconds", [0.026, 0.1, 0.335, 1.0, 7.123])
def test_cepstra(rate, seconds):
    cfg, x = kaldi_cfg(rate), signal(round(rate * seconds))
    ours, theirs = KaldiMFCC(cfg)(x[None])[0], theirs_of(x, cfg)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.std()


def test_the_cepstra_of_a_padded_batch_are_those_of_its_recordings():
    cfg, lengths = kaldi_cfg(8000), torch.tensor([9000, 4321, 333, 40])
    x = torch.stack([signal(9000, seed) for seed in range(4)])
    y = KaldiMFCC(cfg)(x, lengths)
    for i, n in enumerate(lengths.tolist()):
        frames = (n + 40) // 80
        if n >= 200:
            theirs = theirs_of(x[i, :n], cfg)
            assert (y[i, :, :frames] - theirs).abs().max() <= 1e-4 * theirs.std()
        assert not y[i, :, frames:].any()
        assert torch.isfinite(y[i]).all()


def test_a_recording_shorter_than_a_frame_is_mirrored_as_often_as_needed():
    x = signal(50).double()
    there_and_back = torch.cat([x, x.flip(0)])
    mfcc = KaldiMFCC(kaldi_cfg(8000)).double()
    long = mfcc(there_and_back.repeat(20)[None])  # 25 periods of 80: frame 25 starts where 0 does
    torch.testing.assert_close(mfcc(x[None])[0, :, 0], long[0, :, 10], rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_deltas_are_kaldis(n):
    x = np.random.default_rng(0).standard_normal((4, n))
    first = np.arange(-3, 4) / 28
    second = np.convolve(first, first)
    wanted = [x]
    for kernel in (first, second):
        reach, y = len(kernel) // 2, np.zeros_like(x)
        for t in range(n):
            for i, weight in enumerate(kernel):
                y[:, t] += weight * x[:, min(max(t + i - reach, 0), n - 1)]
        wanted.append(y)
    padded = torch.tensor(np.stack([np.pad(x, ((0, 0), (0, 7))), np.ones((4, n + 7))]))
    ours = kaldi_deltas(padded, torch.tensor([n, n + 7]))
    torch.testing.assert_close(ours[0, :, :n], torch.tensor(np.concatenate(wanted)))
    assert ours[1, 4:].abs().max() < 1e-12
    slope = doors.torchaudio().functional.compute_deltas
    theirs = slope(slope(torch.tensor(x), 7), 7)[:, 6 : n - 6]  # the same away from the ends
    if n > 12:
        torch.testing.assert_close(ours[0, 8:, 6 : n - 6], theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 299, 300, 301, 1000])
@pytest.mark.parametrize("window", [300, 51])
def test_sliding_mean(n, window):
    x = torch.tensor(np.random.default_rng(0).standard_normal((3, n)) + 5)
    theirs = doors.torchaudio().functional.sliding_window_cmn(x.T, window, center=True).T
    padded = torch.nn.functional.pad(x, (0, 9), value=99.0)[None]
    ours = subtract_sliding_mean(padded, torch.tensor([n]), window)[0, :, :n]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("context, proportion", [(0, 0.6), (2, 0.6), (5, 0.12), (1, 1.0)])
def test_voiced_frames(context, proportion):
    rng = np.random.default_rng(0)
    energy = 10 + 6 * np.sin(np.arange(60) / 6) + rng.uniform(-1, 1, 60)
    wanted, line = [], 5.5 + 0.5 * energy.mean()
    for t in range(60):
        near = energy[max(t - context, 0) : t + context + 1]
        wanted.append(int((near > line).sum()) >= len(near) * proportion)
    padded = torch.tensor(np.stack([np.pad(energy, (0, 5), constant_values=99.0)] * 2))
    ours = voiced_frames(padded, torch.tensor([60, 0]), context=context, proportion=proportion)
    assert ours[0, :60].tolist() == wanted
    assert 0 < sum(wanted) < 60
    assert not ours[0, 60:].any()
    assert not ours[1].any()
