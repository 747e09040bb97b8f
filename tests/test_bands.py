"""The multi-band picture, the learned transform and the cepstral picture."""

import copy
import json
import re
from dataclasses import asdict, replace

import laws
import numpy as np
import pytest
import torch

from sepaudio.frontends import (
    FBSP,
    Bands,
    BandsCfg,
    DeltaMFCC,
    Deltas,
    bands_cfg,
    mel_cfg,
    mel_filters,
    norm_penalty,
)
from sepaudio.frontends.stft import window_of

SMALL = BandsCfg(sample_rate=1000, n_fft=32, hop=9, window_length=26)


def sine(hz, n, sample_rate=44100):
    return torch.sin(2 * torch.pi * hz * torch.arange(n, dtype=torch.float64) / sample_rate)


@pytest.mark.parametrize("n, frames, learned", [(220500, 394, 392), (176400, 315, 313)])
def test_pictures_have_the_published_sizes(n, frames, learned):
    x = torch.zeros(1, n)
    for cfg, expected in (
        (BandsCfg(), frames),
        (bands_cfg("esresnet"), frames),
        (bands_cfg("esresnext_fbsp"), learned),
    ):
        front = Bands(cfg).to("meta")
        assert front(x.to("meta")).shape == (1, 3, 341, expected)
        assert front.frames(n) == expected


@pytest.mark.parametrize("preset", ["esresnet", "esresnext_fbsp"])
@pytest.mark.parametrize("channel, hz", [*enumerate([1000, 10000, 18000])])
def test_a_sine_lights_its_band(preset, channel, hz):
    front = Bands(bands_cfg(preset)).double()
    with torch.no_grad():
        y = front(0.5 * sine(hz, 8000))
    loudest = y[..., 7].amax(dim=-1)
    assert loudest.argmax() == channel
    assert loudest[channel] - loudest.sort().values[1] > 60
    # bins are counted from the bottom of each band
    row = y[channel, :, 7].argmax().item() + 341 * channel
    assert abs(row - hz * 2048 / 44100) < 0.51


def test_level_is_that_of_a_full_scale_sine():
    """A sine on a bin, by hand: (amplitude / 2 * sum of the window)^2 / n_fft."""
    window = window_of("blackman_harris", 1654)
    power = (0.5 * window.sum()) ** 2 / 2048
    y = Bands(BandsCfg()).double()(sine(100 * 44100 / 2048, 9000))
    assert abs(y[0, 100, 8].item() - 10 * np.log10(power)) < 0.01
    louder = Bands(BandsCfg(gain_db=90.3)).double()(sine(100 * 44100 / 2048, 9000))
    laws.close(louder, y + 90.3)
    scaled = Bands(BandsCfg(scale=10.0, floor=1e-8)).double()(sine(2000, 9000))
    laws.close(scaled, Bands(BandsCfg()).double()(sine(2000, 9000)) + 20, 1e-10)


def test_window_is_scipys():
    scipy = pytest.importorskip("scipy.signal")
    for n in (26, 1654):
        expected = scipy.get_window("blackmanharris", n, fftbins=True)
        assert np.abs(window_of("blackman_harris", n) - expected).max() < 1e-15


@pytest.mark.parametrize(
    "cfg, level",
    [(BandsCfg(), -100), (bands_cfg("esresnet"), -180), (bands_cfg("esresnext_fbsp"), None)],
)
def test_silence_is_finite_and_so_is_its_gradient(cfg, level):
    front = Bands(cfg)
    x = torch.zeros(1, 3000, requires_grad=True)
    y = front(x)
    assert torch.isfinite(y).all()
    if level is not None:
        assert (y - level).abs().max() < 1e-4
    y.mean().backward()
    assert torch.isfinite(x.grad).all()
    for parameter in front.parameters():
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("learned", [False, True])
def test_signals_of_a_batch_are_independent_and_any_rank_will_do(learned):
    front, x = Bands(replace(SMALL, learned=learned)).double(), laws.noise(2, 3, 200)
    y = front(x)
    assert y.shape == (2, 3, 3, 5, front.frames(200))
    for i in range(2):
        for j in range(3):
            laws.close(y[i, j], front(x[i, j]))


