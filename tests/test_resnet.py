"""The residual networks: published sizes, the five orderings, paths, branches, dropped blocks."""

import laws
import ports
import pytest
import torch
from torch.nn import functional as F

from sepaudio.backbones import backbone
from sepaudio.backbones.resnet import stages
from sepaudio.layers import (
    ORDERINGS,
    SqueezeExcite,
    basic,
    bottleneck,
    residual,
)

IMAGENET = {
    "resnet18": 11689512,
    "resnet34": 21797672,
    "resnet50": 25557032,
    "resnet101": 44549160,
    "resnet152": 60192808,
    "resnetv2_18": 11687720,
    "resnetv2_34": 21795880,
    "resnetv2_50": 25549352,
    "resnetv2_101": 44541480,
    "resnetv2_152": 60185128,
    "resnext50_32x4d": 25028904,
    "resnext101_32x4d": 44177704,
    "resnext101_32x8d": 88791336,
    "resnext101_64x4d": 83455272,
    "seresnet50": 28088024,
    "seresnet152": 66821848,
    "seresnext50_32x4d": 27559896,
    "seresnext101_32x4d": 48955416,
    "wide_resnet50_2": 68883240,
    "wide_resnet101_2": 126886696,
}
CIFAR = {  # ten classes
    "resnet20": 272474,
    "resnet56": 855770,
    "resnet110": 1730714,
    "resnetv2_110": 1730522,
    "resnetv2_164": 1703258,
    "resnext29_16x64d": 68155210,
    "wrn16_8": 10961370,
    "wrn16_10": 17116634,
    "wrn28_10": 36479194,
    "wrn40_1": 563930,
    "wrn40_2": 2243546,
    "wrn40_10": 55841754,
    "ror3_56": 762746,
    "ror3_110": 1637690,
    "multiresnet26_2_10": 72691706,
    "multiresnet26_4_10": 145116730,
    "multiresnet200_5": 10189018,
    "multiresnet398_5": 20389978,
}
SMALL_STEM = {18: 11173962, 34: 21282122, 50: 23520842, 101: 42512970, 152: 58156618}


@pytest.mark.parametrize("name", IMAGENET)
def test_sizes_for_a_thousand_classes(name):
    assert ports.counted(name) == IMAGENET[name]


@pytest.mark.parametrize("name", CIFAR)
def test_sizes_of_those_for_small_pictures(name):
    assert ports.counted(name, n_classes=10) == CIFAR[name]


@pytest.mark.parametrize("depth", SMALL_STEM)
def test_sizes_of_the_large_ones_with_the_small_stem(depth):
    assert ports.counted(f"resnet{depth}", n_classes=10, small=True) == SMALL_STEM[depth]


def normed(x, norm):
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def drawn(ordering, block, x):
    """The five units of figure 4, written out."""
    first, second = (unit.conv.weight for unit in block.branch)
    inner = block.branch[0].norm

    def conv(x, weight):
        return F.conv2d(x, weight, padding=1)

    if ordering == "original":
        y = normed(conv(F.relu(normed(conv(x, first), inner)), second), block.branch[1].norm)
        return F.relu(x + y)
    if ordering == "norm after addition":
        y = conv(F.relu(normed(conv(x, first), inner)), second)
        return F.relu(normed(x + y, block.after[0]))
    if ordering == "act before addition":
        y = normed(conv(F.relu(normed(conv(x, first), inner)), second), block.branch[1].norm)
        return x + F.relu(y)
    if ordering == "act only":
        y = F.relu(normed(conv(F.relu(x), first), inner))
        return x + normed(conv(y, second), block.branch[1].norm)
    y = F.relu(normed(conv(F.relu(normed(x, block.before[0])), first), inner))
    return x + conv(y, second)


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_one_word_builds_each_of_the_five_orderings(ordering):
    block = laws.perturbed(residual(6, basic(6), ordering).double().eval())
    x = laws.noise(2, 6, 7, 9)
    laws.close(block(x), drawn(ordering, block, x))


