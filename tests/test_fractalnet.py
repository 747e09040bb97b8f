"""FractalNet and Fractal of FractalNet: counts, columns, and what training drops of them."""

import laws
import pytest
import torch
from torch import nn

from sepaudio.backbones import backbone
from sepaudio.layers import FractalBlock, FractalPaths, FrozenSum, PictureConv

COLUMNS = {1: 258292, 2: 847716, 3: 2125204, 4: 4778820, 5: 10184692, 6: 21095076}


def count(net):
    return sum(p.numel() for p in net.parameters())


def meta(*args, **kwargs):
    with torch.device("meta"):
        return backbone(*args, **kwargs)


@pytest.mark.parametrize(("columns", "expected"), COLUMNS.items())
def test_counts_of_one_to_six_columns(columns, expected):
    net = meta("fractalnet_narrow", n_classes=100, columns=columns)
    assert count(net) == expected
    convs = sum(isinstance(m, PictureConv) for m in net.modules())
    assert convs == 5 * (2**columns - 1)


def test_counts_for_cifar():
    assert count(meta("fractalnet", n_classes=10)) == 33724618
    assert count(meta("fractalnet", n_classes=100)) == 33770788


def little(**changes):
    return backbone("fractalnet", n_classes=4, widths=(4, 6), **changes).double()


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_column_is_a_network_of_its_own_under_the_same_names(column):
    whole, alone = laws.perturbed(little(drop_path=0.15)), little(column=column)
    own = {k: v for k, v in whole.state_dict().items() if k in alone.state_dict()}
    alone.load_state_dict(own)
    assert sum(isinstance(m, PictureConv) for m in alone.modules()) == 2 * 2**column
    whole.train(), alone.train()
    paths = next(m for m in whole.modules() if isinstance(m, FractalPaths))
    x = laws.noise(2, 3, 12, 17)
    hook = paths.register_forward_hook(lambda module, *_: setattr(module, "column", column))
    with torch.no_grad():
        assert torch.equal(whole(x), alone(x))
        hook.remove()
        whole.eval(), alone.eval()
        assert not torch.allclose(whole(x), alone(x))


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="column=3: expected 0 to 2, or None for all"):
        little(column=3)


def test_a_join_is_the_mean_of_what_ends_there():
    paths = FractalPaths(2)
    block = FractalBlock(2, lambda first: nn.Conv2d(1, 1, 1, bias=False), paths).double()
    deep, shallow = ([1.5, 2.0], [4.0])
    with torch.no_grad():
        for weight, row in zip(deep, block.rows, strict=True):
            row["1"].weight.fill_(weight)
        block.rows[1]["0"].weight.fill_(shallow[0])
    x = laws.noise(1, 1, 2, 2)
    torch.testing.assert_close(block(x), x * (1.5 * 2.0 + 4.0) / 2)


def test_at_least_one_column_survives_every_join_and_shares_are_as_asked():
    paths, kept = FractalPaths(3, 0.15).train(), []
    paths.column = None
    for _ in range(10_000):
        kept.append(len(paths.survivors([0, 1, 2])))
    assert min(kept) >= 1
    assert sum(kept) / 30_000 == pytest.approx(0.85 + 0.15**3 / 3, abs=0.01)
    assert paths.survivors([1]) == [1]


def test_half_of_the_batches_hear_one_column():
    paths, columns = FractalPaths(3, 0.15).train(), []
    for _ in range(2000):
        paths(torch.zeros(1))
        columns.append(paths.column)
    assert columns.count(None) / 2000 == pytest.approx(0.5, abs=0.05)
    assert {columns.count(c) > 250 for c in range(3)} == {True}


def test_nothing_is_dropped_in_evaluation_or_without_drop_path():
    net, x = laws.perturbed(little(drop_path=0.9)).eval(), laws.noise(1, 3, 8, 9)
    plain = little().eval()
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net(x), plain(x))
        assert torch.equal(plain.train()(x), plain(x))


def test_fractal_of_fractalnet_is_as_released():
    net = meta("fractal_of_fractalnet", n_classes=10)
    convs = [m for m in net.modules() if isinstance(m, PictureConv)]
    assert count(net) == 38504586
    assert len(convs) == 49
    assert sum(m.weight.numel() for m in convs) == 38469312
    assert sum(m.bias.numel() for m in convs) == 14784
    assert sum(isinstance(m, FractalBlock) for m in net.modules()) == 7


def test_without_outer_paths_it_is_fractalnet():
    changes = {"widths": (4, 6, 8, 8)}
    one = backbone("fractal_of_fractalnet", outer=1, **changes).eval()
    plain = backbone("fractalnet", **changes).eval()
    kinds = [
        [type(m).__name__ for m in net.modules() if not list(m.children())] for net in (one, plain)
    ]
    assert [k for k in kinds[0] if k != "Identity"] == [k for k in kinds[1] if k != "Identity"]
    x = torch.randn(1, 3, 32, 48)
    assert one(x).shape == plain(x).shape


class Scale(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x):
        return self.by * x


def test_a_frozen_sum_teaches_its_last_branch_only_and_is_nested():
    layer, x = FrozenSum([Scale(1.0), Scale(10.0), Scale(100.0)], fixed=True).train(), torch.ones(1)
    sums, taught = [], []
    for _ in range(14):
        layer.zero_grad()
        y = layer(x)
        y.backward()
        sums.append(y.item())
        taught.append([b.by.grad is not None for b in layer.branches].index(True))
        assert sum(b.by.grad is not None for b in layer.branches) == 1
    assert sums == [1.0] + [11.0] * 4 + [111.0] * 9
    assert taught == [0] + [1] * 4 + [2] * 9
    assert layer.eval()(x) == 111


def test_a_drawn_frozen_sum_prefers_its_last_branches():
    layer = FrozenSum([Scale(1.0), Scale(10.0)]).train()
    drawn = [layer(torch.ones(1)).item() for _ in range(1000)]
    assert drawn.count(11.0) / 1000 == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("join", ["freeze", "freeze fixed"])
def test_freeze_drop_path_trains_a_fractal_of_fractalnet(join):
    net = backbone("fractal_of_fractalnet", 3, 0.125, n_classes=3, join=join).train()
    x = torch.randn(2, 3, 32, 32)
    norms = {k: v.clone() for k, v in net.named_buffers() if k.endswith("running_mean")}
    net(x).sum().backward()
    moved = {k for k, v in net.named_buffers() if k in norms and not torch.equal(v, norms[k])}
    taught = {k for k, p in net.named_parameters() if p.grad is not None}
    assert 0 < len(taught) < len(list(net.parameters()))
    assert 0 < len(moved) < len(norms)
    net.eval()
    with torch.no_grad():
        assert torch.equal(net(x), net(x))


def test_an_unknown_join_is_refused():
    with pytest.raises(ValueError, match="join='sum': expected one of mean, freeze, freeze fixed"):
        backbone("fractal_of_fractalnet", join="sum")
