"""Every registered backbone: shapes, gradients, scaling; sizes and costs of the real ones."""

import functools
from dataclasses import dataclass

import laws
import pytest
import torch
from sizes import macs, parameters
from torch import nn

from sepaudio.backbones import backbone, build, config, names, scaled
from sepaudio.backbones.network import Network
from sepaudio.backbones.table import deep, divisible, register, wide
from sepaudio.frontends import mel_cfg
from sepaudio.layers import MaskedBatchNorm, PictureConv, ShapeGate, SqueezeExcite
from sepaudio.models import spectrogram
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier

SMALL = 1_000_000  # parameters at an eighth of the width up to which laws run in full
DEEP = 60  # convolutions, the same
EACH = 4  # names of a family at most, the same
SHALLOW = 0.001  # of the depth: one block where there are many
NAMES = names()


@functools.cache
def meta(name, *args, **kwargs):
    with torch.device("meta"):
        return backbone(name, *args, **kwargs).eval()


def shallow(name, in_channels=3, multiplier=1.0, n_classes=0, **changes):
    """One block where there are many: what holds for it holds for more of the same."""
    cfg = scaled(config(name, **changes), width=multiplier, depth=SHALLOW)
    return build(cfg, in_channels, n_classes)


def shallow_size(name):
    with torch.device("meta"):
        return shallow(name).minimum_size


def quick(name):
    with torch.device("meta"):
        net = shallow(name, 3, 0.125)
    layers = sum(isinstance(module, PictureConv | nn.Conv2d) for module in net.modules())
    return parameters(net) <= SMALL and layers <= DEEP


