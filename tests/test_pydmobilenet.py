"""PydMobileNet and its relatives: the sizes of the authors' weights, and what the cores are."""

import laws
import pytest
import torch
from sizes import macs, meta, parameters
from torch.nn import functional as F

from sepaudio.backbones import backbone
from sepaudio.layers import PyramidConv


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("pydmobilenet_29", {0.25: 59586, 0.5: 103898, 0.75: 148210, 1.0: 192522}),
        ("pydmobilenet_56", {0.25: 109146, 0.5: 200330, 0.75: 291514, 1.0: 382698}),
        ("pydmobilenet_29_concat", {0.25: 92514, 0.5: 169754, 0.75: 246994}),
        ("pydmobilenet_56_concat", {0.25: 175002, 0.5: 332042, 0.75: 489082}),
        ("cifar_mobilenet_29", {0.5: 79034, 1.0: 142794, 1.5: 206554}),
        ("cifar_mobilenet_56", {0.5: 150602, 1.0: 283242, 1.5: 415882}),
        ("cifar_resnet_29", {0.5: 221162}),
        ("cifar_resnet_56", {0.5: 434858}),
    ],
)
def test_sizes_of_the_authors_weights(name, counts):
    found = {alpha: parameters(meta(name, n_classes=10, alpha=alpha)) for alpha in counts}
    assert found == counts


def test_a_hundred_classes_and_the_cost_of_a_picture():
    more = meta("pydmobilenet_29", n_classes=100)
    assert parameters(more) - 192522 == 11610
    assert macs(meta("pydmobilenet_29", n_classes=10), 3, 32, 32) / 1e6 == pytest.approx(
        37.2, abs=0.05
    )


def test_without_its_larger_kernels_it_is_the_mobilenet():
    torch.manual_seed(1)
    pyramid = laws.perturbed(backbone("pydmobilenet_29", 3, 0.25, n_classes=4).double()).eval()
    plain = backbone("cifar_mobilenet_29", 3, 0.25, n_classes=4).double().eval()
    state = pyramid.state_dict()
    x = laws.noise(2, 3, 24, 40)
    with torch.no_grad():
        plain.load_state_dict({k: v for k, v in state.items() if k in plain.state_dict()})
        assert not torch.allclose(plain(x), pyramid(x))
        for key, value in state.items():
            if key.endswith(("branches.1.weight", "branches.2.weight")):
                value.zero_()
        laws.close(plain(x), pyramid(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_added_kernels_are_one_large_kernel(stride):
    pyramid = PyramidConv(4, (3, 5, 7), stride).double()
    one = sum(F.pad(b.weight, [(7 - b.weight.shape[-1]) // 2] * 4) for b in pyramid.branches)
    x = laws.noise(2, 4, 11, 14)
    laws.close(pyramid(x), F.conv2d(x, one, stride=stride, padding=3, groups=4))


def test_kernels_side_by_side():
    pyramid = PyramidConv(4, (3, 5), fusion="concat").double()
    x = laws.noise(2, 4, 11, 14)
    assert pyramid.out_channels == 8
    assert torch.equal(pyramid(x), torch.cat([b(x) for b in pyramid.branches], dim=1))
    with pytest.raises(ValueError, match="fusion='sum': expected one of add, concat"):
        PyramidConv(4, fusion="sum")
