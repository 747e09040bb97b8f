"""Losses and figures against asteroid, torchmetrics and mir_eval, to a thousandth of a dB."""

import importlib.util
import warnings
from pathlib import Path

import laws
import numpy as np
import pytest
import torch

from sepaudio import doors, io, losses, metrics

pytestmark = pytest.mark.oracle
SPEECH = Path(__file__).parent.parent.parent / "samples" / "speech.flac"
KINDS = {
    "snr": (losses.neg_snr, metrics.snr, False),
    "sisdr": (losses.neg_si_sdr, metrics.si_sdr, False),
    "sisnr": (losses.neg_si_snr, metrics.si_snr, True),
}


def theirs(name):
    """A package by its door, or a skip where it is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return getattr(doors, name)() if hasattr(doors, name) else __import__(name)


@pytest.fixture(scope="module")
def speech():
    """Source and three estimates [4, T] at 16 kHz: noisy, filtered, and both."""
    source = io.read(SPEECH, 16000)[0].astype(np.float64)
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, len(source)))
    filtered = np.convolve(source, [0.6, 0.3, -0.2, 0.1])[: len(source)]
    return np.stack([source, source + noise[0], filtered + 0.01 * noise[1], filtered - noise[0]])


@pytest.mark.parametrize("kind", KINDS)
def test_pairwise_losses_equal_asteroid(kind):
    theirs("asteroid")
    from asteroid.losses.sdr import PairwiseNegSDR

    loss, figure, centred = KINDS[kind]
    sources = laws.noise(3, 4, 5000) + 0.3
    estimates = sources.flip(1) + laws.noise(3, 4, 5000, seed=1) - 0.2
    name = "snr" if kind == "snr" else "sisdr"
    pairs = PairwiseNegSDR(name, zero_mean=centred, EPS=0)(estimates, sources)
    for j in range(4):
        for i in range(4):
            ours = loss(estimates[:, j], sources[:, i], None)
            assert (ours - pairs[:, j, i]).abs().max() < 1e-6
            found = -figure(estimates[:, j], sources[:, i])
            assert found == pytest.approx(pairs[:, j, i].numpy(), abs=1e-6)


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy")  # asteroid's
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_pit_equals_asteroid(n):
    theirs("asteroid")
    from asteroid.losses import PITLossWrapper, pairwise_neg_sisdr

    sources = laws.noise(5, n, 800)
    orders = torch.stack([torch.randperm(n) for _ in range(5)])
    estimates = losses.reorder(sources, orders) + 2 * laws.noise(5, n, 800, seed=1)
    wrapped = PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx")
    value, reordered = wrapped(estimates, sources, return_est=True)
    ours, order = losses.pit(estimates, sources)
    assert ours.mean().item() == pytest.approx(value.item(), abs=1e-6)
    assert torch.equal(losses.reorder(estimates, order), reordered)


def test_figures_equal_torchmetrics(speech):
    functional = theirs("torchmetrics").functional.audio
    source, estimates = torch.from_numpy(speech[:1]), torch.from_numpy(speech[1:])
    for estimate in estimates:
        given = (estimate[None], source)
        for ours, found in (
            (metrics.si_snr, functional.scale_invariant_signal_noise_ratio),
            (metrics.si_sdr, functional.scale_invariant_signal_distortion_ratio),
            (metrics.snr, functional.signal_noise_ratio),
        ):
            expected = found(*given).item()
            assert ours(*given)[0] == pytest.approx(expected, abs=1e-3)


def test_pit_equals_torchmetrics():
    functional = theirs("torchmetrics").functional.audio
    sources = laws.noise(6, 3, 400)
    estimates = sources.roll(1, 1) + laws.noise(6, 3, 400, seed=1)
    value, order = functional.permutation_invariant_training(
        estimates, sources, functional.scale_invariant_signal_noise_ratio, eval_func="max"
    )
    ours, ours_order = losses.pit(estimates, sources)
    laws.close(-ours, value, 1e-6)
    assert torch.equal(ours_order, order)


def test_sdr_equals_mir_eval(speech):
    theirs("torchmetrics")
    separation = pytest.importorskip("mir_eval").separation
    for estimate in speech[1:]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # 0.9 drops it; the bound is below
            expected = separation.bss_eval_sources(speech[:1], estimate[None])[0][0]
        assert metrics.sdr(estimate, speech[0]) == pytest.approx(expected, abs=1e-3)


def test_pesq_and_stoi_are_called_the_right_way_round(speech):
    pesq, pystoi = theirs("pesq"), theirs("pystoi")
    for estimate in speech[1:]:
        found = metrics.pesq(estimate, speech[0], 16000)
        assert found == pytest.approx(pesq.pesq(16000, speech[0], estimate, "wb"))
        assert found != pytest.approx(pesq.pesq(16000, estimate, speech[0], "wb"))
        slow, source = (io.resample(x, 16000, 8000) for x in (estimate, speech[0]))
        assert metrics.pesq(slow, source, 8000) == pytest.approx(
            pesq.pesq(8000, source, slow, "nb")
        )
        for extended in (False, True):
            expected = pystoi.stoi(speech[0], estimate, 16000, extended=extended)
            assert metrics.stoi(estimate, speech[0], 16000, extended) == pytest.approx(expected)
