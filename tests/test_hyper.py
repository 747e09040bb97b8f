"""Static hypernetworks: sizes, and that they are networks with the kernels they make."""

import copy

import laws
import ports
import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.layers import HyperConv, KernelGenerator


def test_sizes():
    assert sum(p.numel() for p in KernelGenerator().parameters()) == 75920
    # the paper prints 0.097 M and 0.148 M; the second is 5 % below any count of its description
    assert ports.counted("hyper_wrn40_1", n_classes=10) == 97770
    assert ports.counted("hyper_wrn40_2", n_classes=10) == 155626
    for name, tiles in (("hyper_wrn40_1", 242), ("hyper_wrn40_2", 966)):
        convs = [m for m in backbone(name).modules() if isinstance(m, HyperConv)]
        assert len(convs) == 36
        assert sum(conv.embedding.numel() for conv in convs) == tiles * 64


def test_a_tile_is_what_the_paper_writes():
    generator = laws.perturbed(KernelGenerator(4, 6, 3)).double()
    z = laws.noise(6)
    inner, first = generator.inner.weight.view(4, 6, 6), generator.inner.bias.view(4, 6)
    outer, second = generator.outer.weight.view(4, 3, 3, 6), generator.outer.bias.view(4, 3, 3)
    for i, tile in enumerate(generator(z)):
        laws.close(tile, outer @ (inner[i] @ z + first[i]) + second)


def test_large_kernels_are_tiles_side_by_side_and_odd_ones_are_cut():
    generator = KernelGenerator(4, 6, 3).double()
    conv = HyperConv(generator, 8, 12).double()
    tile = generator(conv.embedding[1, 2]).transpose(0, 1)
    assert torch.equal(conv.kernel()[8:12, 4:8], tile)
    assert HyperConv(generator, 6, 9).double().kernel().shape == (9, 6, 3, 3)


def test_it_is_the_plain_network_with_these_kernels():
    net = laws.perturbed(backbone("hyper_wrn40_1", n_classes=5).double().eval())
    plain = backbone("wrn40_1", n_classes=5).double().eval()
    state = {n: v for n, v in net.state_dict().items() if not n.startswith("generator")}
    for name, module in net.named_modules():
        if isinstance(module, HyperConv):
            state[f"{name}.weight"] = module.kernel()
            del state[f"{name}.embedding"]
    plain.load_state_dict(state)
    x = laws.noise(2, 3, 16, 24)
    with torch.no_grad():
        laws.close(net(x), plain(x), 1e-10)


def test_the_generator_is_shared_saved_once_and_copied_with_its_network():
    net = backbone("hyper_wrn40_1", 3, 0.5)
    assert sum("generator" in name for name in net.state_dict()) == 4
    other = copy.deepcopy(net)
    with torch.no_grad():
        for p in other.generator.parameters():
            p.zero_()
    kernels = [
        next(m for m in n.modules() if isinstance(m, HyperConv)).kernel() for n in (net, other)
    ]
    assert kernels[0].any()
    assert not kernels[1].any()


def test_kernels_change_with_their_embedding_alone():
    net = backbone("hyper_wrn40_1", 3, 0.5)
    first, second = [m for m in net.modules() if isinstance(m, HyperConv)][:2]
    before = first.kernel(), second.kernel()
    with torch.no_grad():
        first.embedding.add_(1)
    assert not torch.equal(first.kernel(), before[0])
    assert torch.equal(second.kernel(), before[1])


def test_what_it_cannot_make_is_refused():
    with pytest.raises(
        ValueError, match=r"kernel_size=5, groups=1, bias=False.*: expected 3, 1, F"
    ):
        HyperConv(KernelGenerator(), 16, 16, 5)