def narrow():
    """A few names of every family; of those that differ in numbers of blocks only, one."""
    kinds = {scaled(config(name), depth=SHALLOW): name for name in reversed(NAMES)}
    families = {}
    for name in sorted(kinds.values()):
        if quick(name):
            families.setdefault(type(config(name)), []).append(name)
    return [name for these in families.values() for name in these[:: -(-len(these) // EACH)]]


NARROW = narrow()


def small(name, in_channels=3, dtype=torch.float64, **more):
    """A narrow one, whose norms do not keep a zero a zero."""
    net = shallow(name, in_channels, 0.125, **more).to(dtype).eval()
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point() and value.squeeze().ndim <= 1:
                value.add_(0.2 * torch.rand_like(value) - 0.1)
        for module in net.modules():  # of two or three inner channels, all may start dead
            if isinstance(module, SqueezeExcite):
                module.squeeze.bias.fill_(1.0)
            if isinstance(module, ShapeGate):
                module.mix.bias.fill_(1.0)
    return net


def test_an_unknown_backbone_is_refused():
    with pytest.raises(
        ValueError, match="no backbone is called 'resnet_50'; did you mean 'resnet50'"
    ):
        backbone("resnet_50", 3, 1.0)


def test_a_name_stands_for_one_network():
    with pytest.raises(ValueError, match="'resnet50' is a backbone already"):
        register(Whole, resnet50=Whole())(lambda cfg, in_channels, n_classes: nn.Identity())
    assert type(config("resnet50")) is not Whole


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_every_backbone_at_a_size_that_is_not_square(name):
    with torch.device("meta"):
        net, x = shallow(name, n_classes=7).eval(), torch.empty(2, 3, 128, 256)
    for part, channels in zip((net.stem, *net.stages), net.stage_channels, strict=True):
        x = part(x)
        assert x.shape[1] == channels
    assert x.shape[:2] == (2, net.out_channels)
    high, wide = x.shape[2:]
    assert 1 <= high <= 128 // net.stride + 1
    assert high < wide <= 256 // net.stride + 1
    assert net.head(x).shape == (2, 7)


@pytest.mark.parametrize("name", NARROW)
def test_the_smallest_picture_is_the_smallest(name):
    net = small(name)
    high, wide = net.minimum_size
    assert net(laws.noise(1, 3, high, wide)).shape[2:].numel() >= 1
    if high > 1:
        net.minimum_size = (1, 1)
        with pytest.raises((RuntimeError, ValueError)):
            net(laws.noise(1, 3, high - 1, wide))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NARROW)
def test_any_number_of_channels_and_finite_features(name, channels, device):
    net = small(name, channels, torch.float32).to(device)
    y = net(laws.noise(2, channels, 96, 128, dtype=torch.float32, device=device))
    assert y.shape[:2] == (2, net.out_channels)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", NARROW)
def test_a_picture_alone_is_a_picture_in_a_batch(name):
    net, x = small(name), laws.noise(3, 3, 96, 128)
    with torch.no_grad():
        laws.close(net(x[1:2])[0], net(x)[1], 1e-10)


@pytest.mark.parametrize("name", NARROW)
def test_gradients_reach_every_parameter(name):
    net = small(name, n_classes=5).train()
    laws.every_parameter_learns(net, net(laws.noise(2, 3, 96, 128)))


@pytest.mark.parametrize("name", NARROW)
def test_the_spectrogram_classifier_takes_any_backbone(name, monkeypatch):
    monkeypatch.setattr(spectrogram, "backbone", shallow)
    bands = max(64, shallow_size(name)[0])
    cfg = SpectrogramCfg(
        backbone=name,
        multiplier=0.125,
        channels=1,
        features=mel_cfg("psf", 16000, n_mels=bands),
    )
    model = SpectrogramClassifier(cfg).eval()
    x = laws.noise(2, 20000, dtype=torch.float32)
    lengths = torch.tensor([20000, 16500])
    with torch.no_grad():
        together = model(x, lengths)
        laws.close(together[1], model(x[1:, :16500])[0], 1e-4)


@dataclass(frozen=True)
class Part:
    channels: tuple[int, ...] = wide()
    blocks: int = deep(1)
    groups: int = 3


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...] = ()
    last: int = wide(0)


def test_scaling_reaches_every_marked_value_and_no_other():
    cfg = Whole(parts=(Part(channels=(16, 24), blocks=3),), last=0)
    assert scaled(cfg) == cfg
    assert scaled(cfg, width=1.5, depth=1.2) == Whole(parts=(Part((24, 40), blocks=4),), last=0)
    with pytest.raises(ValueError, match=r"width=0, depth=1\.0: expected more than 0"):
        scaled(cfg, width=0)


@pytest.mark.parametrize(("channels", "expected"), [(3, 8), (12, 16), (36.3, 40), (89.6, 88)])
def test_widths_are_multiples_of_eight_and_not_far_below(channels, expected):
    assert divisible(channels) == expected
    assert expected >= 0.9 * channels


@pytest.mark.parametrize("name", ["mobilenet_v1", "resnet50"])
def test_compound_scaling_costs_what_it_says(name):
    cfg, (depth, width, resolution) = config(name), (1.4, 1.2, 1.3)
    with torch.device("meta"):
        plain, grown = build(cfg).eval(), build(scaled(cfg, width=width, depth=depth)).eval()
    ratio = macs(grown, 3, 288, 288) / macs(plain, 3, 224, 224)
    # whole blocks and multiples of eight; a stem has one depth
    assert ratio == pytest.approx(depth * width**2 * (288 / 224) ** 2, rel=0.2)
    assert resolution == pytest.approx(288 / 224, abs=0.02)


@pytest.mark.parametrize(
    ("name", "trunk", "published", "gmacs"),
    [
        ("resnet50", 23508032, 25557032, 4.089),
        ("resnext50_32x4d", 22979904, 25028904, 4.230),
    ],
)
def test_sizes_of_the_residual_networks(name, trunk, published, gmacs):
    net = meta(name)
    assert (net.out_channels, net.stride) == (2048, 32)
    assert net.stage_channels == (64, 256, 512, 1024, 2048)
    assert net.stage_strides == (4, 1, 2, 2, 2)
    assert parameters(net) == trunk
    assert parameters(meta(name, n_classes=1000)) == published
    assert macs(meta(name, n_classes=1000), 3, 224, 224) / 1e9 == pytest.approx(gmacs, abs=5e-4)


def test_the_papers_stride_costs_less_and_has_the_same_weights():
    theirs, ours = meta("resnet50", n_classes=1000, stride_first=True), meta("resnet50")
    assert macs(theirs, 3, 224, 224) / 1e9 == pytest.approx(3.858, abs=5e-4)
    theirs = meta("resnet50", stride_first=True)
    shapes = [{n: v.shape for n, v in net.state_dict().items()} for net in (theirs, ours)]
    assert shapes[0] == shapes[1]


def test_resnet_101_is_another_list_of_blocks():
    assert parameters(meta("resnet101", n_classes=1000)) == 44549160


def test_a_stage_needs_its_channels_and_stride():
    with pytest.raises(ValueError, match="1 stages with 1 channels and 2 strides: expected one of"):
        Network(nn.Identity(), [nn.Identity()], [8], [1, 1])


def test_shapes_and_cost_of_resnet_50_for_a_clip_of_five_seconds():
    net, x = meta("resnet50"), torch.empty(1, 3, 341, 394, device="meta")
    sizes = []
    for part in (net.stem, *net.stages):
        x = part(x)
        sizes.append(tuple(x.shape[2:]))
    assert sizes == [(86, 99), (86, 99), (43, 50), (22, 25), (11, 13)]
    assert macs(net, 3, 341, 394) / 1e9 == pytest.approx(11.40, abs=0.005)


def test_the_separable_trunk_leaves_room_for_attention_in_a_million():
    net = meta("separable")
    c, kernels = net.stage_channels, (3, 5, 3, 5)
    attention = [
        (i * k + i) + (i * o + o) + 2 * o for i, o, k in zip(c, c[1:], kernels, strict=False)
    ]
    d = net.out_channels
    fifth = (15 * d + d) + (d * d + d) + 2 * d
    assert parameters(net) == 916784
    assert parameters(net) + sum(attention) + fifth + 50 * d + 50 <= 1_000_000
    assert macs(net, 3, 341, 394) / 1e6 == pytest.approx(461, abs=0.5)


def test_the_full_convolution_twin_of_mobilenet():
    assert parameters(meta("mobilenet_v1_full", n_classes=1000)) == 29294088


@pytest.mark.parametrize("name", NARROW)
def test_first_weights_keep_the_size_of_gradients(name):
    net = shallow(name, 3, 0.5)
    for module in net.modules():
        if isinstance(module, PictureConv | nn.Conv2d) and module.weight.numel() > 300:
            outputs, _, *kernel = module.weight.shape
            scale = (2 * module.groups / (outputs * kernel[0] * kernel[1])) ** 0.5
            assert module.weight.std().item() == pytest.approx(scale, rel=0.3)
        if isinstance(module, MaskedBatchNorm) and module.affine:
            assert not module.bias.any()
