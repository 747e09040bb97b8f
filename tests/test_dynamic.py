"""Kernels that another signal decides: against loops, ordinary convolutions and shifts."""

import laws
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sepaudio.layers import DynamicConv, DynamicFilter, position_conv, sample_conv

PLACES = {1: ((11,), (5,), F.conv1d), 2: ((6, 9), (3, 5), F.conv2d)}  # x, kernel, convolution


@pytest.fixture(params=PLACES, ids="{}-D".format)
def axes(request):
    return PLACES[request.param]


@pytest.mark.parametrize("groups", [1, 2])
def test_every_sample_has_its_own_kernel(axes, groups):
    places, size, conv = axes
    x, kernels = laws.noise(3, 4, *places), laws.noise(3, 6, 4 // groups, *size, seed=1)
    one_by_one = [
        conv(x[i : i + 1], kernels[i], padding=[k // 2 for k in size], groups=groups)
        for i in range(3)
    ]
    laws.close(sample_conv(x, kernels, groups), torch.cat(one_by_one))


@pytest.mark.parametrize("size", [2, 4, (2, 3)])
def test_even_kernels_give_as_many_places(size):
    sizes = (size, size) if isinstance(size, int) else size
    x = laws.noise(2, 3, 6, 9)
    assert sample_conv(x, laws.noise(2, 5, 3, *sizes)).shape == (2, 5, 6, 9)


def test_a_generator_that_says_always_the_same_is_an_ordinary_convolution(axes):
    places, size, conv = axes
    layer = DynamicConv(7, 4, 6, size).double()
    nn.init.zeros_(layer.generator.weight)
    x, v = laws.noise(3, 4, *places), laws.noise(3, 7, seed=1)
    kernel = layer.generator.bias.view(6, 4, *size)
    laws.close(layer(x, v), conv(x, kernel, padding=[k // 2 for k in size]))


def test_a_vector_changes_its_own_sample_only(axes):
    places, size, _ = axes
    layer = DynamicConv(7, 4, 6, size).double()
    x, v = laws.noise(3, 4, *places), laws.noise(3, 7, seed=1)
    other = v.clone()
    other[1] += 1
    moved = (layer(x, other) - layer(x, v)).flatten(1).abs().amax(dim=1)
    assert (moved > 0).tolist() == [False, True, False]
    laws.every_parameter_learns(layer, layer(x, v))


def test_a_filter_at_every_position_is_the_sum_over_the_unfolded_picture():
    x, kernels = laws.noise(2, 3, 6, 9), laws.noise(2, 15, 6, 9, seed=1)
    unfolded = F.unfold(x, (3, 5), padding=(1, 2)).view(2, 3, 15, 6, 9)
    laws.close(position_conv(x, kernels, (3, 5)), (unfolded * kernels[:, None]).sum(dim=2))


def test_the_same_filter_everywhere_is_one_kernel_per_sample(axes):
    places, size, _ = axes
    x, kernels = laws.noise(2, 3, *places), laws.noise(2, 1, 1, *size, seed=1)
    taps = kernels.view(2, -1, *[1] * len(places)).expand(-1, -1, *places)
    same = sample_conv(x, kernels.expand(-1, 3, *[-1] * (kernels.ndim - 2)), groups=3)
    laws.close(position_conv(x, taps, size), same)


def test_one_tap_is_a_shift():
    x = laws.noise(1, 2, 9)
    for tap in range(5):
        kernels = torch.zeros(1, 5, 9, dtype=x.dtype)
        kernels[:, tap] = 1
        y = position_conv(x, kernels, 5)
        moved = tap - 2
        inside = slice(max(0, -moved), 9 - max(0, moved))
        from_x = slice(max(0, moved), 9 + min(0, moved))
        assert torch.equal(y[..., inside], x[..., from_x])
        assert y.count_nonzero() == x[..., from_x].numel()


def test_a_filter_that_another_map_decides(axes):
    places, size, _ = axes
    layer = DynamicFilter(4, size, softmax=True).double()
    x, guide = laws.noise(2, 3, *places), laws.noise(2, 4, *places, seed=1)
    laws.every_parameter_learns(layer, layer(x, guide))
    flat = layer(torch.ones_like(x), guide)  # taps sum to one, except at the padded edges
    middle = tuple(slice(k // 2, n - k // 2) for k, n in zip(size, places, strict=True))
    laws.close(flat[(..., *middle)] + x[(..., *middle)], 1 + x[(..., *middle)])


def test_shapes_that_do_not_fit_are_named():
    x = laws.noise(2, 4, 9)
    with pytest.raises(ValueError, match=r"kernels have shape \[2, 6, 3, 5\]: expected \[2, C', 4"):
        sample_conv(x, laws.noise(2, 6, 3, 5))
    with pytest.raises(ValueError, match=r"kernels have shape \[2, 4, 9\]: expected \[2, 5, 9\]"):
        position_conv(x, laws.noise(2, 4, 9), 5)
