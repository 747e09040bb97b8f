"""Networks that run backwards: sizes, inverses, and a backward pass that keeps nothing."""

from dataclasses import replace

import laws
import ports
import pytest
import torch
from torch import nn

from sepaudio.backbones import backbone, config
from sepaudio.backbones.revnet import stages
from sepaudio.layers import MaskedBatchNorm, PictureConv, Reversible, TimeConv

SIZES = {
    "revnet38": (10, 464890),
    "revnet110": (10, 1729194),
    "revnet164": (10, 1748778),
    "revnet54": (1000, 27553128),
    "revnet104": (1000, 45428072),
    "irevnet": (1000, 29201092),
    "irevnet301": (1000, 125120356),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name):
    n_classes, size = SIZES[name]
    assert ports.counted(name, n_classes=n_classes) == size


def function(channels):
    return nn.Sequential(
        MaskedBatchNorm(channels), nn.ReLU(), PictureConv(channels, channels, 3, bias=False)
    )


def chain(depth, dtype=torch.float64, **more):
    torch.manual_seed(depth)
    net = Reversible([function(4) for _ in range(depth)], **more).to(dtype)
    return laws.perturbed(net).train()


def kept(net, x):
    """Bytes that the forward pass keeps for the backward one, each storage once."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = (storage.nbytes(), tensor)  # alive, so that no place is reused
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(x.requires_grad_())
    return sum(size for place, (size, _) in sizes.items() if place not in weights)


def test_what_is_kept_does_not_grow_with_depth():
    x = laws.noise(2, 8, 12, 16)
    free = [kept(chain(depth), x) for depth in (2, 8, 32)]
    plain = [kept(chain(depth, stored=True), x) for depth in (2, 8, 32)]
    assert free == [x.numel() * 8] * 3
    assert plain[1] > 3 * plain[0]
    assert plain[2] > 3 * plain[1]


def test_a_whole_network_keeps_as_much_at_any_depth():
    x = laws.noise(1, 3, 32, 32, dtype=torch.float32)
    sizes = []
    for blocks in (2, 8):
        few = stages((32, 64), (blocks, blocks))
        sizes.append(kept(backbone("revnet38", stages=few).train(), x))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("squeezes", [None, [True] + [False] * 6 + [True]])
def test_gradients_and_statistics_are_those_of_ordinary_layers(squeezes):
    def made(stored):
        torch.manual_seed(0)
        functions = [function(4) for _ in range(8)]
        if squeezes:
            functions[0] = nn.Sequential(function(4), PictureConv(4, 16, 3, 2))
            functions[1:7] = [function(16) for _ in range(6)]
            functions[7] = nn.Sequential(function(16), PictureConv(16, 64, 3, 2))
        return laws.perturbed(Reversible(functions, squeezes, stored).double()).train()

    free, plain = made(False), made(True)
    x = [laws.noise(2, 8, 8, 12).requires_grad_() for _ in "ab"]
    y = [net(x) for net, x in zip((free, plain), x, strict=True)]
    laws.close(*y, 1e-13)
    weight = laws.noise(*y[0].shape, seed=3)
    for out in y:
        (out * weight).sum().backward()
    laws.close(x[0].grad, x[1].grad, 1e-10)
    for ours, theirs in zip(free.parameters(), plain.parameters(), strict=True):
        laws.close(ours.grad, theirs.grad, 1e-10)
    for (name, ours), theirs in zip(free.named_buffers(), plain.buffers(), strict=True):
        laws.close(ours.double(), theirs.double(), 1e-12)
        assert "num_batches" not in name or ours == 1


@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str
)
def test_a_chain_is_run_backwards(dtype, most):
    net, x = chain(8, dtype), laws.noise(2, 8, 9, 11, dtype=dtype)
    for mode in (True, False):
        net.train(mode)
        y = net(x).detach()
        before = [b.clone() for b in net.buffers()]
        assert (net.inverse(y) - x).abs().max() <= most * y.std()
        assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))


def test_half_precision_is_for_the_functions_alone():
    free, plain = chain(8, torch.float32), chain(8, torch.float32, stored=True)
    x = laws.noise(2, 8, 9, 11, dtype=torch.float32)
    for net in (free, plain):
        with torch.autocast("cpu", torch.bfloat16):
            y = net(x.bfloat16())
        assert y.dtype == torch.float32
        y.square().sum().backward()
    for ours, theirs in zip(free.parameters(), plain.parameters(), strict=True):
        assert (ours.grad - theirs.grad).norm() < 0.02 * theirs.grad.norm()


def test_the_same_chain_serves_sound_of_one_dimension():
    net = Reversible([TimeConv(3, 3, 5) for _ in range(4)]).double()
    x = laws.noise(2, 6, 20).requires_grad_()
    y = net(x)
    laws.close(net.inverse(y.detach()), x.detach())
    y.square().sum().backward()
    assert x.grad.abs().min() > 0


def test_frozen_functions_get_no_gradient_and_let_it_through():
    net, x = chain(4), laws.noise(2, 8, 5, 6).requires_grad_()
    net.functions[1].requires_grad_(False)
    net(x).square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.functions[1].parameters())
    assert all(p.grad is not None for p in net.functions[0].parameters())


@pytest.mark.parametrize("name", ["irevnet", "irevnet301"])
def test_no_number_is_lost_on_the_way_through_i_revnet(name):
    net = laws.perturbed(backbone(name, 3, 0.125, stages=_few(2)).double().eval())
    x = laws.noise(1, 3, 64, 96)
    with torch.no_grad():
        y = net.stem(x)
        for stage in net.stages:
            y = stage[0](y)
            assert y.numel() == x.numel()
        for stage in reversed(net.stages):
            y = stage[0].inverse(y)
        laws.close(torch.pixel_shuffle(y, 2), x, 1e-11)


def test_pictures_of_other_sizes_are_filled_up_with_zeros():
    net = backbone("irevnet", 1, 0.125, stages=_few(1)).eval()
    x = laws.noise(2, 1, 40, 70, dtype=torch.float32)
    with torch.no_grad():
        laws.close(net(x), net(nn.functional.pad(x, (0, 26, 0, 24))))
    assert net(x).shape == (2, 1024, 2, 3)


def _few(blocks):
    return tuple(replace(stage, blocks=blocks) for stage in config("irevnet").stages)


@pytest.mark.parametrize("name", ["revnet38", "revnet164", "irevnet"])
def test_the_networks_learn_as_their_stored_twins(name):
    few = _few(1) if name == "irevnet" else stages((32, 64), (2, 2))
    nets = [backbone(name, 3, n_classes=3, stages=few, stored=stored) for stored in (False, True)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = laws.noise(2, 3, 32, 64)
    for net in nets:
        net.double().train()(x).square().sum().backward()
    for ours, theirs in zip(*(net.parameters() for net in nets), strict=True):
        laws.close(ours.grad, theirs.grad, 1e-9)
