"""Layers against what they stand for."""

from dataclasses import replace

import laws
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn import functional as F

from sepaudio import layers
from sepaudio.context import Stream
from sepaudio.layers import (
    TCN,
    GatedConv1d,
    PictureConv,
    SeparableConv1d,
    SeparableConv2d,
    SpatialSeparableConv2d,
    TCNCfg,
    TimeConv,
)
from sepaudio.layers.conv import multiplied, shifted


def test_separable_2d_is_the_dense_convolution_of_its_products():
    conv = SeparableConv2d(4, 6, (3, 5), depth_multiplier=2, bias=False).double()
    x = laws.noise(2, 4, 9, 11)
    d = conv.depthwise.weight.view(4, 2, 3, 5)
    p = conv.pointwise.weight.view(6, 4, 2)
    dense = torch.einsum("oim,imhw->oihw", p, d)
    laws.close(conv(x), F.conv2d(x, dense, padding=(1, 2)))


def test_separable_1d_is_the_dense_convolution_of_its_products():
    conv = SeparableConv1d(4, 6, 6, causal=True).double()
    x = laws.noise(2, 4, 30)
    dense = torch.einsum("oi,ik->oik", conv.pointwise.weight[..., 0], conv.depthwise.weight[:, 0])
    expected = F.conv1d(F.pad(x, (10, 0)), dense, conv.pointwise.bias, dilation=2)
    laws.close(conv(x, 2), expected)


def test_separable_3x3_16_to_32_has_656_weights_for_4608():
    conv = SeparableConv2d(16, 32, 3, bias=False)
    assert sum(p.numel() for p in conv.parameters()) == 656
    assert nn.Conv2d(16, 32, 3, bias=False).weight.numel() == 4608


def test_stride_is_in_the_depthwise_half_only():
    conv = SeparableConv2d(3, 5, 3, 2)
    assert conv.depthwise.stride == (2, 2)
    assert conv.pointwise.stride == (1, 1)
    assert conv(laws.noise(1, 3, 9, 7, dtype=torch.float32)).shape == (1, 5, 5, 4)


def test_spatially_separable_is_a_convolution_of_rank_one():
    conv = SpatialSeparableConv2d(1, 1, (3, 5), bias=False).double()
    kernel = conv.column.weight[0, 0] @ conv.row.weight[0, 0]
    assert torch.linalg.matrix_rank(kernel) == 1
    x = laws.noise(2, 1, 8, 9)
    laws.close(conv(x), F.conv2d(x, kernel[None, None], padding=(1, 2)))
    assert sum(p.numel() for p in conv.parameters()) == 3 + 5


def test_spatially_separable_splits_its_stride():
    conv = SpatialSeparableConv2d(2, 3, 3, 2).double()
    assert conv(laws.noise(1, 2, 9, 8)).shape == (1, 3, 5, 4)


@pytest.mark.parametrize("dilation", [1, 2, 8])
@pytest.mark.parametrize("kernel", [1, 3, 6])
@pytest.mark.parametrize("kind", [TimeConv, SeparableConv1d, GatedConv1d])
def test_a_causal_block_hears_exactly_its_past(kind, kernel, dilation):
    block = kind(3, 4, kernel, causal=True).double()
    moved = laws.changed_frames(lambda x: block(x, dilation), laws.noise(1, 3, 80), 20)
    assert moved == [20 + dilation * i for i in range(kernel)]


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_block_that_is_not_causal_is_centred(dilation):
    block = TimeConv(3, 4, 3).double()
    moved = laws.changed_frames(lambda x: block(x, dilation), laws.noise(1, 3, 80), 20)
    assert moved == [20 - dilation, 20, 20 + dilation]


def test_a_causal_picture_convolution_hears_exactly_its_past():
    block = PictureConv(2, 3, (3, 4), causal=True).double()
    moved = laws.changed_frames(lambda x: block(x, 2), laws.noise(1, 2, 6, 40), 20)
    assert moved == [20, 22, 24, 26]


