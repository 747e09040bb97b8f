"""Drop-path and layer scale: what they do on average, and where they do nothing."""

import laws
import pytest
import torch
from torch import nn

from sepaudio.layers import DropPath, LayerScale, drop_rates


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_the_mean_in_training_is_what_evaluation_gives(mode, rescale):
    drop, x = DropPath(0.3, mode, rescale).double(), torch.ones(8, 2, 3, dtype=torch.float64)
    mean = torch.stack([drop(x) for _ in range(4000)]).mean(dim=0)
    assert mean.sub(drop.eval()(x)).abs().max() < 0.05
    assert drop(x).unique().tolist() == [1.0 if rescale else 0.7]


def test_a_draw_is_of_a_row_or_of_the_whole_batch():
    x = torch.ones(64, 2, 3)
    rows = DropPath(0.5, "row")(x)
    assert all(len(row.unique()) == 1 for row in rows)
    assert rows.unique().tolist() == [0.0, 2.0]
    assert all(len(DropPath(0.5, "batch")(x).unique()) == 1 for _ in range(8))


@pytest.mark.parametrize("rescale", [True, False])
def test_a_branch_left_out_for_all_is_not_run(rescale):
    ran = []
    branch = nn.Linear(3, 3)
    branch.register_forward_hook(lambda *_: ran.append(1))
    drop, x, zeros = DropPath(0.4, "batch", rescale), torch.ones(2, 3), 0
    for _ in range(400):
        zeros += isinstance(drop.of(branch, x), float)
    assert zeros + len(ran) == 400
    assert 110 < zeros < 210
    scale = 1 if rescale else 0.6
    laws.close(drop.eval().of(branch, x), scale * branch(x))


def test_a_rate_of_nothing_is_the_identity_in_training():
    x = torch.ones(4, 2)
    assert DropPath(0.0)(x) is x


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="rate=1: expected a share below 1"):
        DropPath(1)
    with pytest.raises(ValueError, match="mode='all': expected one of row, batch"):
        DropPath(0.1, "all")


def test_rates_rise_in_a_line():
    assert drop_rates(0.5, 4) == [0.125, 0.25, 0.375, 0.5]
    assert drop_rates(0.0, 2) == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_a_layer_scale_is_a_gain_per_channel(shape):
    scale, x = LayerScale(3, 1e-6).double(), laws.noise(*shape)
    laws.close(scale(x), 1e-6 * x, 1e-6)
    with torch.no_grad():
        scale.gain.copy_(torch.tensor([0.0, 1.0, 2.0]))
    laws.close(scale(x), torch.stack([0 * x[:, 0], x[:, 1], 2 * x[:, 2]], dim=1))
