"""SSDLite: maps, anchors, sizes of trunks, what is chosen, and that it learns."""

import laws
import pytest
import torch
from sizes import parameters

from sepaudio.backbones import backbone, detector, detector_names
from sepaudio.backbones.detect import ChoiceCfg, Told, Truth, choose, multibox_loss
from sepaudio.backbones.ssdlite import Taps
from sepaudio.layers.boxes import overlap, sides
from sepaudio.layers.matching import NOTHING, UNSURE, matched

# For 90 labels and nothing. Howard et al. 2019, table 6, prints 5.1, 4.3, 3.22 and 1.77 million for
# the first four: there the finest map has three anchors a place, here six as torchvision's.
SIZES = {
    "ssdlite_mobilenet_v1": 5393116,
    "ssdlite_mobilenet_v2": 4664988,
    "ssdlite_mobilenet_v3_large": 3440060,
    "ssdlite_mobilenet_v3_small": 1868108,
    "ssdlite_mnasnet_a1": 5103986,
}
SSD = [name for name in detector_names() if name.startswith("ssdlite")]


def little(name="ssdlite_mobilenet_v3_small", **more):
    return detector(name, 1, 0.125, n_classes=3, **more).double()


def test_sizes():
    assert {name: counted(name) for name in SSD} == SIZES


def counted(name):
    with torch.device("meta"):
        return parameters(detector(name, n_classes=90))


@pytest.mark.parametrize("name", SSD)
@pytest.mark.parametrize("size", [(64, 160), (97, 131)])
def test_every_anchor_of_six_maps_is_told_of(name, size):
    net = little(name).eval()
    x = laws.noise(2, 1, *size)
    maps, told = net.maps(x), net(x)
    n = 6 * sum(y.shape[2] * y.shape[3] for y in maps)
    assert [tuple(y.shape[2:]) for y in maps] == [
        tuple(-(-places // 2**level) for places in size) for level in range(4, 10)
    ]
    shapes = (told.logits.shape, told.deltas.shape, told.anchors.shape)
    assert shapes == ((2, n, 4), (2, n, 4), (n, 4))
    long, high = sides(told.anchors)
    assert long.max() <= size[1] + 1e-9
    assert high.max() <= size[0] + 1e-9
    centres = (told.anchors[:, 0::2] + told.anchors[:, 1::2]) / 2
    assert ((centres > 0) & (centres < torch.tensor(size[::-1]))).all()


def test_the_finer_map_is_what_the_last_halving_widens_to():
    trunk = backbone("mobilenet_v2", 1, 0.25).double().eval()
    x = laws.noise(1, 1, 64, 96)
    taps = Taps(trunk)
    fine, coarse = taps(x)
    assert taps.channels == (144, 1280)
    assert tuple(fine.shape) == (1, 144, 4, 6)
    assert torch.equal(coarse, trunk(x))
    plain = Taps(backbone("resnet18", 1, 0.25).double().eval())
    fine, coarse = plain(x)
    assert torch.equal(fine, plain.trunk.maps(x)[-2])
    with pytest.raises(ValueError, match="a trunk without halvings behind its stem"):
        Taps(backbone("unet", 1, 0.125))


def test_what_is_found_is_probable_apart_and_inside_of_the_picture():
    net = little(choice={"least": 0.2, "shared": 0.3, "most": 40}).eval()
    for heads in net.labels:
        torch.nn.init.normal_(heads[1].weight, std=1.0)
    x = laws.noise(2, 1, 96, 160)
    for found in net.detect(x):
        assert 3 < len(found.boxes) <= 40
        assert (found.scores > 0.2).all()
        assert (found.scores.diff() <= 0).all()
        assert found.labels.unique().tolist() == [0, 1, 2]
        start, end, low, high = found.boxes.unbind(-1)
        assert ((start >= 0) & (end <= 160) & (low >= 0) & (high <= 96)).all()
        shared = overlap(found.boxes, found.boxes).fill_diagonal_(0)
        same = found.labels[:, None] == found.labels
        assert (shared[same] <= 0.3).all()


def test_a_choice_by_hand():
    boxes = torch.tensor([[0.0, 10, 0, 10], [1.0, 11, 0, 10], [0.0, 10, 0, 10], [20.0, 40, 0, 9]])
    logits = torch.tensor([[0.0, 5, 0], [0.0, 4, 0], [0.0, 0, 5], [9.0, 0, 0]])
    found = choose(boxes, logits, (10, 30), ChoiceCfg(least=0.1, shared=0.5))
    assert found.labels.tolist() == [0, 1]
    assert found.boxes.tolist() == [[0, 10, 0, 10], [0, 10, 0, 10]]
    nothing = choose(boxes, logits, (10, 30), ChoiceCfg(least=0.999))
    assert [len(values) for values in nothing] == [0, 0, 0]
    assert nothing.boxes.shape == (0, 4)


def test_which_anchor_stands_for_which_box():
    around = torch.tensor([[0.0, 10, 0, 1], [5.0, 15, 0, 1], [20.0, 30, 0, 1], [50.0, 99, 0, 1]])
    boxes = torch.tensor([[1.0, 11, 0, 1], [26.0, 36, 0, 1]])
    assert matched(around, boxes, 0.5).tolist() == [0, NOTHING, 1, NOTHING]  # 1 has no better one
    assert matched(around, boxes, 0.5, 0.3).tolist() == [0, UNSURE, 1, NOTHING]
    assert matched(around, boxes[:0], 0.5).tolist() == [NOTHING] * 4


def test_the_loss_hears_every_parameter_and_falls():
    torch.manual_seed(0)
    net, x = little().train(), laws.noise(2, 1, 64, 96)
    truths = [
        Truth(torch.tensor([[8.0, 40, 4, 30], [50.0, 90, 20, 60]]).double(), torch.tensor([0, 2])),
        Truth(torch.tensor([[20.0, 60, 10, 50]]).double(), torch.tensor([1])),
    ]
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-2), []
    for _ in range(12):
        optimizer.zero_grad()
        loss = net.loss(x, truths)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    empty = Truth(torch.zeros(0, 4).double(), torch.zeros(0, dtype=torch.long))
    assert net.loss(x, [empty, empty]) == 0


def test_gradients_reach_every_parameter():
    net = little().train()
    for module in net.modules():  # of one inner channel, all may start dead
        if hasattr(module, "squeeze"):
            torch.nn.init.ones_(module.squeeze.bias)
    told = net(laws.noise(2, 1, 96, 160))
    laws.every_parameter_learns(net, torch.cat([told.logits, told.deltas], dim=-1))


def test_a_perfect_guess_costs_nothing():
    around = torch.tensor([[0.0, 10, 0, 10], [20.0, 30, 0, 10], [40.0, 50, 0, 10]]).double()
    logits = torch.full((1, 3, 3), -50.0).double()
    for n, label in enumerate((2, 0, 0)):
        logits[0, n, label] = 50.0
    truth = Truth(around[:1], torch.tensor([1]))
    told = Told(logits, torch.zeros(1, 3, 4).double(), around)
    assert multibox_loss(told, [truth]) < 1e-12


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="no detector is called 'ssdlite_v2'; did you mean 'ssdl"):
        detector("ssdlite_v2")
    with pytest.raises(ValueError, match="no SSDLiteCfg value is called 'trunks'"):
        detector("ssdlite_mobilenet_v2", trunks="resnet18")
