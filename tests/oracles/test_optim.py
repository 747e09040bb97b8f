"""RMSProp against timm's copy of TensorFlow's."""

import importlib

import laws
import pytest
from torch import nn

from sepaudio import doors
from sepaudio.training.optimizers import RMSProp

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_ten_steps_are_timms(weight_decay):
    doors.timm()
    theirs_of = importlib.import_module("timm.optim.rmsprop_tf").RMSpropTF
    given = {"lr": 0.05, "alpha": 0.9, "momentum": 0.9, "eps": 1e-3, "weight_decay": weight_decay}
    ours, theirs = (nn.Parameter(laws.noise(3, 5)) for _ in range(2))
    pair = RMSProp([ours], **given), theirs_of([theirs], **given)
    for i in range(10):
        for p, optimizer in zip((ours, theirs), pair, strict=True):
            p.grad = laws.noise(3, 5, seed=i)
            optimizer.step()
    laws.close(ours.detach(), theirs.detach(), 1e-10)
