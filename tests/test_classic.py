"""LeNet-5, AlexNet, VGG, Network in Network, Tiny DarkNet, SqueezeNet, SqueezeNext."""

import laws
import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.layers import PictureConv

COUNTS = {  # of 1000 classes, unless others are named
    "alexnet": 61100840,
    "alexnet_response": 62378344,
    "alexnet_response_grouped": 60965224,
    "vgg11": 132863336,
    "vgg13": 133047848,
    "vgg16": 138357544,
    "vgg19": 143667240,
    "vgg11_bn": 132868840,
    "vgg13_bn": 133053736,
    "vgg16_bn": 138365992,
    "vgg19_bn": 143678248,
    "vgg16_c": 138357544 - 8 * (256**2 + 2 * 512**2),  # three kernels of 1 in the place of 9
    "darknet_tiny": 1042104,
    "squeezenet1_0": 1248424,
    "squeezenet1_0_simple": 1248424,
    "squeezenet1_0_complex": 1589672,  # 6.06 MiB; the paper prints 7.7 MB
    "squeezenet1_1": 1235496,
    "squeezenext_23": 718280,
    "squeezenext_23_v5": 931016,
    "squeezenext_23_grouped": 544072,
    "squeezenext_23_2x": 2362728,
    "squeezenext_23_v5_2x": 3223912,
}


def meta(*args, **kwargs):
    with torch.device("meta"):
        return backbone(*args, **kwargs)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_counts(name, count):
    assert parameters(meta(name, n_classes=1000)) == count


def test_counts_of_ten_classes():
    assert parameters(meta("lenet5", 1, n_classes=10)) == 61706
    assert parameters(meta("nin", n_classes=10)) == 966986
    assert parameters(meta("all_cnn_c", n_classes=10)) == 1369738


def test_all_cnn_has_no_pool():
    names = {type(m).__name__ for m in meta("all_cnn_c").modules()}
    assert not [name for name in names if "Pool" in name]


def test_the_dense_layers_of_lenet_fit_a_picture_of_32_by_32():
    net = backbone("lenet5", 1, n_classes=10)
    assert net.features(torch.zeros(1, 1, 32, 32)).shape == (1, 16, 5, 5)


@pytest.mark.parametrize(("name", "size"), [("alexnet", 6), ("alexnet_response", 6), ("vgg16", 7)])
def test_the_dense_layers_fit_a_picture_of_224_by_224(name, size):
    net = meta(name, 3, 0.125)
    x = torch.empty(1, 3, 224, 224, device="meta")
    assert net.features(x).shape[2:] == (size, size)


def test_groups_of_alexnet_are_halves_that_do_not_hear_each_other():
    grouped = backbone("alexnet_response_grouped", 3, 0.125).double().eval()
    whole = backbone("alexnet_response", 3, 0.125).double().eval()
    state = grouped.state_dict()
    for name, module in grouped.named_modules():
        if isinstance(module, PictureConv) and module.groups == 2:
            upper, lower = module.weight.chunk(2)
            zeros = torch.zeros_like(upper)
            rows = torch.cat([upper, zeros], dim=1), torch.cat([zeros, lower], dim=1)
            state[f"{name}.weight"] = torch.cat(rows)
    whole.load_state_dict(state)
    x = laws.noise(1, 3, 70, 95)
    with torch.no_grad():
        laws.close(grouped(x), whole(x))


@pytest.mark.parametrize(("layers", "field"), [(2, 5), (3, 7), (5, 11)])
def test_small_kernels_in_a_row_are_a_large_one_for_fewer_weights(layers, field):
    convs = torch.nn.Sequential(*(PictureConv(1, 1, 3, bias=False) for _ in range(layers)))
    for conv in convs:
        torch.nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 31, 31)
    x[..., 15, 15] = 1
    assert (convs(x)[0, 0, 15] > 0).sum() == field
    assert sum(p.numel() for p in convs.parameters()) == 9 * layers < field**2


def test_a_bypass_that_is_zero_leaves_the_plain_network():
    bypassed = backbone("squeezenet1_0_complex", 3, 0.125, stem=24).double().eval()
    plain = backbone("squeezenet1_0", 3, 0.125, stem=24).double().eval()
    forks = [m for m in bypassed.modules() if type(m).__name__ == "Branches" and m.combine == "add"]
    assert len(forks) == 8
    for fork in forks:
        simple = not list(fork.branches[1].parameters())
        fork.scale = 0.0 if simple else 1.0
        for value in fork.branches[1].parameters():
            torch.nn.init.zeros_(value)
    shared = [
        v for n, v in bypassed.state_dict().items() if ".branches.1.0.conv" not in n or v.any()
    ]
    plain.load_state_dict(dict(zip(plain.state_dict(), shared, strict=True)))
    x = laws.noise(1, 3, 40, 61)
    with torch.no_grad():
        laws.close(bypassed(x), plain(x))


def test_an_unknown_bypass_is_refused():
    with pytest.raises(ValueError, match="bypass='both': expected one of none, simple, complex"):
        backbone("squeezenet1_0", bypass="both")


def test_squeezenet_takes_pictures_down_to_21_and_17():
    assert meta("squeezenet1_0").minimum_size == (21, 21)
    assert meta("squeezenet1_1").minimum_size == (17, 17)
    with pytest.raises(ValueError, match="picture has 20 bins and 30 frames: expected at least 21"):
        meta("squeezenet1_0")(torch.empty(1, 3, 20, 30, device="meta"))


def test_squeezenext_has_111_convolutions():
    for name in ("squeezenext_23", "squeezenext_23_v5"):
        assert sum(isinstance(m, PictureConv) for m in meta(name).modules()) == 111
