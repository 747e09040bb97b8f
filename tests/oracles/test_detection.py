"""Boxes, anchors, SSDLite and region proposals against torchvision.

Its boxes are (x1, y1, x2, y2), time before frequency; its suppression has no kernel beside a torch
that it was not built for, so that ours takes its place there.
"""

import importlib

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.backbones.detect import SHIFTS, Told, Truth, choose, multibox_loss
from sepaudio.backbones.detectors import detector
from sepaudio.convert.ordered import in_order
from sepaudio.layers import boxes as b
from sepaudio.layers.anchors import shapes
from sepaudio.layers.roi import roi_align
from sepaudio.layers.rpn import RPN, ProposalCfg, proposals

pytestmark = pytest.mark.oracle
XYXY = [0, 2, 1, 3]  # and back


@pytest.fixture
def theirs(monkeypatch):
    doors.timm()  # makes torchvision importable
    ops = importlib.import_module("torchvision.ops.boxes")
    monkeypatch.setattr(ops, "nms", lambda x, scores, t: b.suppress(x[:, XYXY], scores, t))
    return lambda name: importlib.import_module(f"torchvision.{name}")


def drawn(n, seed=0):
    x = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    first = x[:, :2] * 80
    return torch.cat([first, first + 2 + x[:, 2:] * 40], dim=1)[:, XYXY]


def test_overlap_and_deltas(theirs):
    x, y = drawn(9), drawn(9, seed=1)
    expected = theirs("ops.boxes").box_iou(x[:, XYXY], y[:, XYXY])
    laws.close(b.overlap(x, y), expected)
    coder = theirs("models.detection._utils").BoxCoder((10.0, 10.0, 5.0, 5.0))
    deltas = coder.encode_single(x[:, XYXY], y[:, XYXY])
    laws.close(b.encode(x, y, SHIFTS), deltas)
    big = 3 * laws.noise(9, 4)
    laws.close(b.decode(big, y, SHIFTS), coder.decode_single(big, y[:, XYXY])[:, XYXY])


def test_reading_inside_of_boxes(theirs):
    x, boxes = laws.noise(1, 5, 30, 40), drawn(7)
    rois = torch.cat([torch.zeros(7, 1).double(), boxes[:, XYXY]], dim=1)
    plain = theirs("ops.roi_align")._roi_align.__wrapped__  # not compiled
    expected = plain(x, rois, 0.25, 7, 7, 2, True)
    laws.close(roi_align(x[0], boxes, 4.0), expected, 1e-10)


@pytest.fixture(scope="module")
def pair():
    doors.timm()
    module = importlib.import_module("torchvision.models.detection")
    net = module.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=91
    ).eval()
    assert sum(p.numel() for p in net.parameters()) == 3440060
    net = laws.perturbed(net.double())
    ours = detector("ssdlite_mobilenet_v3_large", n_classes=90).double().eval()
    ours.load_state_dict(in_order(net.state_dict(), ours))
    return net, ours


def test_ssdlite_says_the_same_of_every_anchor(pair):
    net, ours = pair
    x = laws.noise(2, 3, 160, 224)
    with torch.no_grad():
        maps = list(net.backbone(x).values())
        said, told = net.head(maps), ours(x)
    laws.close(told.logits, said["cls_logits"], 1e-10)
    laws.close(told.deltas, said["bbox_regression"], 1e-10)
    images = importlib.import_module("torchvision.models.detection.image_list")
    around = net.anchor_generator(images.ImageList(x, [(160, 224)]), maps)[0]
    laws.close(told.anchors[:, XYXY], around, 1e-6)  # theirs have shapes in float32


def test_ssdlite_finds_the_same(pair, theirs):
    net, ours = pair
    x = laws.noise(1, 3, 160, 224)
    with torch.no_grad():
        told = ours(x)
    told = told._replace(logits=told.logits / told.logits.std())
    boxes = b.decode(told.deltas[0] / 10, told.anchors, SHIFTS)
    changes = {"least": net.score_thresh, "shared": net.nms_thresh, "most": net.detections_per_img}
    net.topk_candidates = 20
    cfg = type(ours.cfg.choice)(candidates=20, **changes)
    found = choose(boxes, told.logits[0], (160, 224), cfg)
    (expected,) = net.postprocess_detections(
        {"bbox_regression": told.deltas / 10, "cls_logits": told.logits},
        [told.anchors[:, XYXY]],
        [(160, 224)],
    )
    assert len(found.boxes) > 50
    laws.close(found.boxes[:, XYXY], expected["boxes"], 1e-10)
    laws.close(found.scores, expected["scores"])
    assert torch.equal(found.labels + 1, expected["labels"])


def test_the_loss_is_the_same(pair):
    net, _ = pair
    around = torch.cat([drawn(40), drawn(3, seed=2) + 0.1])
    truths = [Truth(drawn(3, seed=2), torch.tensor([4, 0, 7])), Truth(drawn(1), torch.tensor([2]))]
    told = Told(laws.noise(2, 43, 91), laws.noise(2, 43, 4, seed=3), around)
    ops = importlib.import_module("torchvision.ops.boxes")
    turned = [{"boxes": truth.boxes[:, XYXY], "labels": truth.labels + 1} for truth in truths]
    whose = [net.proposal_matcher(ops.box_iou(t["boxes"], around[:, XYXY])) for t in turned]
    expected = net.compute_loss(
        turned,
        {"bbox_regression": told.deltas, "cls_logits": told.logits},
        [around[:, XYXY]] * 2,
        whose,
    )
    laws.close(multibox_loss(told, truths), sum(expected.values()), 1e-10)


def test_region_proposals(theirs):
    rpn = theirs("models.detection.rpn")
    around = theirs("models.detection.anchor_utils").AnchorGenerator(
        ((8, 16), (32, 64)), ((0.25, 1.0, 4.0),) * 2
    )
    counts = {"training": 30, "testing": 30}
    after = {"training": 12, "testing": 12}
    net = rpn.RegionProposalNetwork(
        around, rpn.RPNHead(5, 6), 0.7, 0.3, 256, 0.5, counts, after, 0.5
    )
    net = laws.perturbed(net.double().eval())
    shapes_of = [shapes(sizes, (0.25, 1.0, 4.0)) for sizes in ((8, 16), (32, 64))]
    ours = RPN(5, shapes_of, centre=0.0).double().eval()
    ours.load_state_dict(in_order(net.head.state_dict(), ours))
    maps, size = [laws.noise(2, 5, 16, 24), laws.noise(2, 5, 8, 12, seed=4)], (64, 96)
    images = theirs("models.detection.image_list").ImageList(torch.zeros(2, 3, *size), [size] * 2)
    with torch.no_grad():
        expected, _ = net(images, {"0": maps[0], "1": maps[1]})
        said, _ = ours(maps, size)
        assert torch.equal(said.anchors[:, XYXY], around(images, maps)[0])
        found = proposals(said, size, ProposalCfg(before=30, after=12, shared=0.5))
    for (boxes, scores), wanted in zip(found, expected, strict=True):
        assert len(boxes) == len(scores) == 12
        laws.close(boxes[:, XYXY], wanted, 1e-10)
