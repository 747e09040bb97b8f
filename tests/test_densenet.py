"""DenseNet and its four forms: counts, channels, and the form that computes again."""

import copy

import laws
import pytest
import torch

from sepaudio.backbones import backbone
from sepaudio.layers import DenseStack, MaskedBatchNorm, statistics_held

COUNTS = {
    ("densenet121", 1000): 7978856,
    ("densenet161", 1000): 28681000,
    ("densenet169", 1000): 14149480,
    ("densenet201", 1000): 20013928,
    ("densenet_40_12", 10): 1019722,
    ("densenet_100_12", 10): 6979642,
    ("densenet_100_24", 10): 27249082,
    ("densenet_b_100_12", 10): 1180666,
    ("densenet_c_100_12", 10): 4013370,
    ("densenet_bc_100_12", 10): 769162,
    ("densenet_bc_190_40", 10): 25624430,
    ("densenet_bc_250_24", 10): 15324406,
}


@pytest.mark.parametrize(("which", "count"), COUNTS.items())
def test_published_counts(which, count):
    name, n_classes = which
    with torch.device("meta"):
        net = backbone(name, n_classes=n_classes)
    assert sum(p.numel() for p in net.parameters()) == count


def test_channels_grow_by_k_a_layer_and_compression_halves_them():
    with torch.device("meta"):
        net = backbone("densenet121")
    assert net.stage_channels == (64, 64 + 6 * 32, 128 + 12 * 32, 256 + 24 * 32, 512 + 16 * 32)


def test_a_stack_hands_its_input_on_and_every_layer_hears_all_before():
    heard = []

    class Count(torch.nn.Module):
        def forward(self, x):
            heard.append(x.shape[1])
            return x[:, :2] + 1

    x = laws.noise(1, 3, 2, 2)
    y = DenseStack([Count(), Count(), Count()])(x)
    assert heard == [3, 5, 7]
    assert torch.equal(y[:, :3], x)
    assert y.shape[1] == 9


def little(recompute):
    torch.manual_seed(0)
    changes = {"layers": (3, 2), "growth": 4, "dropout": 0.3, "stem": 8, "recompute": recompute}
    return backbone("densenet_bc_100_12", n_classes=5, **changes).double().train()


def taught(net, x):
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = net(x)
    y.square().sum().backward()
    return y, kept


def test_the_form_that_computes_again_is_the_same_and_keeps_less():
    plain, again, x = little(False), little(True), laws.noise(2, 3, 16, 20)
    (y, much), (z, less) = taught(plain, x), taught(again, x)
    assert torch.equal(y, z)
    assert less < 0.6 * much
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
    statistics = [dict(net.named_buffers()) for net in (plain, again)]
    assert all(torch.equal(v, statistics[1][k]) for k, v in statistics[0].items())


def test_statistics_are_held_and_released():
    norm, x = MaskedBatchNorm(2).train(), torch.randn(3, 2, 4, 4)
    before = copy.deepcopy(norm.state_dict())
    with statistics_held(norm):
        held = norm(x)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
    assert torch.equal(norm(x), held)
    assert norm.num_batches_tracked == 1
