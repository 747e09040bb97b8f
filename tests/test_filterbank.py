"""Encoder and decoder: every sample comes back at its place, whole and streamed."""

import laws
import pytest
import torch
from torch.nn import functional as F

from sepaudio.context import WHOLE, Stream
from sepaudio.frontends import (
    PADS,
    Decoder,
    Encoder,
    as_channels,
    filterbank,
    fourier_filters,
    free_filters,
    loudness,
    reach,
)

LENGTHS = [1, 2, 4, 7, 8, 9, 15, 16, 17, 100, 163]


def delay_filters(kernel_size):
    """Filter n picks sample n of a frame: the frames themselves."""
    return torch.eye(kernel_size)[:, None]


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize(("kernel", "stride"), [(8, 4), (5, 2), (6, 2), (4, 4)])
@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_encoded_is_decoded_at_its_place(pad, kernel, stride, length):
    """With picking filters every sample returns as often as it was framed."""
    filters = delay_filters(kernel).double()
    encoder, decoder = Encoder(filters, stride, pad=pad), Decoder(filters, stride, pad=pad)
    x = laws.noise(2, 1, length) + 3
    spec = encoder(x)
    assert spec.shape[-1] == encoder.frames(length) == encoder.frames(torch.tensor(length))
    y = decoder(spec, length)
    assert y.shape == x.shape
    times = decoder(encoder(torch.ones_like(x)), length)
    laws.close(y, times * x)
    if pad == "drop":
        covered = (encoder.frames(length) - 1) * stride + kernel if length >= kernel else 0
        assert not y[..., covered:].any()
    else:
        assert times.min() >= 1  # no sample is lost
    if pad == "half" and kernel == 2 * stride:
        assert times.unique().tolist() == [2.0]  # also at the edges


@pytest.mark.parametrize(("kernel", "stride"), [(8, 4), (5, 2), (4, 4), (3, 5)])
@pytest.mark.parametrize("channels", [1, 2])
def test_decoding_is_a_transposed_convolution(kernel, stride, channels):
    decoder = Decoder(free_filters(7, channels, kernel), stride, pad="drop", bias=True).double()
    torch.nn.init.normal_(decoder.bias)
    spec = laws.noise(2, 7, 9)
    length = 8 * stride + kernel
    wanted = F.conv_transpose1d(spec, decoder.filters, decoder.bias, stride=stride)
    laws.close(decoder(spec, length), wanted)


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize(("kernel", "stride"), [(8, 4), (5, 2), (4, 4)])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("sizes", [[1], [3, 0, 11]])
def test_stream_equals_whole(pad, kernel, stride, length, sizes):
    encoder = Encoder(free_filters(7, 2, kernel), stride, pad=pad, bias=True, act="relu").double()
    decoder = Decoder(free_filters(7, 2, kernel), stride, pad=pad, bias=True).double()
    torch.nn.init.ones_(decoder.bias)
    x = laws.noise(2, 2, length)

    def run(x, context=WHOLE):
        spec = encoder(x, context.at("encoder"))
        return decoder(spec, x.shape[-1], context.at("decoder"))

    with torch.no_grad():
        whole, stream, heard = run(x), Stream(), []
        for chunk in x.split(list(laws.chunks(length, sizes)), -1):
            heard.append(run(chunk, stream))
        stream.ending = True
        heard.append(run(x[..., :0], stream))
    laws.close(torch.cat(heard, -1), whole)


def test_the_papers_frames_of_four_seconds():
    """TseNet: 32,000 samples of kernel 20 and stride 10 are 3,199 frames, and come back."""
    encoder = Encoder(free_filters(3, 1, 20), 10)
    assert encoder.frames(32000) == 3199
    spec = encoder(laws.noise(1, 1, 32000, dtype=torch.float32))
    assert Decoder(free_filters(3, 1, 20), 10)(spec, 32000).shape == (1, 1, 32000)


def test_any_filters_will_do():
    """A Fourier matrix as filters gives the Fourier transform of the frames."""
    t = torch.arange(16, dtype=torch.float64)
    filters = torch.cos(2 * torch.pi * t[:9, None] * t / 16)[:, None]
    encoder = Encoder(filters, 8, learned=False)
    assert not encoder.filters.requires_grad
    x = laws.noise(1, 1, 64)
    frames = x[0, 0].unfold(0, 16, 8)
    laws.close(encoder(x)[0].T, torch.fft.rfft(frames).real)


