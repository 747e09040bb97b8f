"""Networks over time: SliceNet's and ByteNet's blocks, self-attention, HyperLSTM."""

import math
from itertools import pairwise

import laws
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sepaudio import registry
from sepaudio.context import WHOLE
from sepaudio.layers import (
    AttentionCfg,
    AttentionStack,
    ByteNetBlock,
    ByteNetCfg,
    ByteNetStack,
    ConvStep,
    HyperLSTM,
    HyperLSTMCfg,
    HyperLSTMStack,
    HyperRNN,
    PictureAttention,
    SelfAttention,
    SeparableConv1d,
    SliceAttention,
    SliceCfg,
    SliceModule,
    SliceStack,
    attend,
    timing,
)

SLICES = SliceCfg(
    width=6, modules=2, kernels=(3, 3, 5, 4), dilations=(1, 2, 1, 2), groups=(2, 3), causal=True
)
BYTES = ByteNetCfg(width=8, dilations=(1, 2, 4), sets=2, causal=True)
ATTENTION = AttentionCfg(width=8, heads=2, blocks=2, causal=True, window=5)
HYPER = HyperLSTMCfg(width=6, layers=2, hyper=3, embedding=2)
STACKS = {
    "slices": (SliceStack, SLICES),
    "bytes": (ByteNetStack, BYTES),
    "attention": (AttentionStack, ATTENTION),
    "all the past": (AttentionStack, AttentionCfg(width=8, heads=2, blocks=2, causal=True)),
    "hyper": (HyperLSTMStack, HYPER),
}


def made(make, *args, **kwargs):
    torch.manual_seed(0)
    return laws.perturbed(make(*args, **kwargs).double()).eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_streams_like_the_whole(name):
    net = made(*STACKS[name])
    laws.block_streams_like_whole(net, laws.noise(2, net_width(name), 40), [7, 1, 0, 12])


def net_width(name):
    return STACKS[name][1].width


@pytest.mark.parametrize("name", STACKS)
def test_a_frame_moves_itself_and_later_ones_only(name):
    net, x = made(*STACKS[name]), laws.noise(1, net_width(name), 80)
    moved = laws.changed_frames(net, x, 20)
    assert moved[0] == 20
    if net.receptive_frames is not None:
        assert moved[-1] == 20 + net.receptive_frames - 1


@pytest.mark.parametrize("name", ["slices", "bytes"])
def test_receptive_fields_by_their_formula(name):
    net = made(*STACKS[name])
    last = 59
    assert laws.reaches(net, laws.noise(1, net_width(name), 80), last) == (
        last - net.receptive_frames + 1,
        last,
    )
    assert net.receptive_frames == {"slices": 1 + 2 * (2 + 4 + 4 + 6), "bytes": 1 + 2 * 2 * 7}[name]
    assert ByteNetStack(ByteNetCfg()).receptive_frames == 1 + 2 * 6 * 31


@pytest.mark.parametrize("name", ["slices", "bytes", "attention"])
def test_what_lies_beyond_the_lengths_changes_nothing(name):
    kind, cfg = STACKS[name]
    loose = {"window": 0} if name == "attention" else {}
    net = made(kind, type(cfg)(**{**vars(cfg), "causal": False, **loose}))
    x, lengths = laws.noise(2, cfg.width, 30), torch.tensor([30, 11])
    together = net(x, lengths=lengths)
    laws.close(together[1:, :, :11], net(x[1:, :, :11]))


@pytest.mark.parametrize("name", STACKS)
def test_every_parameter_of_a_stack_learns(name):
    net = made(*STACKS[name])
    laws.every_parameter_learns(net, net(laws.noise(2, net_width(name), 20)))


# SliceNet


def test_super_separable_with_one_group_is_separable():
    torch.manual_seed(0)
    one = SeparableConv1d(6, 6, 3, groups=1)
    torch.manual_seed(0)
    plain = SeparableConv1d(6, 6, 3)
    x = torch.randn(1, 6, 9)
    assert torch.equal(one(x), plain(x))


def test_super_separable_is_a_separable_convolution_for_each_group():
    conv = made(SeparableConv1d, 6, 4, 3, groups=2)
    x = laws.noise(1, 6, 9)
    for i in range(2):
        part = SeparableConv1d(3, 2, 3).double()
        part.depthwise.weight = nn.Parameter(conv.depthwise.weight[3 * i : 3 * i + 3])
        part.pointwise.weight = nn.Parameter(conv.pointwise.weight[2 * i : 2 * i + 2])
        part.pointwise.bias = nn.Parameter(conv.pointwise.bias[2 * i : 2 * i + 2])
        laws.close(conv(x)[:, 2 * i : 2 * i + 2], part(x[:, 3 * i : 3 * i + 3]))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_a_step_has_k_c_and_c_squared_over_g_weights(groups):
    step = ConvStep(12, 12, 5, groups=groups)
    assert count(step.conv) == 5 * 12 + 12 * 12 // groups
    assert count(step) == count(step.conv) + 2 * 12


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="groups=4 with 6 channels in and 6 out: expected a divis"):
        SeparableConv1d(6, 6, 3, groups=4)


