"""ThunderNet and region proposals: parts against formulas, numbers, what is found, learning."""

import laws
import pytest
import torch
from sizes import parameters
from torch import nn

from sepaudio.backbones import detector
from sepaudio.backbones.detect import Truth
from sepaudio.backbones.thundernet import ContextEnhancement, SpatialAttention
from sepaudio.layers.anchors import shapes
from sepaudio.layers.boxes import encode, overlap
from sepaudio.layers.rpn import RPN, ProposalCfg, Said, proposals, rpn_loss

NAMES = ["thundernet_snet49", "thundernet_snet146", "thundernet_snet535"]


def little(**more):
    changes = {"sizes": (16.0, 32.0), "ratios": (0.5, 1.0, 2.0)} | more
    return detector("thundernet_snet49", 1, 0.25, n_classes=3, **changes).double()


def heads(fine, coarse, labels, read=245, wide=256, hidden=1024, anchors=25):
    """Numbers beside the trunk, part by part."""
    context = fine * read + 2 * coarse * read + 3 * read
    body = 25 * read + 2 * read + read * wide + wide
    said = wide * anchors * 5 + anchors * 5
    attention = wide * read + 2 * read
    told = read * hidden + hidden + (hidden + 1) * (labels + 1 + 4)
    return context + body + said + attention + told


@pytest.mark.parametrize(
    ("name", "trunk", "fine", "coarse", "count"),
    [
        ("thundernet_snet49", 875548 - 513000, 120, 512, 1147518),
        ("thundernet_snet146", 1572748 - 529000, 264, 528, 1871838),
        ("thundernet_snet535", 4535144 - 993000, 496, 992, 4654434),
    ],
)
def test_numbers_are_those_of_the_trunk_and_of_the_parts(name, trunk, fine, coarse, count):
    with torch.device("meta"):
        net = detector(name, n_classes=80)
    assert parameters(net.taps) == trunk
    assert parameters(net) == trunk + heads(fine, coarse, 80) == count


def test_context_is_a_sum_of_three():
    part = ContextEnhancement(3, 4, 5).double()
    fine, coarse = laws.noise(2, 3, 7, 9), laws.noise(2, 4, 4, 5, seed=1)
    y = part(fine, coarse)
    stretched = coarse[:, :, torch.arange(7) * 4 // 7][..., torch.arange(9) * 5 // 9]
    mean = part.whole(coarse.mean(dim=(2, 3), keepdim=True))
    laws.close(y, part.fine(fine) + part.coarse(stretched) + mean)


def test_attention_only_lowers():
    part = laws.perturbed(SpatialAttention(3, 5).double().eval())
    x, features = laws.noise(2, 5, 4, 6), laws.noise(2, 3, 4, 6, seed=1)
    y = part(x, features)
    assert (y.abs() <= x.abs()).all()
    assert (y * x >= 0).all()
    laws.close(y, x * torch.sigmoid(part.norm(part.mask(features))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 160), (97, 131)])
def test_boxes_of_pictures_that_are_not_square(name, size):
    net = detector(name, 1, 0.25, n_classes=3, choice={"least": 0.0, "most": 20}).eval()
    judged = net(laws.noise(2, 1, *size, dtype=torch.float32))
    places = tuple(-(-side // 16) for side in size)
    assert judged.said.logits.shape == (2, 25 * places[0] * places[1])
    for boxes, logits, deltas in zip(*judged[1:], strict=True):
        assert 0 < len(boxes) <= 200
        assert logits.shape == (len(boxes), 4)
        assert deltas.shape == boxes.shape
    for found in net.detect(laws.noise(2, 1, *size, dtype=torch.float32)):
        start, end, low, high = found.boxes.unbind(-1)
        assert len(found.boxes) == 20
        assert ((start >= 0) & (end <= size[1]) & (low >= 0) & (high <= size[0])).all()
        assert (found.scores.diff() <= 0).all()


def said_of(boxes, around, logits):
    """An oracle: the nearest anchor of every box says it exactly."""
    deltas = torch.zeros(1, len(around), 4, dtype=around.dtype)
    for box, n in zip(boxes, overlap(boxes, around).argmax(dim=1), strict=True):
        deltas[0, n] = encode(box, around[n])
        logits[0, n] = 9.0
    return Said(logits, deltas, around, (len(around),))


def test_proposals_are_the_likeliest_boxes():
    net = RPN(4, [shapes((16,), (1.0,))]).double()
    said, (features,) = net([laws.noise(1, 4, 4, 6)], (64, 96))
    assert features.shape == (1, 4, 4, 6)
    boxes = torch.tensor([[5.0, 20, 8, 30], [50.0, 80, 30, 60]]).double()
    said = said_of(boxes, said.anchors, said.logits.detach() * 0 - 5)
    ((found, scores),) = proposals(said, (64, 96), ProposalCfg(after=5))
    laws.close(found[overlap(boxes, found[:2]).argmax(dim=1)], boxes)
    assert (scores[:2] > 0.99).all()
    assert (scores[2:] < 0.01).all()
    assert len(found) == 5
    assert len(proposals(said, (64, 96), ProposalCfg(smallest=20))[0][0]) == 1


def test_a_perfect_proposal_costs_little_and_a_picture_may_be_empty():
    net = RPN(4, [shapes((16, 32), (1.0,))]).double()
    said, _ = net([laws.noise(1, 4, 4, 6)], (64, 96))
    boxes = torch.tensor([[0.0, 32, 0, 32], [48.0, 80, 32, 64]]).double()
    sure = said.logits.detach() * 0 - 40
    table = overlap(boxes, said.anchors)
    sure[0, (table >= 0.7).any(dim=0)] = 40.0
    told = said_of(boxes, said.anchors, sure)
    best = table.argmax(dim=1)
    assert set((table >= 0.7).any(dim=0).nonzero()[:, 0].tolist()) <= set(best.tolist())
    told.logits[0, best] = 40.0
    assert rpn_loss(told, [boxes]) < 1e-12
    assert rpn_loss(said, [boxes]) > 0.1
    nothing = rpn_loss(said._replace(logits=sure * 0 - 40), [boxes[:0]])
    assert nothing < 1e-12


def test_maps_need_as_many_anchors_each():
    with pytest.raises(ValueError, match=r"\[1, 2\] anchors a place: expected as many for every"):
        RPN(4, [[(1, 1)], [(1, 1), (2, 2)]])


def test_both_stages_learn_and_the_loss_falls():
    torch.manual_seed(0)
    net, x = little().train(), laws.noise(2, 1, 64, 128)
    truths = [
        Truth(torch.tensor([[8.0, 40, 4, 30], [50.0, 90, 20, 60]]).double(), torch.tensor([0, 2])),
        Truth(torch.tensor([[20.0, 60, 10, 50]]).double(), torch.tensor([1])),
    ]
    net.loss(x, truths).backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    optimizer, losses = torch.optim.Adam(net.parameters(), 3e-3), []
    for _ in range(10):
        optimizer.zero_grad()
        loss = net.loss(x, truths)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_bin_reads_five_channels_of_its_own():
    net = little()
    assert net.context.fine.out_channels == 245 == 7 * 7 * 5
    assert isinstance(net.hidden, nn.Linear)
    assert net.hidden.in_features == 245
