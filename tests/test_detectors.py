"""What holds for every detector: found boxes and a loss, of any picture, in less precision too."""

import laws
import pytest
import torch

from sepaudio.backbones import detector, detector_names
from sepaudio.backbones.detect import Truth
from sepaudio.layers import overlap

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


def heard(n, seed):
    """Noise in which long low tones (0) and short broad clicks (1) are, one of each a picture."""
    generator = torch.Generator().manual_seed(seed)
    x, truths = torch.randn(n, 1, 64, 128, generator=generator), []
    for picture in x:
        a, b, c, d, e, f = torch.rand(6, generator=generator).tolist()
        tone = (60 * a, 60 * a + 40 + 25 * b, 4 + 16 * c, 4 + 16 * c + 10)
        click = (4 + 100 * d, 4 + 100 * d + 12, 14 * e, 14 * e + 36 + 12 * f)
        boxes = torch.tensor([tone, click]).round()
        for start, end, low, high in boxes.int().tolist():
            picture[0, low:high, start:end] += 3.0
        truths.append(Truth(boxes, torch.tensor([0, 1])))
    return x, truths


def found_share(net, x, truths):
    """Share of true boxes whose best found box of their label shares half of them and more."""
    hits = 0
    for found, truth in zip(net.eval().detect(x), truths, strict=True):
        for box, label in zip(truth.boxes, truth.labels, strict=True):
            first = found.boxes[found.labels == label][:1]
            hits += bool(len(first)) and bool(overlap(box[None], first) >= 0.5)
    return hits / (2 * len(truths))


def learn(net, batches, rate):
    """One step for each batch of pictures and what is in them."""
    optimizer = torch.optim.Adam(net.parameters(), rate)
    for x, truths in batches:
        optimizer.zero_grad()
        net.train().loss(x, truths).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()


@pytest.mark.slow
def test_ssdlite_finds_sounds_in_pictures_it_never_saw():
    torch.manual_seed(0)
    net = detector("ssdlite_mobilenet_v3_small", 1, 0.25, n_classes=2)
    learn(net, (heard(8, seed) for seed in range(180)), 5e-3)
    assert found_share(net, *heard(50, seed=10**6)) > 0.75


@pytest.mark.slow
def test_thundernet_learns_pictures_by_heart():
    torch.manual_seed(0)
    shapes = {"sizes": (16.0, 32.0, 64.0), "ratios": (0.2, 0.5, 1.0, 2.0, 4.0)}
    net, pictures = detector("thundernet_snet49", 1, 0.25, n_classes=2, **shapes), heard(4, seed=0)
    learn(net, [pictures] * 80, 3e-3)
    assert found_share(net, *pictures) >= 0.75