def test_an_unknown_ordering_is_refused():
    with pytest.raises(ValueError, match="ordering='v2': expected one of original, norm after"):
        residual(6, basic(6), "v2")


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_every_ordering_makes_a_network_that_learns(ordering):
    net = backbone("resnet20", 3, 0.5, n_classes=3, ordering=ordering).double()
    laws.every_parameter_learns(net, net(laws.noise(2, 3, 16, 24)))


def test_the_identity_path_of_pre_activation_is_clean():
    """Blocks without a branch hand on what they are given, and the whole is x plus all branches."""
    blocks = [laws.perturbed(residual(6, basic(6), "full pre-activation")) for _ in range(3)]
    blocks = [block.double().eval() for block in blocks]
    x = laws.noise(2, 6, 7, 9)
    y, total = x, x
    for block in blocks:
        total = total + block.branch(block.before(y))
        y = block(y)
    laws.close(y, total)
    for block in blocks:
        with torch.no_grad():
            block.branch[-1].conv.weight.zero_()
        assert torch.equal(block(x), x)


def test_v1_and_its_usual_variant_differ_in_numbers_not_in_weights():
    nets = [backbone("resnet50", 3, 0.125, stride_first=first).eval() for first in (False, True)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = laws.noise(1, 3, 64, 96, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(nets[0](x), nets[1](x))


def test_three_forms_of_resnext_are_the_same_function():
    """Paths that are added, paths joined before the last convolution, and groups (figure 3)."""
    grouped = laws.perturbed(residual(12, bottleneck(8, 12, groups=4)).double().eval())
    reduce, spatial, expand = grouped.branch
    x, joined, added = laws.noise(2, 12, 6, 7), [], 0
    for i in range(4):
        mine = slice(2 * i, 2 * i + 2)

        def part(y, norm, mine=mine):
            which = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            return F.relu(F.batch_norm(y, *(v[mine] for v in which)))

        y = part(F.conv2d(x, reduce.conv.weight[mine]), reduce.norm)
        y = part(F.conv2d(y, spatial.conv.weight[mine], padding=1), spatial.norm)
        joined.append(y)
        added = added + F.conv2d(y, expand.conv.weight[:, mine])
    early = F.conv2d(torch.cat(joined, dim=1), expand.conv.weight)
    for form in (early, added):
        laws.close(grouped(x), F.relu(normed(form, expand.norm) + x))


def test_an_excitation_of_one_is_the_plain_network():
    plain = backbone("resnet50", 3, 0.125).double().eval()
    excited = backbone("seresnet50", 3, 0.125).double().eval()
    excited.load_state_dict(plain.state_dict(), strict=False)
    x = laws.noise(1, 3, 64, 96)
    with torch.no_grad():
        for module in excited.modules():
            if isinstance(module, SqueezeExcite):
                module.excite.weight.zero_()
                module.excite.bias.fill_(60)  # a sigmoid of 60 is 1
        laws.close(excited(x), plain(x))


def test_an_excitation_sees_no_places():
    gate = laws.perturbed(SqueezeExcite(6, 3)).double()
    x = laws.noise(2, 6, 5, 7)
    order = torch.randperm(35)
    moved = x.flatten(2)[..., order].view_as(x)
    laws.close(gate(moved), gate(x).flatten(2)[..., order].view_as(x))


def test_width_one_is_the_thin_network_and_parameters_grow_with_its_square():
    thin, wide = (ports.counted(f"wrn40_{k}", n_classes=10) for k in (1, 10))
    assert wide / thin == pytest.approx(100, rel=0.02)
    assert ports.counted("wrn40_1", n_classes=10) == ports.counted(
        "resnet110", n_classes=10, ordering="full pre-activation", stages=stages(6, 6, 6, first=16)
    )


def test_dropout_in_wide_blocks_is_between_the_convolutions():
    block = residual(8, basic(8), "full pre-activation", dropout=0.5)
    kinds = [type(part).__name__ for part in block.branch]
    assert kinds == ["ConvUnit", "Dropout", "ConvUnit"]
    plain = backbone("wrn16_8", 3, 0.125).double().eval()
    dropped = backbone("wrn16_8", 3, 0.125, dropout=0.3).double().eval()
    dropped.load_state_dict(
        dict(zip(dropped.state_dict(), plain.state_dict().values(), strict=True))
    )
    x = laws.noise(1, 3, 24, 32)
    laws.close(dropped(x), plain(x))


def test_branches_with_the_same_weights_are_one_branch_scaled():
    one, three = (
        residual(6, basic(6), "full pre-activation", branches=k).double().eval() for k in (1, 3)
    )
    laws.perturbed(one)
    (summed,) = three.branch
    for branch in summed.branches:
        branch[0].load_state_dict(one.before.state_dict())
        branch[1].load_state_dict(one.branch[0].state_dict())
        branch[2].load_state_dict(one.branch[1].state_dict())
    x = laws.noise(2, 6, 7, 9)
    laws.close(three(x) - x, 3 * (one(x) - x))
    summed.branches = summed.branches[::-1]
    laws.close(three(x) - x, 3 * (one(x) - x))


def test_one_branch_is_pre_activation():
    state = [
        backbone(name, 3, 0.5, stages=stages(1, 1, 1, first=16), **more).state_dict()
        for name, more in [("multiresnet200_5", {"branches": 1}), ("resnetv2_164", {})]
    ]
    assert {n: v.shape for n, v in state[0].items()} == {n: v.shape for n, v in state[1].items()}


def test_stochastic_depth_leaves_out_later_blocks_more_often():
    net = backbone("resnet110", 3, 0.5, drop_path=0.5, drop_mode="batch")
    blocks = [block for stage in net.stages for block in stage]
    kept = [1 - block.drop.rate for block in blocks]
    assert len(kept) == 54
    assert sum(kept) == pytest.approx((3 * 54 - 1) / 4)  # 40.25 blocks
    assert all(block.drop.mode == "batch" for block in blocks)
    x = laws.noise(1, 3, 16, 16, dtype=torch.float32)
    plain = backbone("resnet110", 3, 0.5)
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net.eval()(x), plain.eval()(x))


def test_a_block_that_is_left_out_costs_nothing():
    net = backbone("resnet20", 3, 0.5, n_classes=2, drop_path=0.999, drop_mode="batch")
    net(laws.noise(2, 3, 16, 16, dtype=torch.float32)).sum().backward()
    block = net.stages[-1][-1]
    assert all(p.grad is None for p in block.parameters())
    assert not block.branch[0].norm.num_batches_tracked
    assert net.stem.unit.conv.weight.grad is not None


def test_residual_networks_of_residual_networks_are_plain_ones_without_their_shortcuts():
    nested = laws.perturbed(backbone("ror3_56", 3, 0.5).double().eval())
    plain = backbone("resnet20", 3, 0.5, stages=stages(8, 8, 8, first=16)).double().eval()
    (whole,) = nested.stages
    with torch.no_grad():
        for outer in (whole, *whole.branch):
            for value in outer.shortcut.norm.parameters():
                value.zero_()
    inner = [v for n, v in nested.state_dict().items() if not _outer(n)]
    plain.load_state_dict(dict(zip(plain.state_dict(), inner, strict=True)))
    x = laws.noise(1, 3, 16, 24)
    with torch.no_grad():
        laws.close(nested(x), plain(x), 1e-10)


def _outer(name):
    """Whether a tensor is of a shortcut over a group or over all."""
    return name.startswith("stages.0.shortcut") or name.split(".")[4:5] == ["shortcut"]
