"""Networks without norms: published sizes, filters of a known size, signals of a known size."""

import laws
import ports
import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.backbones.table import StageCfg
from sepaudio.layers import GAINS, PictureConv, Scale, ScaledConv, activation

SIZES = {
    "nf_resnet26": 15995176,
    "nf_resnet50": 25557032,
    "nf_resnet101": 44549160,
    "nfnet_f0": 71489284,
    "nfnet_f1": 132634256,
    "nfnet_f2": 193779228,
    "nfnet_f3": 254924200,
    "nfnet_f4": 316069172,
    "nfnet_f5": 377214144,
    "nfnet_f6": 438359116,
}


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name):
    assert ports.counted(name) == SIZES[name]


@pytest.mark.parametrize("padding", ["same", "tensorflow"])
@pytest.mark.parametrize("groups", [1, 4])
def test_filters_are_standardised_and_convolved_with(groups, padding):
    conv = laws.perturbed(
        ScaledConv(8, 12, (3, 5), 2, groups=groups, padding=padding, act_gain=1.7)
    )
    conv = conv.double()
    with torch.no_grad():
        conv.weight.mul_(100)  # so that eps is nothing
        conv.weight.add_(3)
    weight, fan_in = conv.standardized(), 8 // groups * 15
    assert weight.mean(dim=(1, 2, 3)).abs().max() < 1e-12
    laws.close(
        weight.var(dim=(1, 2, 3), correction=0), (conv.gain * 1.7)[:, 0, 0, 0] ** 2 / fan_in, 1e-6
    )
    plain = PictureConv(8, 12, (3, 5), 2, groups=groups, padding=padding).double()
    plain.load_state_dict({"weight": weight.detach(), "bias": conv.bias.detach()})
    x = laws.noise(2, 8, 9, 12)
    laws.close(conv(x), plain(x))


def test_wrong_padding_is_refused():
    with pytest.raises(ValueError, match="padding='full': expected one of same, valid, tensorflow"):
        ScaledConv(2, 2, padding="full")


@pytest.mark.parametrize("act", GAINS)
def test_an_activation_with_its_gain_keeps_the_variance_of_noise(act):
    x = laws.noise(200_000)
    assert (GAINS[act] * activation(act)(x)).var().item() == pytest.approx(1, rel=0.02)


def test_a_learned_scale_starts_where_it_is_told():
    x = laws.noise(2, 3)
    assert not Scale(0.2, 0.0)(x).any()
    laws.close(Scale(0.2, 1.0).double()(x), 0.2 * x, 1e-6)
    laws.close(Scale(0.2)(x), 0.2 * x)


def test_the_variance_of_every_block_is_the_one_its_input_is_divided_by():
    """1 + n * alpha² after block n, for white noise; halving its size would make it quieter."""
    stage = StageCfg(channels=256, blocks=6)
    net = backbone("nf_resnet50", alpha=0.5, stages=(stage,)).double()
    for module in net.modules():
        if isinstance(module, ScaledConv):
            torch.nn.init.ones_(module.gain)
    x, measured, assumed = laws.noise(2, 64, 24, 32), [], []
    with torch.no_grad():
        for block in list(net.stages[0])[:-1]:
            assumed.append(block.before[1].factor ** -2)
            measured.append(x.var(dim=(0, 2, 3)).mean().item())
            x = block(x)
    assert assumed == pytest.approx([1 + 0.25 * n for n in range(6)])
    assert measured == pytest.approx(assumed, rel=0.1)


def test_a_picture_alone_gives_what_it_gives_in_a_batch_even_in_training():
    """Nothing is shared in a batch; what is left of a difference is the order of additions."""
    net = laws.perturbed(backbone("nfnet_f0", 3, 0.125, drop_path=0.0).double()).train()
    x = laws.noise(3, 3, 64, 96)
    with torch.no_grad():
        laws.close(net(x)[1:2], net(x[1:2]), 1e-13)
