"""ESResNet and ESResNe(X)t-fbsp against their authors' code: recorded, and run where it is."""

import functools
import os

import laws
import pytest
import torch
from golden import make_esresnet as authors

from sepaudio import registry
from sepaudio.convert import esresnet

pytestmark = pytest.mark.oracle
CHECKOUT = os.environ.get("ESRESNET_CHECKOUT")  # make_esresnet.py's PATH


@functools.cache
def net(model, attention, dtype):
    state = {n: torch.as_tensor(v) for n, v in authors.values(model, attention).items()}
    labels = tuple(str(i) for i in range(authors.CLASSES))
    name, convert = {
        "ESResNet": ("esresnet", esresnet.esresnet),
        "ESResNeXt-fbsp": ("esresnext_fbsp", esresnet.esresnext_fbsp),
    }[model]
    ours = registry.create(name, labels=labels, attention=attention).to(dtype)
    ours.load_state_dict(convert(state))
    return ours.eval()


def logits(case, dtype):
    model, attention, shape = authors.CASES[case]
    ours = net(model, attention, dtype)
    with torch.no_grad():
        return ours.clip_logits(ours.frontend(torch.from_numpy(authors.sound(shape)).to(dtype)))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("case", authors.CASES)
def test_logits_are_those_that_the_authors_code_gave(case, dtype, tolerance):
    """Theirs in float32 is as far from theirs in float64 as ours is."""
    expected = torch.from_numpy(authors.golden()[case])
    laws.close(logits(case, dtype).double(), expected, tolerance)


@pytest.mark.skipif(not CHECKOUT, reason="ESRESNET_CHECKOUT names no checkout of their code")
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", authors.CASES)
def test_logits_are_those_that_the_authors_code_gives(case, dtype, tolerance):
    laws.close(logits(case, dtype), authors.logits(CHECKOUT, case, dtype), tolerance)
