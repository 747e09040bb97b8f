"""Sequence-to-sequence SliceNet and ByteNet: what is said hangs on what was said, and no more."""

from dataclasses import replace

import laws
import pytest
import torch
from torch.nn import functional as F

from sepaudio.context import Stream
from sepaudio.layers import ByteNetCfg, SliceCfg, greedy, shifted
from sepaudio.models.bytenet import ByteNet, ByteNetSequenceCfg
from sepaudio.models.slicenet import SliceNet, SliceNetCfg

CFGS = {
    SliceNet: SliceNetCfg(
        features=5,
        tokens=4,
        encoder=SliceCfg(width=8, modules=1, dropout=0.0),
        decoder=SliceCfg(width=8, modules=2, groups=(1, 2), dropout=0.0, causal=True),
    ),
    ByteNet: ByteNetSequenceCfg(
        features=5,
        tokens=4,
        encoder=ByteNetCfg(width=8, dilations=(1, 2), sets=2),
        decoder=ByteNetCfg(width=8, dilations=(1, 2), sets=2, causal=True),
        more=2,
    ),
}
BOTH = pytest.mark.parametrize("kind", CFGS)


def made(kind, dtype=torch.float64, **changes):
    torch.manual_seed(0)
    return laws.perturbed(kind(replace(CFGS[kind], **changes)).to(dtype)).eval()


def source(batch=2, frames=9):
    return laws.noise(batch, 5, frames)


def tokens(batch=2, n=10, seed=0):
    return torch.randint(4, (batch, n), generator=torch.Generator().manual_seed(seed))


@BOTH
@pytest.mark.parametrize("now", [0, 4, 9])
def test_a_token_moves_what_comes_after_it_only(kind, now):
    net, said = made(kind, torch.float32), tokens()
    other = said.clone()
    other[:, now:] = (other[:, now:] + 1) % 4
    x = source().float()
    before, after = net(x, said), net(x, other)
    assert torch.equal(before[..., : now + 1], after[..., : now + 1])
    if now < 9:
        assert not torch.equal(before[..., now + 1], after[..., now + 1])


@BOTH
def test_logits_and_gradients(kind):
    net, said = made(kind), tokens()
    logits = net(source(), said)
    assert logits.shape == (2, 4, 10)
    laws.every_parameter_learns(net, logits)


@BOTH
def test_what_lies_beyond_the_source_changes_nothing(kind):
    net, said, lengths = made(kind), tokens(), torch.tensor([9, 4])
    x = source()
    laws.close(net(x, said, lengths)[1:], net(x[1:, :, :4], said[1:]))


@BOTH
def test_tokens_one_by_one_are_tokens_together(kind):
    net, said = made(kind), tokens()
    x, before, stream = net.encode(source()), shifted(said, 4), Stream()
    columns = x.split(1, 2) if kind is ByteNet else [x] * 10
    parts = [net.predict(t, c, stream) for t, c in zip(before.split(1, 1), columns, strict=False)]
    laws.close(torch.cat(parts, dim=2), net(source(), said)[..., : len(parts)])


@BOTH
def test_what_is_decoded_is_the_likeliest_of_each_step(kind):
    net = made(kind)
    said = net.decode(source()) if kind is ByteNet else net.decode(source(), 12)
    best = net(source(), said).argmax(dim=1)
    for row, likeliest in zip(said, best, strict=True):
        ended = torch.nonzero(row == 0).flatten()
        n = int(ended[0]) + 1 if len(ended) else len(row)
        assert torch.equal(row[:n], likeliest[:n])
        assert not row[n:].any()


def test_bytenet_makes_room_for_tokens():
    net = made(ByteNet)
    assert [net.room(n) for n in (1, 5, 9)] == [4, 8, 13]
    assert net.encode(source()).shape == (2, 8, 13)
    said = net.decode(source(), torch.tensor([9, 1]))
    assert not said[1, 4:].any()
    longer = tokens(n=20)  # more than there is room for: the rest hears itself only
    assert net(source(), longer).shape == (2, 4, 20)


def test_slicenet_without_an_end_says_as_much_as_it_is_asked():
    net = made(SliceNet, end=None)
    assert net.decode(source(), 7).shape == (2, 7)


def test_greedy_ends_and_fills():
    script = torch.tensor([[3, 1, 2, 0, 1], [2, 0, 3, 3, 3]])
    place = iter(range(5))
    predict = lambda before, context: F.one_hot(script[:, next(place), None], 4).mT  # noqa: E731
    said = greedy(predict, torch.tensor([4, 4]), 5, end=0)
    assert said.tolist() == [[3, 1, 2, 0], [2, 0, 0, 0]]
    with pytest.raises(ValueError, match="lengths without end: expected a token that fills"):
        greedy(predict, torch.tensor([4, 4]), 5, lengths=torch.tensor([1, 2]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SliceNetCfg(end=32), "end=32: expected a token from 0 to 31"),
        (lambda: SliceNetCfg(decoder=SliceCfg()), "decoder.causal=False: expected one width and a"),
        (lambda: ByteNetSequenceCfg(unfold=0), "unfold=0, more=0: expected more than 0"),
        (lambda: ByteNetSequenceCfg(end=-1), "end=-1: expected a token from 0 to 31"),
        (lambda: ByteNetSequenceCfg(encoder=ByteNetCfg(width=8)), "encoder.width=8, decoder.width"),
    ],
)
def test_bad_decoders_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@BOTH
def test_it_learns_to_say_what_only_the_source_tells(kind):
    """SliceNet says it backwards; ByteNet, without attention, each frame one place too early."""
    torch.manual_seed(0)
    slices = SliceCfg(width=24, modules=1, kernels=(3, 3, 3), dilations=(1, 1, 1), dropout=0.0)
    cfg, bytes_ = CFGS[kind], ByteNetCfg(width=24, dilations=(1, 2), sets=1)
    if kind is SliceNet:
        cfg = replace(cfg, encoder=slices, decoder=replace(slices, causal=True))
    else:
        causal = replace(bytes_, causal=True)
        cfg = replace(cfg, encoder=bytes_, decoder=causal, unfold=1.0, more=1)
    net = kind(cfg)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)

    def lesson(n):
        frames = torch.randint(1, 4, (n, 4))
        order = [3, 2, 1, 0] if kind is SliceNet else [1, 2, 3, 3]
        said = F.pad(frames[:, order], (0, 1))  # and the end
        return F.one_hot(frames, 5).float().mT, said

    for _ in range(100):
        x, said = lesson(32)
        loss = F.cross_entropy(net(x, said), said)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, said = lesson(50)
    net.eval()
    heard = net.decode(x) if kind is ByteNet else net.decode(x, 5)
    heard = F.pad(heard, (0, 5 - heard.shape[1]))
    assert (heard == said).all(dim=1).float().mean() > 0.9
