import json
import random
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from sepaudio.context import Stream
from sepaudio.frontends import MFCC, PRESETS, STFT, Deltas, LogMel, MelCfg, deltas, mel_cfg
from sepaudio.frontends import stft as stft_file

SMALL = MelCfg(sample_rate=1000, n_fft=32, hop=10, window_length=25, n_mels=8, n_mfcc=5)
STREAMABLE = {
    "plain": SMALL,
    "filled": replace(SMALL, fill=True),
    "centred": replace(SMALL, center=True),
    "centred odd": replace(SMALL, center=True, n_fft=31, window_length=22),
    "psf": mel_cfg("psf", 1000, n_mels=8, n_mfcc=5),
    "magnitude": replace(SMALL, power=1, log="log10", floor_rule="add", preemphasis=0.9),
    "no overlap": replace(SMALL, hop=25, window="rect"),
    "centred librosa": mel_cfg("librosa", 1000, n_fft=32, window_length=32, hop=8, top_db=None,
                               n_mels=8, n_mfcc=5),
}  # fmt: skip


def noise(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def chunks(x, seed):
    """Cut at random, with empty chunks among them; seed 0 gives one sample at a time."""
    rng, sizes, left = random.Random(seed), [], x.shape[-1]
    while left:
        sizes.append(min(left, 1 if seed == 0 else rng.choice([0, 1, 3, 17, 60])))
        left -= sizes[-1]
    return x.split(sizes, dim=-1)


def streamed(call, pieces):
    """The stream's output, all of it; the last piece is told to be the last."""
    context = Stream()
    heard = []
    for i, piece in enumerate(pieces):
        context.ending = i == len(pieces) - 1
        heard.append(call(piece, context))
    return torch.cat(heard, dim=-1)


def relative(a, b):
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.std())


def changed(a, b):
    """Frames of a that differ from b's."""
    return (a != b).flatten(0, -2).any(dim=0).nonzero().flatten().tolist()


@pytest.mark.parametrize("kind", [LogMel, MFCC])
@pytest.mark.parametrize("cfg", STREAMABLE.values(), ids=STREAMABLE)
def test_stream_equals_whole(kind, cfg):
    front = kind(cfg).double()
    for n in (1 if cfg.fill or cfg.center else cfg.window_length, 203, 240):
        x = noise(2, n)
        for seed in range(2):
            assert_close(streamed(front, chunks(x, seed)), front(x), rtol=0, atol=1e-11)
            assert_close(
                streamed(front, [*chunks(x, seed), x[:, :0]]), front(x), rtol=0, atol=1e-11
            )


def test_stream_equals_whole_in_float32():
    front, x = MFCC(mel_cfg("psf", 8000)), noise(2, 4000, dtype=torch.float32)
    assert relative(streamed(front, chunks(x, 3)), front(x)) < 1e-5


def test_a_stream_without_a_whole_frame_is_empty():
    front, stream = MFCC(SMALL), Stream()
    assert front(noise(2, 1, dtype=torch.float32), stream).shape == (2, 5, 0)
    assert front.bands.stft(torch.zeros(2, 0), Stream()).shape == (2, 17, 0)


def test_two_streams_do_not_mix():
    front, x, y = LogMel(SMALL).double(), noise(1, 100), noise(1, 100, seed=1)
    a, b = Stream(), Stream()
    first, other = front(x[:, :40], a), front(y[:, :37], b)
    assert_close(torch.cat([first, front(x[:, 40:], a)], -1), front(x))
    assert_close(torch.cat([other, front(y[:, 37:], b)], -1), front(y))


