"""PixelCNN: a cell hears those before it, all of them with gates, and chances add up."""

from itertools import product

import laws
import pytest
import torch

from sepaudio.context import Stream
from sepaudio.layers import GatedPair, MaskedConv2d
from sepaudio.models.pixelcnn import PixelCNN, PixelCNNCfg, quantised, restored

SMALL = {"levels": 3, "width": 6, "layers": 3, "kernel": 3, "hidden": 8}
FORMS = pytest.mark.parametrize("gated", [False, True])


def made(gated, **changes):
    torch.manual_seed(0)
    net = PixelCNN(PixelCNNCfg(**{**SMALL, "gated": gated, **changes}))
    return laws.perturbed(net.double()).eval()


def cells(batch, bins, frames, levels=3):
    return torch.randint(levels, (batch, bins, frames), generator=torch.Generator().manual_seed(0))


def heard(net, bins, frames, at, seeds=6):
    """[F, L]: which cells move the logits of the cell `at` by more than rounding of nothing."""
    net.double()
    moved = torch.zeros(bins, frames, dtype=torch.bool)
    for seed in range(seeds):
        values = laws.noise(1, 3, bins, frames, seed=seed).requires_grad_()
        net._seen = lambda _, values=values: values
        logits = net(torch.zeros(1, bins, frames, dtype=torch.int64))
        (gradient,) = torch.autograd.grad(logits[0, :, at[0], at[1]].sum(), values)
        moved |= gradient[0].abs().sum(dim=0) > 0
    return moved


def order(bins, frames):
    """[F, L]: the number of each cell, frame by frame and upwards."""
    return torch.arange(bins)[:, None] + bins * torch.arange(frames)


@FORMS
@pytest.mark.parametrize("at", [(0, 0), (4, 0), (0, 3), (2, 3), (4, 5)])
def test_no_cell_hears_itself_or_a_later_one(gated, at):
    net, places = made(gated), order(5, 6)
    assert not heard(net, 5, 6, at)[places >= places[at]].any()


def test_gates_leave_no_blind_spot():
    places = order(6, 5)
    for at in [(5, 4), (0, 4), (3, 2)]:
        before = places < places[at]
        assert torch.equal(heard(made(True, layers=6), 6, 5, at), before)


def test_the_plain_form_has_a_blind_spot():
    """Bins above that an earlier frame had, and that no run of masked kernels leads to."""
    net, places = made(False, layers=6), order(6, 5)
    before = places < places[(0, 4)]
    found = heard(net, 6, 5, (0, 4))
    assert not found[~before].any()
    assert not found[5, 3]  # the frame just before, five bins higher
    assert found[0, 3]


@FORMS
@pytest.mark.parametrize("levels", [2, 3])
def test_chances_of_all_pictures_add_up_to_one(gated, levels):
    net = made(gated, levels=levels)
    every = torch.tensor(list(product(range(levels), repeat=4))).view(-1, 2, 2)
    total = net.log_likelihood(every).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


@FORMS
def test_frames_one_by_one_are_frames_together(gated):
    net, given, stream = made(gated), cells(2, 5, 9), Stream()
    parts = [net(x, stream) for x in given.split([2, 1, 4, 2], dim=2)]
    laws.close(torch.cat(parts, dim=3), net(given))


@FORMS
def test_every_parameter_learns(gated):
    net = made(gated, width=12)
    laws.every_parameter_learns(net, net(cells(2, 5, 6)))


@FORMS
def test_padding_changes_no_likelihood(gated):
    net, given = made(gated), cells(2, 5, 8)
    together = net.log_likelihood(given, torch.tensor([8, 3]))
    assert together[1].item() == pytest.approx(net.log_likelihood(given[1:, :, :3]).item())


@FORMS
def test_samples_come_as_often_as_they_are_likely(gated):
    net = made(gated, levels=2, layers=1)
    every = torch.tensor(list(product(range(2), repeat=4))).view(-1, 2, 2)
    chances = net.log_likelihood(every).exp().detach()
    drawn = net.sample(4000, 2, 2, torch.Generator().manual_seed(0))
    assert drawn.shape == (4000, 2, 2)
    counts = torch.stack([(drawn == picture).all(dim=(1, 2)).sum() for picture in every])
    error = (counts / 4000 - chances).abs()
    assert (error < 4 * (chances * (1 - chances) / 4000).sqrt() + 1e-3).all()
    again = net.sample(4000, 2, 2, torch.Generator().manual_seed(0))
    assert torch.equal(again, drawn)


def test_it_learns_what_is_usual_and_is_surprised_by_the_rest():
    """Two bins of a frame always differ, and frames repeat."""
    torch.manual_seed(0)
    net = PixelCNN(PixelCNNCfg(levels=2, width=8, layers=1, kernel=3, hidden=8))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)

    def usual(n):
        first = torch.randint(2, (n, 1, 1)).expand(n, 1, 5)
        return torch.cat([first, 1 - first], dim=1)

    for _ in range(80):
        loss = net.nats(usual(32)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert net.log_likelihood(usual(8)).mean().item() == pytest.approx(-0.693, abs=0.15)
    odd = usual(1)
    odd[0, 1, 3] = 1 - odd[0, 1, 3]
    surprise = net.nats(odd)[0]
    assert surprise.argmax() == 1 * 5 + 3


def test_levels_are_as_wide_as_each_other():
    picture = torch.tensor([[[-9.0, -1.0, -0.51, -0.5, 0.49, 0.99, 1.0, 9.0]]])
    found = quantised(picture, 4, -1, 1)
    assert found.tolist() == [[[0, 0, 0, 1, 2, 3, 3, 3]]]
    inside = picture.clamp(-1, 1)
    assert (restored(found, 4, -1, 1) - inside).abs().max() <= 0.25 + 1e-6
    with pytest.raises(ValueError, match="low=1, high=-1, levels=4: expected low < high"):
        quantised(picture, 4, 1, -1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskedConv2d(1, 1, 3, "C"), "mask='C', kernel_size=3: expected A or B, and an od"),
        (lambda: MaskedConv2d(1, 1, 4), "kernel_size=4: expected A or B, and an odd number"),
        (lambda: GatedPair(1, 1, 4), "kernel_size=4: expected an odd number, 3 or more"),
        (lambda: PixelCNNCfg(levels=1), "levels=1, width=32: expected 2 or more levels"),
        (lambda: made(True)(torch.zeros(1, 2, 3)), r"cells have shape \[1, 2, 3\] and type"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
