"""What holds for every detector: found boxes and a loss, of any picture, in less precision too."""

import laws
import pytest
import torch

from sepaudio.backbones import detector, detector_names
from sepaudio.backbones.detect import Truth

NARROW = 0.125
TRUTHS = [
    Truth(torch.tensor([[8.0, 40, 4, 30], [50.0, 90, 20, 60]]), torch.tensor([0, 2])),
    Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)),  # nothing there
]


def little(name, channels=1):
    changes = {"choice": {"least": 0.05, "most": 30}}
    return detector(name, channels, NARROW, n_classes=3, **changes)


@pytest.mark.parametrize("name", detector_names())
@pytest.mark.parametrize("cast", [False, True])
def test_it_finds_and_learns(name, cast, device):
    net, x = little(name).to(device), laws.noise(2, 1, 64, 112, dtype=torch.float32, device=device)
    truths = [Truth(*(x.to(device) for x in truth)) for truth in TRUTHS]
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cast):
        loss = net.train().loss(x, truths)
        found = net.eval().detect(x)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())
    for boxes, labels, scores in found:
        assert len(boxes) == len(labels) == len(scores) <= 30
        assert boxes.dtype == torch.float32
        start, end, low, high = boxes.unbind(-1)
        assert ((start >= 0) & (end <= 112) & (low >= 0) & (high <= 64)).all()


@pytest.mark.parametrize("name", detector_names())
def test_a_picture_alone_is_a_picture_in_a_batch(name):
    net, x = little(name, 3).double().eval(), laws.noise(3, 3, 80, 97)
    for alone, among in zip(net.detect(x[1:2])[0], net.detect(x)[1], strict=True):
        torch.testing.assert_close(alone, among)


@pytest.mark.parametrize("name", detector_names())
def test_a_picture_too_small_is_refused_by_its_trunk(name):
    net = little(name)
    net.taps.trunk.minimum_size = (40, 1)
    with pytest.raises(ValueError, match="picture has 32 bins and 64 frames: expected at least 40"):
        net(torch.zeros(1, 1, 32, 64))