@pytest.mark.parametrize("learned", [False, True])
def test_frames_counts(learned):
    front = Bands(replace(SMALL, learned=learned))
    lengths = torch.arange(front.minimum_length, 130)
    for n, count in zip(lengths.tolist(), front.frames(lengths).tolist(), strict=True):
        assert front.frames(n) == count == front(torch.zeros(n)).shape[-1]
    stretched = Bands(replace(SMALL, learned=learned, resize=(4, 7)))
    assert stretched.frames(torch.tensor([0, 100])).tolist() == [0, 7]
    assert stretched(torch.zeros(2, 100)).shape == (2, 3, 4, 7)


def test_resize_interpolates_power_corner_on_corner():
    cfg = replace(SMALL, floor=1e-30)
    x = laws.noise(1, 200)
    power = 10 ** (Bands(cfg).double()(x) / 10)
    y = 10 ** (Bands(replace(cfg, resize=(9, 45))).double()(x) / 10)  # twice as fine
    laws.close(y[..., ::2, ::2], power, 1e-10)
    laws.close(y[..., 1::2, ::2], (power[..., 1:, :] + power[..., :-1, :]) / 2, 1e-10)


def test_padding_in_a_batch_changes_nothing():
    front = Bands(replace(SMALL, pad_mode="constant", shift=0.1)).double()
    lengths = torch.tensor([200, 133, 1])
    x = laws.noise(3, 200) * (torch.arange(200) < lengths[:, None])
    y = front(x, lengths)
    for row, n in enumerate(lengths.tolist()):
        laws.close(y[row, ..., : front.frames(n)], front(x[row, :n]), 1e-11)


@pytest.mark.parametrize("normalized", [True, False])
def test_learned_transform_starts_as_a_windowed_dft(normalized):
    front = FBSP(64, 16, 50, "blackman_harris", normalized).double()
    x = laws.noise(2, 50 + 5 * 16)
    window = torch.from_numpy(window_of("blackman_harris", 50))
    frames = x.unfold(-1, 50, 16) * window
    expected = torch.fft.fft(frames, 63).abs()[..., :33].transpose(-1, -2)
    laws.close(front(x).abs() * (8 if normalized else 1), expected, 1e-10)


def test_learned_transform_at_its_real_size():
    front = FBSP(2048, 561, 1654, "blackman_harris")
    assert sum(p.numel() for p in front.parameters()) == 3 * 1025
    assert (front.frames(220500), front.frames(1654), front.frames(1655)) == (392, 1, 2)
    laws.close(
        torch.linalg.vector_norm(front.wavelets(), dim=(0, 2)).detach() + torch.arange(1025),
        torch.arange(1025) + 1.0,
    )


def test_learned_transform_puts_half_of_the_zeros_on_either_side():
    front = FBSP(32, 9, 20, "rect").double()
    x = laws.noise(1, 34)  # three frames need 38
    laws.close(front(x), front(torch.nn.functional.pad(x, (2, 2))), 1e-12)
    laws.close(front(x[:, :33]), front(torch.nn.functional.pad(x[:, :33], (2, 3))), 1e-12)


def test_gradients_of_the_learned_transform_are_scaled_by_their_largest():
    x = laws.noise(1, 300)
    front = Bands(replace(SMALL, learned=True)).double()
    for parameter in front.parameters():
        parameter.data += 0.3 * torch.rand_like(parameter)
    for model in (front, copy.deepcopy(front)):
        loss = model(x).square().mean() + norm_penalty(model.transform)
        names = [name for name, _ in model.named_parameters()]
        plain = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        model.zero_grad()
        loss.backward()
        for name, parameter, gradient in zip(names, model.parameters(), plain, strict=True):
            assert parameter.grad.abs().max() == pytest.approx(1.0), name
            laws.close(parameter.grad, gradient / gradient.abs().max(), 1e-9)
    model.zero_grad()
    (0 * model(x)).sum().backward()
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_norm_penalty_is_zero_at_first_and_learns():
    front = FBSP(32, 9, 20, "hann")
    assert norm_penalty(front).item() < 1e-12
    front.bandwidth.data.fill_(4.0)
    assert norm_penalty(front).item() == pytest.approx(1.0, abs=1e-5)
    assert norm_penalty(FBSP(32, 9, 20, "hann", False)).item() < 1e-10