def test_groups_without_a_common_divisor_let_all_channels_meet():
    def mixed(groups):
        cfg = SliceCfg(width=6, modules=1, groups=groups, causal=True)
        net = made(SliceModule, cfg)
        for step in net.steps:
            step.norm = nn.Identity()  # which alone lets them meet
            step.forward = lambda x, d, c, n, step=step: step.conv(F.relu(x), d, c)
        x = laws.noise(1, 6, 40).requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
        return (gradient.abs().sum(dim=2) > 0).all()

    assert mixed((2, 3))
    assert not mixed((2,))


def test_a_module_adds_its_input_twice():
    net = made(SliceModule, SliceCfg(width=6, modules=1))
    x = laws.noise(1, 6, 20)
    half = x + net.steps[1](net.steps[0](x))
    laws.close(net(x), x + net.steps[3](net.steps[2](half)))


def test_attention_is_a_softmax_of_products_scaled_outside():
    source, target = laws.noise(2, 5, 7), laws.noise(2, 5, 4, seed=1)
    found = attend(source, target)
    flat = F.scaled_dot_product_attention(
        target.transpose(1, 2), source.transpose(1, 2), source.transpose(1, 2), scale=1.0
    )
    laws.close(found, flat.transpose(1, 2) / math.sqrt(5))
    short = attend(source, target, torch.tensor([7, 3]))
    laws.close(short[1:], attend(source[1:, :, :3], target[1:]))


def test_queries_of_the_attention_are_causal_and_stream():
    net, source = made(SliceAttention, 6), laws.noise(1, 6, 9, seed=3)

    asking = lambda x, context=WHOLE: net(source, x, context)  # noqa: E731
    laws.block_streams_like_whole(asking, laws.noise(1, 6, 40), [5, 1, 0])
    assert laws.changed_frames(asking, laws.noise(1, 6, 60), 9) == [
        9 + i + 4 * j for j in range(5) for i in range(5) if i < 4 or j == 4
    ]


def test_the_timing_signal_tells_frames_apart():
    signal = timing(torch.zeros(1, 8, 100, dtype=torch.float64))
    assert torch.equal(signal[:2, 0], torch.tensor([0.0, 1.0], dtype=torch.float64))
    laws.close(signal[0], torch.arange(100, dtype=torch.float64).sin())
    assert (torch.cdist(signal.T, signal.T) + torch.eye(100)).min() > 0.01


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"kernels": (3, 3)}, r"kernels=\(3, 3\), dilations=.*: expected as many of each, more"),
        ({"groups": ()}, r"modules=6, groups=\(\): expected at least one of each"),
    ],
)
def test_bad_slices_are_refused(kw, message):
    with pytest.raises(ValueError, match=message):
        SliceCfg(**kw)


@pytest.mark.parametrize("name", ["slicenet_small", "slicenet_small_causal", "bytenet"])
def test_an_encoder_alone_gives_classes(name):
    model = registry.create(name, labels=("a", "b", "c", "d")).eval()
    features = torch.randn(2, 64, 30)
    logits = model.logits(features)
    assert logits.shape == (2, 4, 30)
    laws.close(model.clip_logits(features), logits.mean(dim=2))


# ByteNet


def test_a_block_of_bytenet_keeps_half_of_its_channels_inside():
    block = ByteNetBlock(8, 3)
    weights = 8 * 4 + 3 * 4 * 4 + 4 * 8
    assert count(block) == weights + (4 + 4 + 8) + 2 * (8 + 4 + 4)
    with pytest.raises(ValueError, match="width=7: expected an even number"):
        ByteNetCfg(width=7)


def test_a_block_of_bytenet_whose_last_layer_is_zero_is_the_identity():
    block = ByteNetBlock(8, 3)
    nn.init.zeros_(block.grow.weight)
    nn.init.zeros_(block.grow.bias)
    x = torch.randn(1, 8, 9)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", ["bytenet", "slicenet_small"])
def test_cost_is_linear_in_the_length(name):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = registry.create(name)

    def cost(frames):
        with FlopCounterMode(display=False) as counter:
            model.logits(torch.empty(1, 64, frames, device="meta"))
        return counter.get_total_flops()

    assert cost(400) == 4 * cost(100)