BLOCKS = {
    "time": TimeConv(3, 4, 5, causal=True),
    "separable": SeparableConv1d(3, 4, 3, depth_multiplier=2, causal=True),
    "gated": GatedConv1d(3, 4, 6, separable=True),
    "cumulative": layers.CumulativeNorm(3),
    "channel": layers.ChannelNorm(3),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("sizes", [[1], [7, 2, 1, 30], [40]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_blocks_stream_like_whole(name, sizes, dtype):
    block = BLOCKS[name].to(dtype)
    laws.block_streams_like_whole(block, laws.noise(2, 3, 100, dtype=dtype), sizes)


@pytest.mark.parametrize("causal_2d", [PictureConv, SpatialSeparableConv2d, SeparableConv2d])
def test_pictures_stream_like_whole(causal_2d):
    block = causal_2d(2, 3, 3, causal=True).double()
    laws.block_streams_like_whole(block, laws.noise(2, 2, 5, 60), [1, 4, 13])


def test_what_is_not_causal_refuses_a_stream():
    with pytest.raises(ValueError, match="TimeConv is not causal, so it cannot stream"):
        TimeConv(1, 1, 3)(torch.zeros(1, 1, 5), context=Stream())


def test_a_time_stride_refuses_a_stream():
    with pytest.raises(ValueError, match="a stream needs a time stride of 1"):
        PictureConv(1, 1, 3, 2, causal=True)(torch.zeros(1, 1, 5, 5), context=Stream())


def test_gate_is_tanh_of_the_first_half_times_sigmoid_of_the_second():
    x = torch.tensor([0.5, -2.0, 3.0, 0.1]).view(1, 4, 1)
    expected = torch.tanh(x[:, :2]) * torch.sigmoid(x[:, 2:])
    assert torch.equal(layers.gate(x), expected)


def test_gate_needs_an_even_number():
    with pytest.raises(ValueError, match="filters=5: expected an even number"):
        GatedConv1d(3, 5, 3)


@pytest.mark.parametrize("name", layers.NORMS)
def test_norms_give_zero_mean_and_unit_variance(name):
    x = 3 + 5 * laws.noise(4, 6, 500)
    norm = layers.norm(name, 6).double().train()
    y = norm(x)
    axes = {"global": (1, 2), "cumulative": None, "channel": (1,), "batch": (0, 2)}[name]
    if axes is None:  # the last frame has seen everything
        seen = (x - x.mean(dim=(1, 2), keepdim=True)) / x.std(
            dim=(1, 2), keepdim=True, correction=0
        )
        laws.close(y[..., -1], seen[..., -1], 1e-7)
    else:
        assert y.mean(dim=axes).abs().max() < 1e-9
        assert (y.var(dim=axes, correction=0) - 1).abs().max() < 1e-5


def test_global_norm_equals_group_norm_of_torch():
    x = laws.noise(2, 6, 50)
    norm = layers.GlobalNorm(6).double()
    laws.close(norm(x), F.group_norm(x, 1, norm.weight, norm.bias, eps=1e-8))


def test_cumulative_norm_equals_its_definition():
    x = 2 + laws.noise(2, 3, 40)
    y = layers.CumulativeNorm(3).double()(x)
    for n in range(1, 41):
        past = x[..., :n]
        mean = past.mean(dim=(1, 2), keepdim=True)
        variance = past.var(dim=(1, 2), keepdim=True, correction=0)
        laws.close(y[..., n - 1], ((past - mean) / (variance + 1e-8).sqrt())[..., -1], 1e-9)


def test_cumulative_norm_hears_exactly_its_past():
    norm = layers.CumulativeNorm(3).double()
    moved = laws.changed_frames(norm, laws.noise(1, 3, 30), 20)
    assert moved == list(range(20, 30))


def test_cumulative_norm_is_stable_for_a_day():
    """24 h of frames of 1 ms, in float32, far from zero; jumped over by writing the state."""
    frames, channels, mean, std = 24 * 3600 * 1000, 4, 30.0, 2.0
    norm, stream = layers.CumulativeNorm(channels), Stream()
    chunk = mean + std * laws.noise(1, channels, 200_000, dtype=torch.float32)
    reference = chunk.double()
    for _ in range(frames // 200_000):
        y = norm(chunk, stream)
    exact_mean, exact_std = reference.mean(), reference.std(correction=0)
    expected = (reference[..., -1] - exact_mean) / exact_std
    assert (y[..., -1] - expected).abs().max() / expected.abs().max() <= 1e-5


def test_cumulative_norm_keeps_precision_far_from_zero():
    x = 1e4 + laws.noise(1, 2, 5000)
    exact = layers.CumulativeNorm(2).double()(x)
    laws.close(layers.CumulativeNorm(2)(x.float()).double(), exact, 2e-3)
    around = layers.CumulativeNorm(2).double()(x - 1e4)
    laws.close(exact[..., 10:], around[..., 10:], 1e-8)


def test_a_causal_block_refuses_the_global_norm():
    with pytest.raises(ValueError, match="norm='global' with causal=True: global norm sees"):
        layers.norm("global", 4, causal=True)


def test_global_norm_refuses_a_stream():
    with pytest.raises(ValueError, match="GlobalNorm is not causal"):
        layers.GlobalNorm(2)(torch.zeros(1, 2, 5), Stream())


@pytest.mark.parametrize("name", ["global", "batch"])
def test_norms_leave_padding_out(name):
    x, lengths = laws.noise(2, 3, 50), torch.tensor([50, 20])
    norm = layers.norm(name, 3).double().eval()
    together = norm(layers.mask_time(x, lengths), lengths=lengths)
    laws.close(together[1:, :, :20], norm(x[1:, :, :20]))
    assert not together[1, :, 20:].any()


@pytest.mark.parametrize("kind", layers.POOLS)
def test_pools_leave_padding_out(kind):
    x, lengths = laws.noise(3, 4, 5, 20), torch.tensor([20, 7, 1])
    together = layers.pool_time(x, kind, lengths)
    for row, length in enumerate(lengths):
        alone = layers.pool_time(x[row : row + 1, ..., :length], kind)
        laws.close(together[row : row + 1], alone)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="activation='sine': expected one of none, relu"):
        layers.activation("sine")
    with pytest.raises(ValueError, match="norm='gln': expected one of global, cumulative"):
        layers.norm("gln", 3)
    with pytest.raises(ValueError, match="pool='sum': expected one of mean, max, last"):
        layers.pool_time(torch.zeros(1, 1, 1), "sum")


def test_fixed_norm_is_identity_until_measured():
    x = laws.noise(2, 3, 10)
    norm = layers.FixedNorm(3).double()
    assert torch.equal(norm(x), x)
    norm.mean.fill_(2.0)
    norm.std.fill_(4.0)
    laws.close(norm(x), (x - 2) / 4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("taps", "dilation", "before"), [(3, 1, 1), (3, 4, 4), (3, 4, 8), (5, 2, 0)]
)
def test_a_depthwise_convolution_is_a_sum_of_shifted_signals(taps, dilation, before, bias):
    x, weight = torch.randn(2, 6, 19).double(), torch.randn(6, 1, taps).double()
    given = torch.randn(6).double() if bias else None
    after = (taps - 1) * dilation - before
    wanted = F.conv1d(F.pad(x, (before, after)), weight, given, dilation=dilation, groups=6)
    torch.testing.assert_close(shifted(x, weight, given, dilation, before), wanted)


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_one_tap_is_a_product_of_matrices(bias):
    conv = TimeConv(5, 7, 1, bias=bias).double()
    x = torch.randn(3, 5, 11).double()
    torch.testing.assert_close(multiplied(x, conv.weight, conv.bias), conv(x))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, while it compiles
@pytest.mark.parametrize("how", ["whole", "lengths", "causal"])
def test_one_compiled_block_plays_at_all_places(how):
    torch._dynamo.reset()  # what was compiled for other tests counts as well
    cfg = TCNCfg(bottleneck=4, hidden=6, skip=3, n_blocks=4, n_repeats=2, causal=how == "causal")
    cfg = replace(cfg, norm="cumulative" if how == "causal" else "global", sharing="mitas")
    torch.manual_seed(0)
    tcn = TCN(cfg, embedding=5, how="film", fused=(0, 1))
    given = {i: torch.randn(2, 5) for i in (0, 1)}
    x, lengths = torch.randn(2, 4, 40), torch.tensor([40, 25]) if how == "lengths" else None
    found = []
    for counter in (None, CompileCounter()):
        if counter is not None:
            tcn.fuse(backend=counter, fullgraph=True)
        tcn.zero_grad()
        y = tcn(x, given, lengths=lengths)
        y[:, :, :25].square().mean().backward()
        found.append([y[:, :, :25], *(p.grad for p in tcn.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    # first of a stack, behind it, and the last, whose output is its skip alone
    assert counter.frame_count <= 5 < len(tcn.plan)
