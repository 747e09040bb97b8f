"""Boxes, anchors and what is read inside of boxes, against slow loops and formulas."""

import laws
import pytest
import torch

from sepaudio.layers import boxes as b
from sepaudio.layers.anchors import anchors, shapes, ssd_shapes
from sepaudio.layers.roi import psroi_align, roi_align


def drawn(n, size=(40, 60), seed=0):
    """Boxes with sides of 2 and more."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    start, low = x[:, 0] * (size[1] - 2), x[:, 2] * (size[0] - 2)
    end = start + 2 + x[:, 1] * (size[1] - 2 - start)
    return torch.stack([start, end, low, low + 2 + x[:, 3] * (size[0] - 2 - low)], dim=1)


def test_overlap_by_counting_cells():
    a, c = drawn(6).round(), drawn(5, seed=1).round()

    def cells(box):
        start, end, low, high = (int(v) for v in box)
        return {(t, f) for t in range(start, end) for f in range(low, high)}

    expected = [[len(cells(x) & cells(y)) / len(cells(x) | cells(y)) for y in c] for x in a]
    laws.close(b.overlap(a, c), torch.tensor(expected, dtype=torch.float64))


def test_overlap_is_symmetric_one_with_itself_and_nothing_apart():
    a, c = drawn(7), drawn(9, seed=1)
    assert torch.equal(b.overlap(a, c), b.overlap(c, a).T)
    laws.close(b.overlap(a, a).diagonal(), torch.ones(7, dtype=torch.float64), 1e-12)
    assert not b.overlap(a, a + 100).any()
    empty = torch.zeros(1, 4, dtype=torch.float64)
    assert b.overlap(empty, empty) == 0


@pytest.mark.parametrize("weights", [(1.0, 1.0), (10.0, 5.0)])
def test_decoding_undoes_encoding(weights):
    boxes, around = drawn(20), drawn(20, seed=3)
    laws.close(b.decode(b.encode(boxes, around, weights), around, weights), boxes)
    assert not b.encode(around, around).any()
    laws.close(b.decode(torch.zeros_like(around), around), around)


def test_deltas_are_shifts_in_time_and_frequency_and_logarithms():
    around = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    later, higher = around + torch.tensor([5.0, 5, 0, 0]), around + torch.tensor([0.0, 0, 1, 1])
    longer = torch.tensor([[5.0, 25.0, 4.0, 8.0]])
    found = torch.cat([b.encode(x, around) for x in (later, higher, longer)])
    expected = [[0.5, 0, 0, 0], [0, 0.25, 0, 0], [0, 0, 2.0, 0]]
    expected[2][2] = torch.tensor(2.0).log().item()
    torch.testing.assert_close(found, torch.tensor(expected))
    assert b.sides(b.decode(torch.full((1, 4), 1e4), around))[0] == pytest.approx(625)


def slow(boxes, scores, threshold, labels):
    """Greedy suppression, one box after the other."""
    left, kept = sorted(range(len(boxes)), key=lambda i: -scores[i]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        shared = b.overlap(boxes[best][None], boxes)[0]
        left = [i for i in left if shared[i] <= threshold or labels[i] != labels[best]]
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("labels", [1, 3])
def test_suppression_is_the_slow_loop(threshold, labels):
    boxes = drawn(200)
    scores = torch.rand(200, generator=torch.Generator().manual_seed(5))
    names = torch.arange(200) % labels
    kept = b.suppress(boxes, scores, threshold, names if labels > 1 else None)
    assert kept.tolist() == slow(boxes, scores.tolist(), threshold, names.tolist())
    assert b.suppress(boxes[:0], scores[:0], threshold).numel() == 0
    assert b.suppress(boxes[:0], scores[:0], threshold, names[:0]).numel() == 0


def test_a_removed_box_removes_nothing():
    boxes = torch.tensor([[0.0, 10, 0, 1], [4.0, 14, 0, 1], [8.0, 18, 0, 1]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert b.suppress(boxes, scores, 0.3).tolist() == [0, 2]


def test_boxes_are_cut_to_the_picture():
    boxes = torch.tensor([[-3.0, 70.0, 10.0, 50.0]])
    assert b.clipped(boxes, (40, 60)).tolist() == [[0, 60, 10, 40]]


def test_anchors_lie_around_every_place():
    found = anchors([(4, 2), (8, 8)], (2, 3), (10, 5), torch.zeros(1))
    assert found.shape == (12, 4)
    centres = (found[:, 0::2] + found[:, 1::2]) / 2
    assert centres[::2].tolist() == [[t, f] for f in (5, 15) for t in (2.5, 7.5, 12.5)]
    assert torch.equal(centres[::2], centres[1::2])
    assert [side.unique().tolist() for side in b.sides(found[::2])] == [[4], [2]]


def test_shapes_have_the_area_and_the_ratio():
    for (long, high), (ratio, size) in zip(
        shapes((8, 16), (0.5, 1, 2)), [(r, s) for r in (0.5, 1, 2) for s in (8, 16)], strict=True
    ):
        assert long * high == pytest.approx(size**2)
        assert high / long == pytest.approx(ratio)
    first, last = ssd_shapes(6)[0], ssd_shapes(6)[-1]
    assert first[0] == (0.2, 0.2)
    assert first[2] == pytest.approx((0.2 * 2**0.5, 0.2 / 2**0.5))
    assert first[3] == first[2][::-1]
    assert len(first) == 6
    assert max(max(shape) for shape in last) == 1.0


def bilinear(x, f, t):
    """x [F, L] at a point between its places; beyond, its edge goes on."""
    f, t = min(max(f, 0.0), x.shape[0] - 1.0), min(max(t, 0.0), x.shape[1] - 1.0)
    i, j = int(f), int(t)
    k, m = min(i + 1, x.shape[0] - 1), min(j + 1, x.shape[1] - 1)
    a, c = f - i, t - j
    above = (1 - c) * x[i, j] + c * x[i, m]
    return (1 - a) * above + a * ((1 - c) * x[k, j] + c * x[k, m])


def slow_align(x, boxes, stride, bins, samples, own):
    """Bin by bin, point by point."""
    channels = len(x) // bins**2 if own else len(x)
    y = torch.zeros(len(boxes), channels, bins, bins, dtype=x.dtype)
    for r, (start, end, low, high) in enumerate((boxes / stride).tolist()):
        for c in range(channels):
            for i in range(bins):
                for j in range(bins):
                    read = x[(c * bins + i) * bins + j] if own else x[c]
                    for p in range(samples):
                        for q in range(samples):
                            f = low + (high - low) * (i + (p + 0.5) / samples) / bins - 0.5
                            t = start + (end - start) * (j + (q + 0.5) / samples) / bins - 0.5
                            y[r, c, i, j] += bilinear(read, f, t) / samples**2
    return y


@pytest.mark.parametrize(("align", "own"), [(roi_align, False), (psroi_align, True)])
@pytest.mark.parametrize(("bins", "samples"), [(3, 2), (2, 1)])
def test_what_is_read_is_the_slow_loop(align, own, bins, samples):
    x = laws.noise(2 * bins**2, 10, 15)
    boxes = torch.cat([drawn(3), torch.tensor([[-9.0, 90.0, -7.0, 55.0]], dtype=torch.float64)])
    y = align(x, boxes, 4.0, bins, samples)
    laws.close(y, slow_align(x, boxes, 4.0, bins, samples, own))
    assert align(x, boxes[:0], 4.0, bins, samples).shape == (0, y.shape[1], bins, bins)


def test_a_box_reads_a_ramp_exactly():
    x = torch.arange(20.0).expand(1, 12, 20).double() + 0.5  # of stride 1: its value is the time
    y = roi_align(x, torch.tensor([[4.0, 12.0, 3.0, 7.0]], dtype=torch.float64), 1.0, 4)
    laws.close(y[0, 0], torch.tensor([5.0, 7, 9, 11]).double().expand(4, 4))


def test_every_bin_reads_channels_of_its_own():
    x = torch.zeros(5 * 49, 8, 9)
    x[(2 * 7 + 3) * 7 + 6] = 1.0
    y = psroi_align(x, torch.tensor([[0.0, 9.0, 0.0, 8.0]]), 1.0)
    assert y.nonzero().tolist() == [[0, 2, 3, 6]]
    with pytest.raises(ValueError, match="240 channels: expected a multiple of 49, 7 x 7"):
        psroi_align(x[:240], torch.zeros(1, 4), 1.0)


def test_gradients_reach_the_places_inside_only():
    x = laws.noise(9, 12, 20).requires_grad_()
    psroi_align(
        x, torch.tensor([[4.0, 10.0, 3.0, 9.0]], dtype=torch.float64), 1.0, 3
    ).sum().backward()
    felt = x.grad.abs().sum(dim=0) > 0
    assert felt[3:9, 4:10].all()
    assert felt.sum() == 36