@pytest.mark.parametrize(("kernel", "stride"), [(16, 8), (16, 4), (16, 2), (24, 4), (2, 1)])
@pytest.mark.parametrize("length", LENGTHS)
def test_fourier_frames_give_the_signal_back(kernel, stride, length):
    """Every sample, those at the edges too."""
    analysis, synthesis = (f.double() for f in fourier_filters(kernel, stride))
    encoder = Encoder(analysis, stride, pad="full", learned=False)
    decoder = Decoder(synthesis, stride, pad="full", learned=False)
    x = laws.noise(2, 1, length)
    assert (decoder(encoder(x), length) - x).abs().max() < 1e-6  # the filters are float32


def test_fourier_frames_are_the_transform_of_the_windowed_frames():
    analysis, _ = (f.double() for f in fourier_filters(16, 8))
    x = laws.noise(1, 1, 64)
    spec = Encoder(analysis, 8, pad="full", learned=False)(x)
    frames = torch.nn.functional.pad(x[0, 0], (8, 8)).unfold(0, 16, 8)
    window = torch.hann_window(16, dtype=torch.float64).sqrt()
    expected = torch.fft.rfft(frames * window).T
    assert (torch.complex(*spec[0].chunk(2)) - expected).abs().max() < 1e-5
    laws.close(loudness(spec)[0], (expected.abs() ** 2 + 1e-10) ** 0.15, 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mel", 18, 1, 16, 8, "full"), "filters='mel': expected one of free, fourier"),
        (("fourier", 17, 1, 16, 8, "full"), r"n_filters=18 \(kernel_size \+ 2\)"),
        (("fourier", 18, 2, 16, 8, "full"), "2 channels and pad='full': expected"),
        (("fourier", 18, 1, 16, 8, "half"), "pad='half': expected"),
        (("fourier", 18, 1, 16, 6, "full"), "kernel_size=16 with stride=6: expected an even"),
        (("fourier", 17, 1, 15, 5, "full"), "kernel_size=15 with stride=5: expected an even"),
    ],
)
def test_filterbanks_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        filterbank(*arguments)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"pad": "same"}, "pad='same': expected one of fill, half, drop, full"),
        ({"stride": 9}, "stride=9: expected 1 to kernel_size=8"),
    ],
)
def test_bad_filterbanks_are_refused(kw, message):
    with pytest.raises(ValueError, match=message):
        Encoder(free_filters(3, 1, 8), **{"stride": 4, **kw})


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((16000,), None, r"mixture has shape \[16000\]: expected \[B, T\]; use mixture\[None\]"),
        ((1, 2, 100), None, r"mixture has shape \[1, 2, 100\]: expected \[B, T\]"),
        ((1, 3, 100), 2, r"expected \[B, 2, T\]"),
        ((2, 0), None, "expected at least one sample"),
    ],
)
def test_audio_of_another_shape_is_refused(shape, channels, message):
    with pytest.raises(ValueError, match=message):
        as_channels(torch.zeros(shape), channels)


def test_reach_counts_the_frames_that_hear_a_sample():
    assert reach(1, 8, 4) == 12  # two frames hear it
    assert reach(1, 5, 2) == 9  # three at most
    assert reach(1531, 16, 8) == 1531 * 8 + 16


@pytest.mark.oracle
@pytest.mark.parametrize(("kernel", "stride"), [(16, 8), (21, 10)])
def test_equals_asteroid_filterbanks(kernel, stride):
    af = pytest.importorskip("asteroid_filterbanks")
    theirs = [af.make_enc_dec("free", 12, kernel, stride=stride)[i].double() for i in (0, 1)]
    filters = [theirs[i].filterbank.filters().detach() for i in (0, 1)]
    encoder = Encoder(filters[0], stride, pad="drop")
    decoder = Decoder(filters[1], stride, pad="drop")
    x = laws.noise(2, 1, 203)
    spec = encoder(x)
    laws.close(spec, theirs[0](x))
    y = theirs[1](spec)
    laws.close(decoder(spec, 203), F.pad(y, (0, 203 - y.shape[-1])))
