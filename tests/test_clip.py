"""Adaptive gradient clipping: what it shortens, what it leaves alone."""

import laws
import pytest
import torch
from torch import nn

from sepaudio.training.clip import adaptive_clip
from sepaudio.training.recipe import OptimCfg


def drawn(*shape, size=1.0, seed=0):
    parameter = nn.Parameter(laws.noise(*shape, seed=seed))
    parameter.grad = size * laws.noise(*shape, seed=seed + 1)
    return parameter


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (5, 7), (8,)])
def test_no_filter_moves_by_more_than_its_share(shape):
    parameter, ratio = drawn(*shape), 0.05
    before = parameter.grad.clone()
    adaptive_clip([parameter], ratio)
    rows, grads = (
        x.detach().flatten(1) if x.ndim > 1 else x[None] for x in (parameter, parameter.grad)
    )
    share = grads.norm(dim=1) / rows.norm(dim=1)
    assert share.tolist() == pytest.approx([ratio] * len(share))
    across = nn.functional.cosine_similarity(parameter.grad.flatten(), before.flatten(), dim=0)
    assert len(shape) > 1 or across == pytest.approx(1)


def test_small_gradients_are_left_alone():
    parameter = drawn(6, 4, size=1e-4)
    before = parameter.grad.clone()
    adaptive_clip([parameter], 0.01)
    assert torch.equal(parameter.grad, before)


def test_a_weight_twice_as_large_may_move_twice_as_far():
    one, two = drawn(6, 4), drawn(6, 4)
    with torch.no_grad():
        two.mul_(2)
    for parameter in (one, two):
        adaptive_clip([parameter], 0.01)
    laws.close(two.grad, 2 * one.grad)


def test_zeros_can_grow():
    parameter = drawn(6, 4)
    with torch.no_grad():
        parameter.zero_()
    adaptive_clip([parameter, nn.Parameter(torch.ones(3))], 0.01)  # the other has no gradient
    assert parameter.grad.norm(dim=1).tolist() == pytest.approx([1e-5] * 6)


def test_a_negative_ratio_is_refused():
    with pytest.raises(ValueError, match=r"clip_ratio=-1: expected 0 or more, such as 0\.01"):
        OptimCfg(clip_ratio=-1)