# self-attention


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_torchs(causal):
    net = made(SelfAttention, 12, 3, causal=causal)
    torchs = nn.MultiheadAttention(12, 3, batch_first=True).double().eval()
    with torch.no_grad():
        torchs.in_proj_weight.copy_(net.project.weight[:, :, 0])
        torchs.in_proj_bias.copy_(net.project.bias)
        torchs.out_proj.weight.copy_(net.out.weight[:, :, 0])
        torchs.out_proj.bias.copy_(net.out.bias)
    x = laws.noise(2, 12, 10)
    rows = x.transpose(1, 2)
    mask = nn.Transformer.generate_square_subsequent_mask(10).isinf() if causal else None
    expected, weights = torchs(rows, rows, rows, attn_mask=mask)
    laws.close(net(x), expected.transpose(1, 2))
    assert (weights.sum(dim=-1) - 1).abs().max() < 1e-12


def test_rows_of_attention_sum_to_one():
    net = made(SelfAttention, 6, 2)
    with torch.no_grad():
        net.project.weight[12:] = 0  # values that are the same everywhere come out unchanged
    alike = net.out(net.project.bias[12:].expand(1, 9, 6).transpose(1, 2))
    laws.close(net(laws.noise(1, 6, 9)), alike)


def test_attention_knows_no_order():
    net, x = made(SelfAttention, 6, 2), laws.noise(1, 6, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    laws.close(net(x[..., order]), net(x)[..., order])
    stack = made(AttentionStack, AttentionCfg(width=6, heads=2, blocks=1))
    assert not torch.allclose(stack(x[..., order]), stack(x)[..., order])


def test_a_window_is_all_that_is_heard():
    net = made(SelfAttention, 6, 2, causal=True, window=4)
    assert laws.changed_frames(net, laws.noise(1, 6, 20), 5) == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"heads": 4}, "heads=4: expected a divisor of 6 channels"),
        ({"window": 3}, "window=3 with causal=False: expected 0, or a number of frames with caus"),
    ],
)
def test_bad_attention_is_refused(args, message):
    with pytest.raises(ValueError, match=message):
        SelfAttention(6, **args)


def test_attention_over_a_picture_is_a_step_of_a_network():
    from sepaudio.backbones.steps import Conv, Layer, sequence

    net, channels = sequence((Conv(8, 3, 2), Layer(PictureAttention), Conv(4)), 3)
    assert channels == 4
    x = torch.randn(1, 3, 8, 10)
    assert net.eval()(x).shape == (1, 4, 4, 5)
    attention = net[1]
    y = torch.randn(1, 8, 4, 5)
    assert torch.equal(attention(y), y)  # as it begins
    nn.init.ones_(attention.gain)
    moved = torch.autograd.functional.jacobian(lambda z: attention(z)[0, :, 0, 0].sum(), y)
    assert (moved.abs().sum(dim=1) > 0).all()  # every point hears every other


# HyperLSTM


def ordinary(net):
    """The recurrent network of torch with its weights."""
    kind = nn.LSTM if isinstance(net, HyperLSTM) else nn.RNN
    torchs = kind(net.weight_ih.shape[1], net.width).double()
    with torch.no_grad():
        torchs.weight_ih_l0.copy_(net.weight_ih)
        torchs.weight_hh_l0.copy_(net.weight_hh)
        torchs.bias_ih_l0.copy_(net.bias)
        torchs.bias_hh_l0.zero_()
    return torchs


def recurrent(kind):
    return made(kind, 5, 6, 3, 2, **({"norm": False} if kind is HyperLSTM else {}))


HYPERS = pytest.mark.parametrize("kind", [HyperLSTM, HyperRNN])


@HYPERS
def test_a_hyper_network_that_generates_nothing_is_torchs(kind):
    net = recurrent(kind)
    nn.init.zeros_(net.scaling.maps)
    x = laws.noise(2, 5, 12)
    expected, _ = ordinary(net)(x.permute(2, 0, 1))
    laws.close(net(x), expected.permute(1, 2, 0))


@HYPERS
def test_its_weights_differ_over_time_and_between_signals(kind):
    net = recurrent(kind)
    x = laws.noise(2, 5, 12)
    assert not torch.allclose(net(x), ordinary(net)(x.permute(2, 0, 1))[0].permute(1, 2, 0))
    said = []
    net.scaling.register_forward_hook(lambda *given: said.append(given[2][0]))
    net(x)
    assert len(said) == 12
    assert all((a - b).abs().max() > 1e-6 for a, b in pairwise(said))
    assert all((a[0] - a[1]).abs().max() > 1e-6 for a in said)


@HYPERS
def test_it_streams_and_learns(kind):
    net = recurrent(kind)
    laws.block_streams_like_whole(net, laws.noise(2, 5, 20), [3, 1, 0, 7])
    laws.every_parameter_learns(net, net(laws.noise(2, 5, 8)))


@pytest.mark.parametrize(("kind", "gates"), [(HyperLSTM, 4), (HyperRNN, 1)])
def test_its_parameters_grow_linearly_with_the_embedding(kind, gates):
    sizes = [count(kind(5, 6, 3, n)) for n in (1, 2, 3, 4)]
    assert {b - a for a, b in pairwise(sizes)} == {3 * gates * (3 + 1) + 3 * gates * 6}
