"""SAUNet: its numbers, its two streams, masks and sizes."""

import laws
import pytest
import torch
from ports import counted

from sepaudio.backbones import backbone, config
from sepaudio.backbones.saunet import SAUNetCfg, borders, streams_loss
from sepaudio.layers import DualAttention, ShapeGate, SpatialGate, SqueezeExcite, ridges


def little(**more):
    """Narrow, with dense blocks of two layers, whose norms hide no branch."""
    changes = {"encoder": {"layers": (2, 2, 2, 2)}} | more
    return laws.perturbed(backbone("saunet", 1, 0.125, n_classes=3, **changes).double().eval())


def test_numbers_of_the_released_layout():
    assert counted("saunet", n_classes=4) == 31871505
    with torch.device("meta"):
        net = backbone("saunet")
        dense = backbone("densenet121")
    numbers = [sum(p.numel() for p in part.parameters()) for part in (net.stages[0].encoder, dense)]
    assert numbers == [6953856, 6953856]


@pytest.mark.parametrize("size", [(32, 64), (96, 160), (31, 50), (45, 77)])
def test_features_and_edges_have_the_size_of_the_picture(size):
    net, x = little(), laws.noise(2, 1, *size)
    features, edges = net.stages[0].both(x)
    assert features.shape == (2, 8, *size)
    assert edges.shape == (2, 1, *size)
    assert ((edges >= 0) & (edges <= 1)).all()
    assert net.head.maps(features).shape == (2, 3, *size)
    laws.close(net(x), net.head.maps(features).mean(dim=(2, 3)))


def test_without_its_edges_it_is_an_attention_unet():
    net, x = little(), laws.noise(1, 1, 32, 48)
    streams = net.stages[0]
    torch.nn.init.zeros_(streams.expand.norm.weight)
    torch.nn.init.zeros_(streams.expand.norm.bias)
    before = net(x)
    laws.perturbed(streams.shape, seed=3)
    laws.perturbed(streams.weigh, seed=4)
    assert torch.equal(net(x), before)
    assert torch.equal(streams.both(x, torch.rand_like(x))[0], net.features(x))
    streams.mix.conv.weight.data[:, 8:] = 7.0  # what would have seen the edges
    assert torch.equal(net(x), before)


def test_edges_of_the_picture_are_heard():
    streams, x = little().stages[0], laws.noise(1, 1, 32, 48)
    assert torch.equal(streams.both(x, ridges(x))[0], streams(x))
    assert not torch.equal(streams.both(x, 1 - ridges(x))[0], streams(x))


def test_ridges_are_the_steepest_places():
    x = torch.zeros(2, 3, 8, 9)
    x[0, :, :, 4:] = 5.0
    y = ridges(x)
    assert not y[1].any()
    assert (y[0, 0, :, 3:5] == 1).all()
    assert not y[0, 0, :, :3].any()
    assert not y[0, 0, :, 5:].any()
    laws.close(ridges(x.transpose(2, 3)), y.transpose(2, 3))


def test_a_shape_gate_scales_by_one_and_its_mask():
    gate = laws.perturbed(ShapeGate(5).double().eval())
    x, coarse = laws.noise(2, 5, 6, 7), laws.noise(2, 1, 6, 7, seed=2)
    mask = gate.mask(x, coarse)
    assert mask.shape == (2, 1, 6, 7)
    assert ((mask > 0) & (mask < 1)).all()
    laws.close(gate(x, coarse), gate.last(x + x * mask))
    torch.nn.init.constant_(gate.judge_norm.bias, -1e3)  # nothing is an edge
    laws.close(gate(x, coarse), gate.last(x))


def test_dual_attention_weighs_by_channel_and_by_place():
    step = laws.perturbed(DualAttention(4, 3, 32).double().eval())
    deep, skip = laws.noise(2, 4, 5, 6), laws.noise(2, 3, 10, 12)
    x = {}
    step.mix.register_forward_hook(lambda module, given, y: x.update(mixed=y))
    y = step(deep, skip)
    assert y.shape == (2, 32, 10, 12)
    place = step.place(x["mixed"])
    assert isinstance(step.place, SpatialGate)
    assert ((place > 0) & (place < 1)).all()
    laws.close(y, step.channel(x["mixed"]) * (1 + place))


def test_an_encoder_of_another_depth_is_refused():
    with pytest.raises(ValueError, match="encoder of 3 blocks, decoder of 4 steps, shape of 4: ex"):
        config("saunet", encoder={"layers": (1, 1, 1)})
    with pytest.raises(ValueError, match="shape of 2: expected 4 of each"):
        SAUNetCfg(shape=(8, 4))


def test_gradients_reach_both_streams():
    net = backbone("saunet", 1, 0.125, n_classes=3, encoder={"layers": (2, 2, 2, 2)}).double()
    for module in net.modules():  # of one inner channel, all may start dead
        if isinstance(module, SqueezeExcite):
            torch.nn.init.ones_(module.squeeze.bias)
    features, edges = net.stages[0].both(laws.noise(2, 1, 64, 96))
    maps = net.head.maps(features)
    laws.every_parameter_learns(net, torch.cat([maps, edges], dim=1))


def test_borders_are_on_both_sides_of_a_change():
    labels = torch.zeros(1, 4, 6, dtype=torch.long)
    labels[0, :, 3:] = 1
    assert borders(labels)[0, 0].tolist() == [[0, 0, 1, 1, 0, 0]] * 4
    assert torch.equal(borders(labels.transpose(1, 2)), borders(labels).transpose(2, 3))
    assert not borders(labels * 0).any()


def test_the_loss_of_both_streams():
    labels = torch.randint(0, 3, (2, 5, 7), generator=torch.Generator().manual_seed(0))
    true = torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).double()
    edges = borders(labels).double()
    assert streams_loss(100 * true, edges, labels) < 1e-6  # the fourth class is absent
    flat, weights = torch.zeros(2, 4, 5, 7).double(), (1.0, 0.0, 0.0)
    assert streams_loss(flat, edges, labels, weights).item() == pytest.approx(1.3862943611)
    dice = streams_loss(flat, edges, labels, (0.0, 1.0, 0.0)).item()
    n, counts = labels.numel(), true.sum(dim=(0, 2, 3))
    expected = 1 - (2 * counts / 4 / (counts + n / 4)).mean()
    assert dice == pytest.approx(expected.item(), abs=1e-6)
    unsure = streams_loss(flat, edges * 0 + 0.5, labels, (0.0, 0.0, 1.0)).item()
    assert unsure == pytest.approx(0.6931471806)
