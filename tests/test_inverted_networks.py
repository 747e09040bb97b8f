"""Networks of inverted residuals: published sizes and costs, heads, blocks that vanish."""

import laws
import pytest
import torch
from sizes import macs, meta, parameters

from sepaudio.backbones import backbone, config
from sepaudio.backbones.efficientnet import FACTORS
from sepaudio.layers import DropPath, InvertedResidual, activation

EFFICIENTNET = dict(
    zip(
        FACTORS,
        [
            (5288548, 0.386),
            (7794184, 0.687),
            (9109994, 0.994),
            (12233232, 1.827),
            (19341616, 4.394),
            (30389784, 10.266),
            (43040704, 19.068),
            (66347960, 37.746),
            (87413142, 62.597),
        ],
        strict=True,
    )
)


@pytest.mark.parametrize(
    ("name", "multiplier", "count", "millions"),
    [
        ("mobilenet_v2", 0.35, 1677128, 59.3),
        ("mobilenet_v2", 0.5, 1968680, 97.1),
        ("mobilenet_v2", 0.75, 2636424, 209.1),
        ("mobilenet_v2", 1.0, 3504872, 300.8),
        ("mobilenet_v2", 1.4, 6108776, 582.2),
        ("mobilenet_v3_large", 1.0, 5483032, 216.6),
        ("mobilenet_v3_large", 0.75, 3993528, 154.6),
        ("mobilenet_v3_small", 1.0, 2542856, 56.5),
        ("mobilenet_v3_small", 0.75, 2041872, 43.4),
        ("mnasnet_a1", 1.0, 3887038, 311.6),
        ("mnasnet_b1", 1.0, 4383312, 314.4),
        ("fbnet_a", 1.0, 4321464, 249.9),
        ("fbnet_b", 1.0, 4813048, 296.6),
        ("fbnet_c", 1.0, 5572200, 385.0),
    ],
)
def test_published_sizes_and_costs(name, multiplier, count, millions):
    net = meta(name, 3, multiplier, n_classes=1000)
    assert parameters(net) == count
    assert macs(net, 3, 224, 224) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", FACTORS)
def test_efficientnet_is_one_function_of_two_factors(name):
    count, billions = EFFICIENTNET[name]
    net, size = meta(f"efficientnet_{name}", n_classes=1000), FACTORS[name][2]
    assert parameters(net) == count
    assert macs(net, 3, size, size) / 1e9 == pytest.approx(billions, abs=5e-4)


@pytest.mark.parametrize(("name", "blocks"), [("a", 19), ("b", 21), ("c", 21)])
def test_blocks_that_the_search_skipped_vanish(name, blocks):
    net = meta(f"fbnet_{name}")
    assert sum(isinstance(m, InvertedResidual) for m in net.modules()) == blocks
    assert net.stage_channels == (16, 16, 24, 32, 64, 112, 184, 352, net.out_channels)


def test_the_mean_comes_before_the_widest_layer():
    net = backbone("mobilenet_v3_small", 3, 0.25, n_classes=7).double().eval()
    x = laws.noise(1, 3, 64, 96)
    with torch.no_grad():
        features = net.features(x)
        shuffled = features.flatten(2)[..., torch.randperm(features[0, 0].numel())]
        laws.close(net.head(shuffled.view_as(features)), net(x))
    assert [m.out_features for m in net.head.modules() if hasattr(m, "out_features")] == [1024, 7]


def test_hard_swish_by_its_formula():
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    y = activation("hard_swish")(x)
    laws.close(y, x * (x + 3).clamp(0, 6) / 6)
    assert not y[x <= -3].any()
    laws.close(y[x >= 3], x[x >= 3])


def test_nothing_follows_the_last_convolution_of_a_block_and_only_equal_shapes_are_added():
    net = meta("mobilenet_v2")
    blocks = [m for m in net.modules() if isinstance(m, InvertedResidual)]
    assert len(blocks) == 17
    assert sum(b.adds for b in blocks) == 10
    block = InvertedResidual(4, 24, 6).double().eval()
    x = laws.noise(2, 4, 5, 7)
    torch.nn.init.zeros_(block.project_norm.weight)
    torch.nn.init.constant_(block.project_norm.bias, -1.0)
    assert (block(x) == -1).all()


def test_a_narrow_net_keeps_its_last_layer_where_the_paper_does():
    assert meta("mobilenet_v2", 3, 0.25).out_channels == 1280
    assert meta("efficientnet_b0", 3, 0.5).out_channels == 640
    assert config("mobilenet_v2").last == 1280


def test_drop_connect_leaves_out_later_blocks_more_often():
    net = meta("efficientnet_b0", drop_path=0.2)
    rates = [m.drop.rate for m in net.modules() if isinstance(m, InvertedResidual)]
    assert rates == pytest.approx([0.2 * (n + 1) / 16 for n in range(16)])
    plain = meta("efficientnet_b0")
    assert not any(m.drop.rate for m in plain.modules() if isinstance(m, InvertedResidual))
    assert list(net.state_dict()) == list(plain.state_dict())


def test_a_block_that_is_left_out_is_its_input_and_the_mean_is_what_evaluation_gives():
    block = InvertedResidual(4, 8, 4, drop=DropPath(0.5)).double()
    block.requires_grad_(False)
    block.eval()
    x = laws.noise(1, 4, 5, 7)
    whole = block(x)
    block.drop.train()  # the norms keep their statistics
    drawn = block(x.expand(400, -1, -1, -1))
    left_out = (drawn == x).flatten(1).all(dim=1)
    assert 150 < left_out.sum() < 250
    laws.close(drawn[~left_out][0], (2 * whole - x)[0])
    narrower = InvertedResidual(4, 8, 6, drop=DropPath(0.5)).double().train()
    assert (narrower(x.expand(20, -1, -1, -1)).flatten(1).abs().sum(dim=1) > 0).all()
