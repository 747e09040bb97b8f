"""The self-normalising baseline."""

import laws
import pytest
import torch

from sepaudio import registry
from sepaudio.models.snn import SNNCfg


def test_published_count():
    net = registry.create("snn")
    assert sum(p.numel() for p in net.parameters()) == 179203


def test_what_is_normal_stays_normal():
    """SELU and the start of the weights keep mean and deviation through all hidden layers."""
    torch.manual_seed(0)
    net = registry.create("snn", widths=(512,) * 8, dropout=0.0)
    y = net.body(laws.noise(2000, 60, dtype=torch.float32))
    assert y.mean().abs() < 0.1 and y.std().item() == pytest.approx(1, abs=0.1)


def test_the_majority_of_frames_decides():
    net = registry.create("snn_test", pool="votes").eval()
    x = laws.noise(3, 15, 40, dtype=torch.float32)
    votes = net.frame_logits(x).argmax(dim=1)
    shares = torch.stack([(votes == k).sum(dim=1) for k in range(2)], dim=1)
    found = net.clip_logits(x)
    assert torch.equal(found.argmax(dim=1)[shares[:, 0] != shares[:, 1]],
                       shares.argmax(dim=1)[shares[:, 0] != shares[:, 1]])  # fmt: skip
    laws.close(found.softmax(dim=1), (shares + 0.5) / 41.0)
    order = torch.randperm(40)
    laws.close(net.clip_logits(x[..., order]), found)
    few = net.clip_logits(x, torch.tensor([40, 7, 1]))
    laws.close(few[1:2], net.clip_logits(x[1:2, :, :7]))


def test_a_wrong_pool_is_named():
    with pytest.raises(ValueError, match="pool='vote': expected one of votes, mean"):
        SNNCfg(pool="vote")
