"""Channel shuffle, its units, and the published sizes of ShuffleNet v1, v2 and SNet."""

import laws
import pytest
import torch
from sizes import macs, meta, parameters

from sepaudio.layers import GroupShuffleUnit, SplitShuffleUnit, channel_shuffle


@pytest.mark.parametrize(
    ("name", "multiplier", "count", "millions"),
    [
        ("shufflenet_v1_g1", 1.0, 1531936, 143.1),
        ("shufflenet_v1_g2", 1.0, 1733848, 140.8),
        ("shufflenet_v1_g3", 1.0, 1865728, 137.5),
        ("shufflenet_v1_g4", 1.0, 1968344, 134.3),
        ("shufflenet_v1_g8", 1.0, 2434768, 138.4),
        ("shufflenet_v1_g3", 2.0, 5450776, 524.05),
        ("shufflenet_v2_x0_5", 1.0, 1366792, 40.5),
        ("shufflenet_v2_x1_0", 1.0, 2278604, 144.9),
        ("shufflenet_v2_x1_5", 1.0, 3503624, 295.8),
        ("shufflenet_v2_x2_0", 1.0, 7393996, 583.3),
        ("snet49", 1.0, 875548, 51.2),
        ("snet146", 1.0, 1572748, 161.1),
        ("snet535", 1.0, 4535144, 535.4),
    ],
)
def test_published_sizes_and_costs(name, multiplier, count, millions):
    net = meta(name, 3, multiplier, n_classes=1000)
    assert parameters(net) == count
    assert macs(net, 3, 224, 224) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("name", "multiplier", "millions"), [("g4", 0.5, 38), ("g8", 0.25, 13)])
def test_narrow_widths_are_rounded_up_to_what_the_groups_divide(name, multiplier, millions):
    net = meta(f"shufflenet_v1_{name}", 3, multiplier, n_classes=1000)
    assert macs(net, 3, 224, 224) / 1e6 == pytest.approx(millions, rel=0.05)


def test_shuffle_deals_the_channels_out():
    x = torch.arange(4.0)[None, :, None]
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 2, 1, 3]
    assert channel_shuffle(torch.arange(6.0)[None], 3).tolist() == [[0, 2, 4, 1, 3, 5]]
    with pytest.raises(ValueError, match="groups=3: expected a divisor of the 4 channels"):
        channel_shuffle(x, 3)


@pytest.mark.parametrize("shape", [(2, 12), (2, 12, 5), (2, 12, 3, 5)])
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 12])
def test_shuffle_with_as_many_groups_as_each_had_channels_is_the_inverse(shape, groups):
    x = laws.noise(*shape)
    y = channel_shuffle(x, groups)
    assert torch.equal(channel_shuffle(y, 12 // groups), x)
    as_matrix = x.reshape(2, groups, 12 // groups, -1).transpose(1, 2)
    assert torch.equal(y.reshape(as_matrix.shape), as_matrix)


def influence(unit, channels, groups):
    """Which groups of channels out hear which groups of channels in [out, in]."""
    x = laws.noise(1, channels, 3, 4).requires_grad_()
    y = unit(x).sum(dim=(0, 2, 3)).unflatten(0, (groups, -1)).sum(dim=1)
    rows = [torch.autograd.grad(part, x, retain_graph=True)[0] for part in y]
    felt = torch.stack(rows)[:, 0].abs().sum(dim=(2, 3)).unflatten(1, (groups, -1)).sum(dim=2)
    return felt > 0


def test_without_shuffle_groups_stay_strangers():
    for shuffles in (False, True):
        unit = GroupShuffleUnit(24, 24, groups=3, shuffles=shuffles).double().eval()
        alone = torch.equal(influence(unit, 24, 3), torch.eye(3, dtype=torch.bool))
        assert alone != shuffles


def test_half_the_channels_pass_untouched():
    unit = SplitShuffleUnit(12, 12).double().eval()
    x = laws.noise(2, 12, 5, 7)
    y = channel_shuffle(unit(x), 6)  # undo the shuffle
    assert torch.equal(y[:, :6], x[:, :6])
    assert not torch.allclose(y[:, 6:], x[:, 6:])


def test_a_stride_keeps_the_mean_of_the_input_beside_the_result():
    unit = GroupShuffleUnit(8, 24, 2, groups=2).double().eval()
    x = laws.noise(2, 8, 6, 10).abs()
    mean = torch.nn.functional.avg_pool2d(x, 3, 2, 1)
    y = unit(x)
    assert y.shape == (2, 24, 3, 5)
    laws.close(y[:, 16:], mean)


def test_a_unit_without_stride_adds_and_one_with_a_stride_widens():
    with pytest.raises(ValueError, match="out_channels=24 with stride=1: expected the 12"):
        GroupShuffleUnit(12, 24)
    with pytest.raises(ValueError, match="out_channels=8 with stride=2: expected more than the 8"):
        GroupShuffleUnit(8, 8, 2)
    with pytest.raises(ValueError, match="out_channels=24 with stride=1: expected the 12"):
        SplitShuffleUnit(12, 24)