@pytest.mark.parametrize("cfg", STREAMABLE.values(), ids=STREAMABLE)
def test_hears_as_far_as_it_says(cfg):
    front = LogMel(cfg).double()
    x = noise(1, 400)
    expected = front(x)
    earliest = []
    for now in range(200, 200 + cfg.hop):  # all phases of the hop
        other = x.clone()
        other[:, now] += 1
        touched = changed(front(other), expected)
        earliest.append(now - touched[0] * cfg.hop)
        first, last = touched[0], touched[-1]
        assert touched == list(range(first, last + 1))
    assert max(earliest) == front.latency
    reach = [s for s in range(200 - 40, 200 + 40) if _moves(front, x, expected, s, 200 // cfg.hop)]
    lost = int(cfg.window == "hann")  # its first weight is zero
    assert reach[-1] - reach[0] + 1 + lost == front.receptive_field
    assert reach[-1] == 200 + front.latency


def _moves(front, x, expected, sample, frame):
    other = x.clone()
    other[:, sample] += 1
    return bool((front(other)[..., frame] != expected[..., frame]).any())


@pytest.mark.parametrize("cfg", STREAMABLE.values(), ids=STREAMABLE)
def test_frames_counts(cfg):
    front = MFCC(cfg).double()
    lengths = torch.arange(1, 130)
    counts = front.frames(lengths)
    for n, count in zip(lengths.tolist(), counts.tolist(), strict=True):
        assert front.frames(n) == count
        assert streamed(front, [noise(n)]).shape[-1] == count
        if count:
            assert front(noise(n)).shape[-1] == count
    assert front.frames(0) == 0
    assert front.frames(torch.tensor([0, 200])).tolist() == [0, front.frames(200)]


def test_shift_by_hops_shifts_frames():
    front, x = MFCC(SMALL).double(), noise(2, 500)
    assert_close(front(x[:, 30:]), front(x)[..., 3:])
    assert not torch.allclose(front(x[:, 29:])[..., :5], front(x)[..., 3:8])


def test_signals_of_a_batch_are_independent_and_any_rank_will_do():
    x = noise(2, 3, 300)
    x[1] *= 1e-3
    for front in (STFT(32, 10), LogMel(SMALL), MFCC(replace(SMALL, center=True, top_db=30.0))):
        front.double()
        y = front(x)
        assert y.shape[:2] == (2, 3)
        for i in range(2):
            for j in range(3):
                assert_close(y[i, j], front(x[i, j]))


@pytest.mark.parametrize("cfg", STREAMABLE.values(), ids=STREAMABLE)
def test_padding_in_a_batch_changes_nothing(cfg):
    front, lengths = MFCC(cfg).double(), torch.tensor([200, 133, 37])
    x = noise(3, 200)
    padded = x.where(torch.arange(200) < lengths[:, None], 0)
    y = front(padded, lengths=lengths)
    for i, n in enumerate(lengths.tolist()):
        assert_close(y[i, :, : front.frames(n)], front(x[i, :n]), rtol=0, atol=1e-11)


def test_tiles_change_nothing(monkeypatch):
    x = noise(3, 5000)
    front, transform = MFCC(STREAMABLE["centred"]).double(), STFT(32, 10, 25).double()
    expected, spec = front(x), transform(x)
    monkeypatch.setattr(stft_file, "CPU_TILE", 7)
    assert_close(front(x), expected, rtol=0, atol=1e-11)
    assert_close(transform(x), spec, rtol=0, atol=1e-12)


@pytest.mark.parametrize("center, fill", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("window", ["hann", "hamming", "rect", "blackman", "povey"])
def test_inverse(window, center, fill):
    transform = STFT(64, 16, 50, window=window, center=center, fill=fill).double()
    x = noise(2, 3, 418 if fill else 50 + 23 * 16)
    y = transform.inverse(transform(x), x.shape[-1])
    assert y.shape == x.shape
    edge = 0 if center or window in ("rect", "hamming") else 2  # weights next to nothing
    assert_close(y[..., edge:], x[..., edge:], rtol=0, atol=1e-6 if edge else 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_inverse_streams(seed):
    transform = STFT(64, 16, 50, window="hamming", center=False, fill=True).double()
    x = noise(2, 431)

    def there_and_back(piece, context):
        spec = transform(piece, context.at("there"))
        return transform.inverse(spec, context=context.at("back"))

    y = streamed(there_and_back, chunks(x, seed))
    assert_close(y[:, :431], x, rtol=0, atol=1e-12)
    assert_close(y, transform.inverse(transform(x)), rtol=0, atol=1e-12)
    assert not y[:, 431:].abs().gt(1e-12).any()


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("n_fft, hop, size", [(64, 16, 64), (64, 20, 50), (63, 16, 40)])
def test_equals_torch_stft(n_fft, hop, size, center, normalized):
    x = noise(2, 500)
    ours = STFT(n_fft, hop, size, center=center, normalized=normalized).double()
    window = torch.hann_window(size, dtype=torch.float64)
    theirs = torch.stft(
        x, n_fft, hop, size, window, center, "constant", normalized, return_complex=True
    )
    if center:
        assert_close(ours(x), theirs, rtol=0, atol=1e-12)
    else:  # theirs starts in the middle of the zeros
        skip = (n_fft - size) // 2
        inside = ours(x[:, skip : 500 - (n_fft - size - skip)])
        assert_close(inside.abs(), theirs.abs(), rtol=0, atol=1e-12)
        if not skip:
            assert_close(inside, theirs, rtol=0, atol=1e-12)


def test_double_is_exact():
    """Against the definition, written out in numpy."""
    cfg = replace(SMALL, preemphasis=0.97, lifter=22.0, energy=True)
    x = noise(200)
    front = MFCC(cfg).float().double()  # a float32 buffer would have kept its rounding
    assert front.bands.filters.value.dtype == torch.float64
    signal = x.numpy() - 0.97 * np.append(0, x.numpy()[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(signal, 25)[::10]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(25) / 25)
    power = np.abs(np.fft.rfft(frames * window, 32)) ** 2
    filters = stft_free_filters(1000, 32, 8)
    bands = 10 * np.log10(np.maximum(power @ filters.T, 1e-10))
    n = np.arange(8)
    basis = np.array([np.cos(np.pi * k * (2 * n + 1) / 16) for k in range(5)]) * np.sqrt(2 / 8)
    basis[0] /= np.sqrt(2)
    cepstra = basis @ bands.T * (1 + 11 * np.sin(np.pi * np.arange(5) / 22))[:, None]
    cepstra[0] = 10 * np.log10(power.sum(1))
    assert np.abs(front(x).numpy() - cepstra).max() < 1e-10


def stft_free_filters(sample_rate, n_fft, n_mels):
    """Slaney's triangles by interpolation; all of this band lies in the scale's linear part."""
    corners = np.linspace(0, sample_rate / 2, n_mels + 2)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    rows = [np.interp(bins, corners[i : i + 3], [0, 1, 0]) for i in range(n_mels)]
    return np.array(rows) * 2 / (corners[2:] - corners[:-2])[:, None]


@pytest.mark.parametrize("preset", PRESETS)
def test_silence_is_finite_and_so_is_its_gradient(preset):
    front = MFCC(mel_cfg(preset, 8000))
    x = torch.zeros(2, 8000)
    x[1, 4000:] = noise(4000, dtype=torch.float32)
    x.requires_grad_()
    y = front(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert x.grad[1].any()


@pytest.mark.parametrize(
    "name", ["plain", "psf", "magnitude", "centred"], ids=lambda name: str(name)
)
def test_gradient(name):
    front = MFCC(STREAMABLE[name]).double()
    assert torch.autograd.gradcheck(front, (noise(2, 57).requires_grad_(),))


def test_gradient_of_the_inverse():
    transform = STFT(16, 4, 12, window="hamming", center=False).double()
    spec = transform(noise(1, 32)).detach().requires_grad_()
    assert torch.autograd.gradcheck(transform.inverse, (spec,))


@pytest.mark.parametrize("kind", ["regression", "savgol"])
@pytest.mark.parametrize("width, order", [(2, 1), (2, 2), (4, 2), (1, 1)])
def test_deltas_stream(kind, width, order):
    add = Deltas(width, order, kind)
    for n in (1, 3, 40):
        x = noise(2, 3, n)
        whole = add(x)
        assert whole.shape == (2, 3 * (1 + order), n)
        assert_close(whole[:, :3], x)
        for seed in range(4):
            assert_close(streamed(add, chunks(x, seed)), whole, rtol=0, atol=1e-12)
    assert add(noise(1, 3, 20), Stream()).shape[-1] == 20 - add.lag


def test_deltas_of_a_line_and_a_parabola():
    t = torch.arange(30, dtype=torch.float64)
    assert_close(deltas(3 * t + 1, 2)[2:-2], torch.full((26,), 3.0, dtype=torch.float64))
    assert_close(deltas(t**2, 3, 2)[3:-3], torch.full((24,), 2.0, dtype=torch.float64))


def test_cfg_is_json():
    for preset in PRESETS:
        cfg = mel_cfg(preset, 16000, n_mels=24)
        assert MelCfg(**json.loads(json.dumps(asdict(cfg)))) == cfg


def test_nothing_to_save():
    assert not MFCC(SMALL).state_dict()


def test_meta_and_dtype_moves():
    with torch.device("meta"):
        front = MFCC(SMALL)
    assert front(torch.zeros(2, 100, device="meta")).shape == (2, 5, 8)
    x = noise(2, 100)
    assert_close(front.to_empty(device="cpu").double()(x), MFCC(SMALL).double()(x))


def test_autocast_leaves_the_front_end_alone():
    front, x = MFCC(SMALL), noise(2, 100, dtype=torch.float32)
    expected = front(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(front(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["plain", "psf"])
def test_exports_with_any_length(name):
    front, x = MFCC(STREAMABLE[name]), noise(2, 103, dtype=torch.float32)
    program = torch.export.export(
        front,
        (x,),
        dynamic_shapes=({1: torch.export.Dim("length", min=64, max=4096)},),
        prefer_deferred_runtime_asserts_over_guards=True,  # floor(T / hop) is beyond the prover
    ).module()
    for n in (100, 333, 4000):
        x = noise(2, n, dtype=torch.float32)
        assert relative(program(x), front(x)) < 1e-5


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: STFT(32, 10, window="han"), "window='han': expected one of rect, hann"),
        (lambda: STFT(32, 10, pad_mode="edge"), "pad_mode='edge': expected one of constant"),
        (lambda: STFT(32, 10, 33), "window_length=33: expected 1 to n_fft=32"),
        (lambda: STFT(32, 33), "hop=33: expected 1 to window_length=32"),
        (lambda: STFT(32, 0), "hop=0: expected 1 to"),
        (lambda: STFT(32, 10, fill=True), "fill=True with center=True"),
        (lambda: STFT(32, 10)(torch.zeros(2, 0)), "a signal of 0 samples: expected at least 1"),
        (lambda: LogMel(SMALL)(torch.zeros(24)), "a signal of 24 samples: expected at least 25"),
        (lambda: MFCC(mel_cfg("psf", 8000))(torch.zeros(0)), "a signal of 0 samples"),
        (lambda: STFT(32, 10)(noise(50)), "samples are torch.float64, the front-end torch.float32"),
        (
            lambda: STFT(32, 10, pad_mode="reflect")(torch.zeros(50), Stream()),
            "pad_mode='reflect' in a stream",
        ),
        (
            lambda: STFT(32, 10, pad_mode="reflect")(torch.zeros(16)),
            "16 samples with pad_mode='reflect': expected more than 16",
        ),
        (
            lambda: STFT(32, 10).inverse(torch.zeros(17, 5) * 1j, context=Stream()),
            "inverse of a stream with center=True",
        ),
        (
            lambda: LogMel(mel_cfg("librosa", 8000))(torch.zeros(50), Stream()),
            "top_db=80.0 in a stream",
        ),
        (
            lambda: LogMel(replace(SMALL, center=True, pad_mode="reflect"))(
                torch.zeros(1, 50), lengths=torch.tensor([50])
            ),
            "lengths with pad_mode='reflect'",
        ),
        (lambda: MelCfg(log="bel"), "log='bel': expected one of ln, log10, db"),
        (lambda: MelCfg(floor_rule="max"), "floor_rule='max': expected one of clamp, add, zero"),
        (lambda: MelCfg(power=3), "power=3: expected 1"),
        (lambda: MelCfg(log="ln", top_db=80.0), "top_db=80.0 with log='ln'"),
        (lambda: LogMel(MelCfg(mel_scale="bark")), "mel_scale='bark': expected one of slaney"),
        (lambda: LogMel(MelCfg(mel_norm="area")), "mel_norm='area': expected one of peak"),
        (lambda: LogMel(MelCfg(f_max=9000.0)), "f_max=9000.0: expected 0 <= f_min < f_max <= 8000"),
        (lambda: MFCC(MelCfg(n_mels=10)), "n_mfcc=20: expected 1 to n_mels=10"),
        (lambda: mel_cfg("kaldi", 8000), "preset='kaldi': expected one of librosa, torchaudio"),
        (lambda: Deltas(kind="slope"), "kind='slope': expected one of regression, savgol"),
        (lambda: deltas(torch.zeros(5), 1, 3), "width=1, order=3: expected 1 <= order <= 2"),
        (lambda: deltas(torch.zeros(5, 0)), "features of 0 frames"),
    ],
)
def test_errors_name_value_and_remedy(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()
