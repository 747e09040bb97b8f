"""The plan of shared weights, the blocks it plays, and the condition by a speaker."""

from dataclasses import replace

import laws
import pytest
import torch
from torch.nn import functional as F

from sepaudio.context import Stream
from sepaudio.layers import CONDITIONS, SHARING, TCN, TCNCfg, TimeConv, condition, plan
from sepaudio.layers.tcn import GROUPS

SMALL = TCNCfg(bottleneck=6, hidden=10, skip=5, n_blocks=3, n_repeats=2)


def count(module):
    return sum(p.numel() for p in module.parameters())


def net(**changes):
    torch.manual_seed(0)
    tcn = TCN(replace(SMALL, **changes)).double()
    with torch.no_grad():
        for p in tcn.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return tcn


def test_the_plan_of_every_scheme():
    places = {scheme: plan(3, 2, scheme) for scheme in SHARING}
    inputs = {scheme: [p.input for p in found] for scheme, found in places.items()}
    assert inputs == {
        "none": [0, 1, 2, 3, 4, 5],
        "stack": [0, 1, 2, 0, 1, 2],
        "dilation": [0, 0, 0, 1, 1, 1],
        "both": [0] * 6,
        "mitas": [0, 1, 2, 0, 1, 2],
    }
    assert [p.depthwise for p in places["mitas"]] == [0, 0, 0, 1, 1, 1]
    assert [p.norm for p in places["mitas"]] == [0, 1, 2, 3, 4, 5]
    assert [p.dilation for p in places["both"]] == [1, 2, 4, 1, 2, 4]
    private = plan(3, 2, "both", private=("norm",), everywhere=("act",))
    assert [p.norm for p in private] == [0, 1, 2, 3, 4, 5]
    assert {p.act for p in private} == {0}


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"sharing": "stak"}, "sharing='stak': expected one of none, stack, dilation, both, mitas"),
        ({"private": ("norms",)}, "private='norms': expected groups out of input, depthwise"),
        ({"private": ("act",), "everywhere": ("act",)}, "'act' is in private and in everywhere"),
        ({"n_blocks": 0}, "n_blocks=0, n_repeats=2: expected at least 1 of each"),
    ],
)
def test_bad_plans_are_refused(kw, message):
    with pytest.raises(ValueError, match=message):
        plan(**{"n_blocks": 3, "n_repeats": 2, **kw})


def test_batch_norm_is_not_shared():
    with pytest.raises(ValueError, match="norm='batch' with sharing='stack': the running stat"):
        TCNCfg(norm="batch", sharing="stack")
    assert TCN(replace(SMALL, norm="batch")) is not None


@pytest.mark.parametrize("scheme", SHARING)
@pytest.mark.parametrize("private", [(), ("norm", "act"), ("depthwise",), GROUPS])
def test_shared_equals_unshared_with_equal_weights_bit_for_bit(scheme, private):
    shared = net(sharing=scheme, private=private)
    apart = net(sharing="none")
    apart.load_places(shared)
    x = laws.noise(2, 6, 40)
    assert torch.equal(shared(x), apart(x))
    again = net(sharing=scheme, private=private)
    again.load_places(apart)  # tying what is equal already changes it by rounding at most
    laws.close(again(x), apart(x))


def test_tying_takes_the_mean():
    apart, tied = net(), net(sharing="both")
    tied.load_places(apart)
    mean = torch.stack([m.weight for m in apart.depthwise]).mean(0)
    assert torch.equal(tied.depthwise[0].weight, mean)


@pytest.mark.parametrize("scheme", SHARING)
def test_a_shared_block_has_as_many_pasts_as_places(scheme):
    tcn = net(sharing=scheme, norm="cumulative", causal=True).eval()
    laws.block_streams_like_whole(tcn_call(tcn), laws.noise(2, 6, 90), [7, 1, 0, 30])
    stream = Stream()
    tcn(laws.noise(1, 6, 50), context=stream)
    pasts = [k for k in stream.slots if k.endswith("/depthwise")]
    assert len(pasts) == len(tcn.plan)
    kept = sum(stream.slots[k].numel() for k in pasts)
    assert kept == 10 * sum(2 * place.dilation for place in tcn.plan)  # hidden x reach


def tcn_call(tcn):
    from sepaudio.context import WHOLE

    return lambda x, context=WHOLE: tcn(x, context=context)


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_lets_the_speaker_in(name):
    conv = TimeConv(6, 10, 1).double()
    layer = condition(name, 4, 6, 10).double()
    x, v = laws.noise(2, 6, 9), laws.noise(2, 4, seed=1)
    y = layer(x, v, conv)
    assert y.shape == (2, 10, 9)
    assert not torch.allclose(y, layer(x, v.flip(0), conv))
    assert not torch.allclose(y, conv(x))


def test_concatenation_is_one_bias_per_utterance():
    conv, layer = TimeConv(6, 10, 1).double(), condition("concat", 4, 6, 10).double()
    x, v = laws.noise(2, 6, 9), laws.noise(2, 4, seed=1)
    wide = torch.cat([x, v[..., None].expand(-1, -1, 9)], dim=1)
    laws.close(layer(x, v, conv), F.conv1d(wide, layer.widened(conv), conv.bias))


def test_the_residual_is_what_came_before_the_condition():
    """Where the last 1x1 of a fused block is zero, the block is the identity on its input."""
    tcn = TCN(replace(SMALL, skip=0, n_blocks=1, n_repeats=1), 4, "concat", (0,)).double()
    torch.nn.init.zeros_(tcn.residuals[0].weight)
    torch.nn.init.zeros_(tcn.residuals[0].bias)
    x = laws.noise(2, 6, 9)
    assert torch.equal(tcn(x, {0: laws.noise(2, 4)}), x)


def test_a_condition_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="condition='film2': expected one of concat, add"):
        condition("film2", 4, 6, 10)


def test_conditions_follow_the_convolution_they_widen():
    tied = TCN(replace(SMALL, sharing="stack"), 4, "concat", (0, 1))
    apart = TCN(SMALL, 4, "concat", (0, 1))
    assert (len(tied.conditions), len(apart.conditions)) == (1, 2)
    apart.load_places(tied)
    x, heard = laws.noise(2, 6, 30), {0: laws.noise(2, 4), 1: laws.noise(2, 4, seed=2)}
    assert torch.equal(tied.double()(x, heard), apart.double()(x, heard))


@pytest.mark.parametrize(("n_blocks", "n_repeats", "frames"), [(8, 3, 1531), (8, 4, 2041)])
def test_receptive_field_in_frames(n_blocks, n_repeats, frames):
    tcn = TCN(replace(SMALL, n_blocks=n_blocks, n_repeats=n_repeats, norm="channel"))
    assert tcn.receptive_frames == frames
    small = net(norm="channel")
    first, last = laws.reaches(small, laws.noise(1, 6, 200), 100)
    assert last - first + 1 == small.receptive_frames
    assert (first + last) / 2 == 100


@pytest.mark.parametrize(("skip", "dead"), [(0, 0), (5, 2)])
def test_the_last_residual_is_dead_where_skips_are_summed(skip, dead):
    tcn = net(skip=skip)
    assert len(tcn.dead_parameters()) == dead
    laws.every_parameter_learns(tcn, tcn(laws.noise(2, 6, 30)), tcn.dead_parameters())
    assert net(skip=5, sharing="stack", n_repeats=3).dead_parameters() == ()
