"""Every registered backbone: shapes, padding, gradients; sizes and costs of the real ones."""

import laws
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sepaudio.backbones import BACKBONES, ResNet, SeparableTrunk, backbone
from sepaudio.layers import MaskedBatchNorm, PictureConv
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier

STAGED = [name for name in BACKBONES if name != "mobilenet_v1"]


def small(name, in_channels=3, dtype=torch.float64):
    """A narrow one, whose norms do not keep a zero a zero."""
    net = backbone(name, in_channels, 0.125).to(dtype).eval()
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point() and value.ndim == 1:
                value.add_(0.2 * torch.rand_like(value) - 0.1)
    return net


def meta(build, *args, **kwargs):
    with torch.device("meta"):
        return build(*args, **kwargs).eval()


def macs(net, *shape):
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_how_many_backbones_are_under_the_laws():
    assert len(BACKBONES) == 4


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="backbone='resnet': expected one of mobilenet_v1, resnet"):
        backbone("resnet", 3, 1.0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", BACKBONES)
def test_pictures_of_any_shape(name, channels, device):
    net = small(name, channels, torch.float32).to(device)
    for high, wide in ((33, 97), (64, 31), (1, 1)):
        x = laws.noise(2, channels, high, wide, dtype=torch.float32, device=device)
        y = net(x)
        assert y.shape == (2, net.out_channels, -(-high // net.stride), -(-wide // net.stride))
        assert torch.isfinite(y).all()
        assert net.lengths(torch.tensor([wide])).item() == y.shape[-1]


@pytest.mark.parametrize("name", BACKBONES)
def test_padding_in_a_batch_changes_nothing(name, device):
    net = small(name).to(device)
    lengths = torch.tensor([131, 96, 67, 33, 2, 1], device=device)
    x = 3 * laws.noise(len(lengths), 3, 37, 131, device=device)  # the padding is noise, too
    with torch.no_grad():
        together, after = net(x, lengths), net.lengths(lengths).tolist()
        for row, length in enumerate(lengths):
            alone = net(x[row : row + 1, ..., :length])[0]
            laws.close(together[row, ..., : after[row]], alone)


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_every_parameter(name):
    net = small(name).train()
    laws.every_parameter_learns(net, net(laws.noise(2, 3, 65, 97)))


@pytest.mark.parametrize("name", STAGED)
def test_stages_by_hand_are_the_whole(name):
    net = small(name)
    assert len(net.stages) == 4
    assert len(net.stage_channels) == len(net.stage_strides) == 5
    assert net.stage_channels[-1] == net.out_channels
    lengths, high, wide = torch.tensor([70, 131]), 45, 131
    picture = x = laws.noise(2, 3, high, wide)
    with torch.no_grad():
        for part, channels, stride in zip(
            (net.stem, *net.stages), net.stage_channels, net.stage_strides, strict=True
        ):
            x, lengths = part(x, lengths), -(-lengths // stride)
            high, wide = -(-high // stride), -(-wide // stride)
            assert x.shape == (2, channels, high, wide)
        laws.close(x, net(picture, torch.tensor([70, 131])), 0)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_spectrogram_classifier_takes_any_backbone(name):
    cfg = SpectrogramCfg(backbone=name, multiplier=0.125, channels=1)
    model = SpectrogramClassifier(cfg).eval()
    x = laws.noise(2, 9000, dtype=torch.float32)
    lengths = torch.tensor([9000, 5000])
    with torch.no_grad():
        together = model(x, lengths)
        laws.close(together[1], model(x[1:, :5000])[0], 1e-4)


@pytest.mark.parametrize(
    ("name", "trunk", "published", "gmacs"),
    [
        ("resnet50", 23508032, 25557032, 4.089),
        ("resnext50_32x4d", 22979904, 25028904, 4.230),
    ],
)
def test_sizes_of_the_residual_networks(name, trunk, published, gmacs):
    net = meta(backbone, name, 3, 1.0)
    assert (net.out_channels, net.stride) == (2048, 32)
    assert net.stage_channels == (64, 256, 512, 1024, 2048)
    assert net.stage_strides == (4, 1, 2, 2, 2)
    assert parameters(net) == trunk
    assert parameters(net) + 2048 * 1000 + 1000 == published
    assert (macs(net, 3, 224, 224) + 2048 * 1000) / 1e9 == pytest.approx(gmacs, abs=5e-4)


def test_the_papers_stride_costs_less_and_has_the_same_weights():
    theirs, ours = meta(ResNet, stride_first=True), meta(ResNet)
    assert (macs(theirs, 3, 224, 224) + 2048 * 1000) / 1e9 == pytest.approx(3.858, abs=5e-4)
    shapes = [{n: v.shape for n, v in net.state_dict().items()} for net in (theirs, ours)]
    assert shapes[0] == shapes[1]


def test_resnet_101_is_another_list_of_blocks():
    net = meta(ResNet, blocks=(3, 4, 23, 3))
    assert parameters(net) + 2048 * 1000 + 1000 == 44549160


def test_a_count_of_blocks_for_every_stage():
    with pytest.raises(ValueError, match=r"blocks=\(3, 4\): expected a count for each of 4 stages"):
        ResNet(blocks=(3, 4))


def test_shapes_and_cost_of_resnet_50_for_a_clip_of_five_seconds():
    net, x = meta(ResNet), torch.empty(1, 3, 341, 394, device="meta")
    sizes = []
    for part in (net.stem, *net.stages):
        x = part(x)
        sizes.append(tuple(x.shape[2:]))
    assert sizes == [(86, 99), (86, 99), (43, 50), (22, 25), (11, 13)]
    assert macs(net, 3, 341, 394) / 1e9 == pytest.approx(11.40, abs=0.005)


def test_the_separable_trunk_leaves_room_for_attention_in_a_million():
    net = meta(SeparableTrunk)
    c, kernels = net.stage_channels, (3, 5, 3, 5)
    attention = [
        (i * k + i) + (i * o + o) + 2 * o for i, o, k in zip(c, c[1:], kernels, strict=False)
    ]
    d = net.out_channels
    fifth = (15 * d + d) + (d * d + d) + 2 * d
    assert parameters(net) == 916784
    assert parameters(net) + sum(attention) + fifth + 50 * d + 50 <= 1_000_000
    assert macs(net, 3, 341, 394) / 1e6 == pytest.approx(461, abs=0.5)


@pytest.mark.parametrize("name", BACKBONES)
def test_first_weights_keep_the_size_of_gradients(name):
    net = backbone(name, 3, 0.5)
    for module in net.modules():
        if isinstance(module, PictureConv | nn.Conv2d):
            outputs, _, *kernel = module.weight.shape
            scale = (2 * module.groups / (outputs * kernel[0] * kernel[1])) ** 0.5
            assert module.weight.std().item() == pytest.approx(scale, rel=0.3)
        if isinstance(module, MaskedBatchNorm):
            assert (module.weight == 1).all()
            assert not module.bias.any()