def test_negative_sines_take_a_complex_power():
    """Against Python's own complex numbers."""
    front = FBSP(16, 4, 16, "rect").double()
    front.order.data.fill_(0.7)
    front.bandwidth.data.fill_(1.9)
    time = np.pi * np.linspace(-1, 1, 16) + 1e-8
    arc = 1.9 * time / (0.7 + 1e-8)
    expected = [
        [
            np.sqrt(1.9) * complex(np.sin(a) / a) ** 0.7 * np.exp(-1j * k * t) / 4
            for a, t in zip(arc, time, strict=True)
        ]
        for k in range(9)
    ]
    laws.close(torch.complex(*front.wavelets()).detach(), torch.tensor(expected), 1e-10)


def test_the_three_colours_of_cepstra():
    cfg = mel_cfg("psf", 1000, n_mels=8, n_mfcc=5)
    front, x = DeltaMFCC(cfg).double(), laws.noise(2, 400)
    y = front(x)
    laws.close(y, Deltas(2, 2)(front.mfcc(x)))
    assert front.picture(y).shape == (2, 3, 5, front.frames(400))
    laws.close(front.picture(y)[:, 0], front.mfcc(x))


def test_padding_changes_no_slope():
    front = DeltaMFCC(mel_cfg("psf", 1000, n_mels=8, n_mfcc=5)).double()
    lengths = torch.tensor([400, 222, 30, 1])
    x = laws.noise(4, 400) * (torch.arange(400) < lengths[:, None])
    y = front(x, lengths)
    for row, n in enumerate(lengths.tolist()):
        laws.close(y[row, :, : front.frames(n)], front(x[row, :n]), 1e-11)


def test_cfg_is_json():
    for cfg in (SMALL, bands_cfg("esresnet"), bands_cfg("esresnext_fbsp")):
        values = json.loads(json.dumps(asdict(cfg)))
        assert BandsCfg(**{**values, "resize": tuple(values["resize"])}) == cfg


def test_autocast_leaves_the_front_end_alone():
    for learned in (False, True):
        front, x = Bands(replace(SMALL, learned=learned)), laws.noise(2, 100, dtype=torch.float32)
        expected = front(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(front(x), expected)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: BandsCfg(floor_rule="max"), "floor_rule='max': expected one of clamp, add, zero"),
        (lambda: BandsCfg(n_bands=0), "n_bands=0: expected 1 to n_fft // 2 + 1 = 1025"),
        (lambda: BandsCfg(resize=(3,)), "resize=(3,): expected (rows, frames), or () for none"),
        (lambda: bands_cfg("esc"), "preset='esc': expected one of esresnet, esresnext_fbsp"),
        (lambda: FBSP(32, 9, 33, "hann"), "hop=9, window_length=33, n_fft=32: expected"),
        (lambda: FBSP(32, 9, 20, "hann")(torch.zeros(0)), "a signal of 0 samples: expected"),
        (lambda: FBSP(32, 9, 20, "hann")(laws.noise(50)), "samples are torch.float64, the"),
        (lambda: Bands(SMALL)(torch.zeros(5)), "5 samples with pad_mode='reflect': expected more"),
        (
            lambda: Bands(SMALL)(torch.zeros(1, 99), torch.tensor([99])),
            "lengths with pad_mode='reflect', learned=False, resize=()",
        ),
    ],
)  # fmt: skip
def test_errors_name_value_and_remedy(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_mel_bands_are_sums_of_bins():
    cfg = BandsCfg(sample_rate=1000, n_fft=64, hop=9, window_length=50, n_mels=12)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 300)))
    bins = Bands(replace(cfg, n_mels=0, n_bands=1)).double()(x)[:, 0]
    filters = torch.from_numpy(mel_filters(1000, 64, 12, norm="peak"))
    expected = 10 * (filters @ 10 ** (bins / 10)).log10()
    front = Bands(cfg).double()
    laws.close(front(x).flatten(1, 2), expected, 1e-9)
    assert front.rows == 4
    assert (np.diff(front.centres) > 0).all() and front.centres[-1] < 500
    unit = Bands(replace(cfg, gain_db=30.0, unit_db=20.0)).double()(x)
    laws.close(unit.flatten(1, 2), (expected + 30) / 20, 1e-9)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_mels": -1}, "n_mels=-1: expected 1 or more"),
        ({"n_mels": 2}, "n_bands=3: expected 1 to n_mels = 2"),
        ({"unit_db": 0.0}, "unit_db=0.0: expected more than 0 dB"),
        ({"n_mels": 60}, "bands fall between two bins; lower n_mels or raise n_fft"),
    ],
)
def test_wrong_mel_bands_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        Bands(replace(SMALL, **changes))
