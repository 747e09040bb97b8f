"""Steps, branches and heads, of which networks are written down."""

import laws
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sepaudio.backbones.heads import DenseHead, EmbeddingHead, MapHead
from sepaudio.backbones.steps import Conv, Dropout, Fork, Norm, Pad, Pool, least, sequence, stride
from sepaudio.layers import Branches, PolyUnit, SameMaxPool, WindowMeans, picture_norm

STEPS = {
    "conv": (Conv(4, 3, 2),),
    "valid": (Conv(4, (5, 3), padding="valid"),),
    "tensorflow": (Conv(4, 3, 2, padding="tensorflow"),),
    "pad": (Pad(2), Conv(4, 11, 4, padding="valid")),
    "pool": (Pool("max", 3, 2),),
    "ceil": (Pool("max", 3, 2, ceil=True), Pool("mean", 2, 2, ceil=True)),
    "padded": (Pool("mean", 3, 2, 1),),
    "padded ceil": (Pool("max", 3, 2, 1, ceil=True), Pool("max", 3, 2, 1, ceil=True)),
    "same": (Pool("same max", 3, 2),),
    "fork": (Fork(((Conv(2, 3, 2),), (Pool("same max", 3, 2),))), Norm(), Dropout(0.1)),
    "deep": (*(Conv(2, 3, 2, padding="valid"), Pool("max", 3, 2)) * 2,),
}


def numbers(layer, *size):
    try:
        return layer(laws.noise(1, 3, *size, dtype=torch.float32)).numel()
    except RuntimeError:
        return 0


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_the_least_picture_gives_one_place_and_less_gives_none(steps):
    layer, channels = sequence(steps, 3)
    high, wide = (least(steps, axis=axis) for axis in (0, 1))
    assert numbers(layer.eval(), high, wide) == channels
    assert high == 1 or numbers(layer, high - 1, wide) == 0
    assert wide == 1 or numbers(layer, high, wide - 1) == 0


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("places", [2, 5])
def test_the_least_picture_for_more_places(steps, places):
    layer, _ = sequence(steps, 3)
    layer.eval()
    high, wide = (least(steps, places, axis) for axis in (0, 1))
    enough = layer(laws.noise(1, 3, high, wide, dtype=torch.float32))
    assert enough.shape[2:] == (places, places)
    less = layer(laws.noise(1, 3, high - 1, wide, dtype=torch.float32))
    assert less.shape[2] == places - 1


def test_strides_multiply():
    assert stride(STEPS["deep"]) == 16
    assert stride(STEPS["fork"]) == 2


def test_branches_meet_in_three_ways():
    x, layers = laws.noise(2, 3, 4, 5), [nn.Identity(), nn.ReLU()]
    torch.testing.assert_close(Branches(layers)(x), torch.cat([x, x.relu()], dim=1))
    torch.testing.assert_close(Branches(layers, "mean")(x), (x + x.relu()) / 2)
    scaled = Branches(layers, "add", scale=0.2, act="relu")(x)
    torch.testing.assert_close(scaled, (x + 0.2 * x.relu()).relu())
    with pytest.raises(ValueError, match="combine='sum': expected one of concat, add, mean"):
        Branches(layers, "sum")


def test_a_scale_of_zero_leaves_the_trunk():
    fork = Fork(((), (Conv(4, 3), Conv(act="none"))), "add", scale=0.0)
    layer, channels = sequence((fork,), 3)
    x = laws.noise(1, 3, 6, 7, dtype=torch.float32)
    assert channels == 3
    assert torch.equal(layer(x), x)


def test_the_same_pool_is_the_pool_beyond_the_edge_of_even_pictures():
    even, odd = laws.noise(1, 2, 8, 14) - 9, laws.noise(1, 2, 7, 13)
    expected = F.max_pool2d(even, 3, 2, ceil_mode=True)
    assert torch.equal(SameMaxPool(3, 2)(even), expected)
    assert SameMaxPool(3, 2)(odd).shape == (1, 2, 4, 7)


def test_means_of_windows_are_stretched_only_where_they_are_few():
    x = laws.noise(1, 2, 17, 20)
    assert torch.equal(WindowMeans(5, 3, 5)(x), F.avg_pool2d(x, 5, 3))
    assert WindowMeans(5, 3, 5)(x[:, :, :4]).shape == (1, 2, 5, 20)


def test_response_normalisation_is_the_formula():
    x = laws.noise(2, 9, 3, 4)
    y = picture_norm("response", 9)(x)
    for c in range(9):  # the window is cut off at the edges
        near = x[:, max(0, c - 2) : c + 3].square().sum(dim=1)
        torch.testing.assert_close(y[:, c], x[:, c] / (2 + 1e-4 * near) ** 0.75, rtol=0, atol=1e-14)


def test_a_poly_unit_of_linear_branches_is_a_polynomial():
    unit = PolyUnit(3, [[(4, 1)], [(2, 1)]], order=2, scale=0.5, act="none").double().eval()
    with torch.no_grad():
        for back in unit.back[1:]:
            back[0].weight.copy_(unit.back[0][0].weight)
    inner = torch.cat([branch[0].conv.weight[:, :, 0, 0] for branch in unit.branches])
    shrink = 1 + 1e-5  # of a batch norm without statistics, and there are two in a row
    matrix = unit.back[0][0].weight[:, :, 0, 0] @ inner / shrink
    x = laws.noise(3, 5)
    polynomial = torch.eye(3) + 0.5 * (matrix + matrix @ matrix)
    torch.testing.assert_close(unit(x[None, :, None])[0, :, 0], polynomial @ x)


def test_a_poly_unit_evaluates_its_branches_once_per_order():
    unit, calls = PolyUnit(3, [[(4, 1)]], order=3), []
    unit.branches[0][0].conv.register_forward_hook(lambda *_: calls.append(1))
    unit(torch.zeros(2, 3, 2, 2))
    assert len(calls) == 3
    assert sum(p.numel() for p in unit.parameters()) == 12 + 3 * 8 + 3 * (12 + 6)


def test_dense_layers_see_a_picture_of_their_size_as_it_is():
    head = DenseHead(2, (3, 4), (5,), 6).eval()
    x = torch.rand(2, 2, 3, 4)
    torch.testing.assert_close(head(x), head.layers(x.flatten(1)))
    assert head(torch.rand(2, 2, 7, 5)).shape == (2, 6)


def test_the_logit_of_a_map_is_its_mean():
    head, x = MapHead(3, 4).eval(), torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(head(x), head.maps(x).mean(dim=(2, 3)))
    torch.testing.assert_close(head(torch.cat([x, x], dim=3)), head(x))
    assert sum(p.numel() for p in head.parameters()) == 3 * 4 + 4


def test_an_embedding_comes_before_the_logits():
    head, x = EmbeddingHead(3, 7, 4).eval(), torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(head(x), head.linear(head.embedding(x)))
