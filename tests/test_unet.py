"""U-Net: its levels, what the skips carry, sizes, and how many numbers it has."""

import laws
import pytest
import torch
from ports import counted

from sepaudio import hub, registry
from sepaudio.backbones import backbone, config
from sepaudio.layers import Around, doubling, fitted


def published(widths, in_channels, n_classes):
    """Numbers of the paper's network, figure 1, level by level."""

    def conv(i, o, k):
        return i * o * k * k + o

    total, before = 0, in_channels
    for width in widths:
        total += conv(before, width, 3) + conv(width, width, 3)
        before = width
    for width in reversed(widths[:-1]):
        total += conv(2 * width, width, 2) + conv(2 * width, width, 3) + conv(width, width, 3)
    return total + conv(widths[0], n_classes, 1)


def test_numbers_of_the_papers_network():
    count = counted("unet", in_channels=1, n_classes=2, norm="none")
    assert count == published((64, 128, 256, 512, 1024), 1, 2) == 31030658


def test_numbers_of_the_others():
    names = ("unet", "unet_bilinear", "unet_separable", "unet_residual")
    assert [counted(name, n_classes=19) for name in names] == [
        31044691, 13396499, 389780, 8114835
    ]  # fmt: skip


def test_a_skip_carries_an_exact_copy():
    net, x = backbone("unet_separable", 3, 0.5).double().eval(), laws.noise(1, 3, 41, 67)
    seen = []
    for module in net.modules():
        if isinstance(module, Around):
            module.register_forward_hook(lambda module, given, y: seen.append((given[0], y)))
    net(x)
    assert [given.shape[1] for given, _ in seen] == [64, 32, 16, 8]  # the deepest ends first
    assert [tuple(given.shape[2:]) for given, _ in seen] == [(5, 8), (10, 16), (20, 33), (41, 67)]
    for given, y in seen:
        assert torch.equal(y[:, -given.shape[1] :], given)
        assert y.shape[1] == 2 * given.shape[1]


@pytest.mark.parametrize("name", ["unet", "unet_bilinear", "unet_separable", "unet_residual"])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (48, 80)])
def test_maps_have_the_size_of_the_picture(name, size):
    net = backbone(name, 1, 0.125, n_classes=4).eval()
    x = laws.noise(2, 1, *size, dtype=torch.float32)
    maps = net.head.maps(net.features(x))
    assert maps.shape == (2, 4, *size)
    laws.close(net(x), maps.mean(dim=(2, 3)))


def test_a_picture_too_small_for_its_levels_is_refused():
    net = backbone("unet", 1, 0.125)
    assert net.minimum_size == (16, 16)
    with pytest.raises(ValueError, match="picture has 15 bins and 40 frames: expected at least 16"):
        net(torch.zeros(1, 1, 15, 40))
    assert backbone("unet", 1, widths=(8, 8)).minimum_size == (2, 2)
    assert backbone("unet", 1, widths=(8,)).minimum_size == (1, 1)


def test_values_that_no_unet_has_are_refused():
    with pytest.raises(ValueError, match="block='dense': expected one of plain, residual, sep"):
        config("unet", block="dense")
    with pytest.raises(ValueError, match="up='nearest': expected one of transposed, bilinear"):
        config("unet", up="nearest")
    with pytest.raises(ValueError, match=r"widths=\(\): expected the channels of one level"):
        config("unet", widths=())


def test_a_map_that_fits_is_not_touched_and_another_keeps_its_corners():
    x = laws.noise(1, 2, 5, 7)
    assert fitted(x, (5, 7)) is x
    y = fitted(x, (11, 9))
    corners = ([0, 0, -1, -1], [0, -1, 0, -1])
    laws.close(y[..., corners[0], corners[1]], x[..., corners[0], corners[1]])


@pytest.mark.parametrize("kernel", [2, 4, 6])
def test_doubling_doubles_and_keeps_the_variance(kernel):
    torch.manual_seed(1)
    x = laws.noise(1, 64, 12, 15)
    y = doubling(64, 48, kernel).double()(x)
    assert y.shape == (1, 48, 24, 30)
    assert y.std().item() == pytest.approx(1, rel=0.15)
    with pytest.raises(ValueError, match="kernel=3: expected an even number"):
        doubling(4, 4, 3)


@pytest.mark.parametrize("name", ["unet_separable", "saunet", "spinenet_49s"])
def test_a_classifier_on_it_is_saved_and_loaded(name, tmp_path):
    changes = {"backbone": name, "multiplier": 0.125, "channels": 1, "hidden": 0}
    model = registry.create("spectrogram_mobilenet", **changes).eval()
    hub.save(model, tmp_path / "model", card="# test\n", license="CC0-1.0")
    x = laws.noise(1, 8000, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(hub.load(tmp_path / "model")(x), model(x))
