"""Conv-TasNet against asteroid and torchaudio: their random weights, moved by our converters."""

import importlib.util

import laws
import pytest
import torch

from sepaudio import doors
from sepaudio.convert import from_asteroid, from_torchaudio

pytestmark = pytest.mark.oracle
LENGTHS = (8, 163, 1001)  # [samples]; none fits the frames, but the first
SMALL = {
    **{"n_filters": 12, "kernel_size": 8, "stride": 4, "n_blocks": 3, "n_repeats": 2},
    **{"bn_chan": 6, "hid_chan": 10, "skip_chan": 5},
}
ASTEROID = {
    "default": {"n_src": 2},
    "one source": {"n_src": 1, **SMALL},
    "three": {"n_src": 3, **SMALL},
    "without skip": {"n_src": 2, **SMALL, "skip_chan": 0, "mask_act": "relu"},
    "softmax, relu encoder": {
        **{"n_src": 2, **SMALL, "mask_act": "softmax", "encoder_activation": "relu"}
    },
    "linear mask": {"n_src": 2, **SMALL, "mask_act": "linear"},
    "prelu encoder": {"n_src": 2, **SMALL, "encoder_activation": "prelu"},
    "five taps": {"n_src": 2, **SMALL, "conv_kernel_size": 5},
    "long filters": {"n_src": 2, **SMALL, "kernel_size": 40, "stride": 20},
    "odd filters": {"n_src": 2, **SMALL, "kernel_size": 21, "stride": 8},
    "stride of its own": {"n_src": 2, **SMALL, "stride": None, "kernel_size": 10},
    "channel": {"n_src": 2, **SMALL, "norm_type": "cLN"},
    "cumulative": {"n_src": 2, **SMALL, "norm_type": "cgLN"},
    "batch": {"n_src": 2, **SMALL, "norm_type": "bN"},
    "causal": {"n_src": 2, **SMALL, "causal": True, "norm_type": "cgLN"},
    "causal, no skip": {
        **{"n_src": 2, **SMALL, "causal": True, "norm_type": "cLN", "skip_chan": 0}
    },
    "causal, even taps": {
        **{"n_src": 3, **SMALL, "causal": True, "norm_type": "cLN", "conv_kernel_size": 4}
    },
    "causal global is channel": {"n_src": 2, **SMALL, "causal": True, "norm_type": "gLN"},
}
TORCHAUDIO = {
    "base": {"num_sources": 2, "msk_activate": "relu"},
    "sigmoid": {"num_sources": 2, "msk_activate": "sigmoid"},
    "three": {"num_sources": 3, "msk_activate": "relu"},
    "odd filters": {"num_sources": 2, "enc_kernel_size": 17, "msk_activate": "relu"},
    "one stack": {"num_sources": 1, "msk_num_stacks": 1, "msk_activate": "sigmoid"},
}
TINY = {
    **{"enc_kernel_size": 8, "enc_num_feats": 12, "msk_num_feats": 6, "msk_num_hidden_feats": 10},
    **{"msk_num_layers": 3, "msk_num_stacks": 2},
}


def moved(theirs):
    """Their network with every parameter and statistic off its start."""
    torch.manual_seed(1)
    for name, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.add_(0.2 * torch.rand_like(value) if value.ndim < 2 else 0)
        assert torch.isfinite(value).all(), name
    return theirs.eval()


def alike(ours, theirs, lengths):
    """Both give the same in both precisions; theirs takes and gives [B, 1 or S, T]."""
    ours.eval()
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        ours.to(dtype)
        theirs.to(dtype)
        for length in lengths:
            x = laws.noise(2, length, dtype=dtype, seed=length)
            with torch.no_grad():
                wanted = theirs(x[:, None])
                laws.close(ours(x), wanted, tolerance)
            assert wanted.std() > 1e-3


def asteroids(**args):
    if importlib.util.find_spec("asteroid") is None:
        pytest.skip("asteroid is not installed")
    doors.asteroid()
    from asteroid.models import ConvTasNet

    return ConvTasNet(**args)


def torchaudios(**args):
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    return doors.torchaudio().models.ConvTasNet(**args)


@pytest.mark.filterwarnings("ignore:In causal configuration")
@pytest.mark.parametrize("kind", ASTEROID)
def test_asteroids_conv_tasnet(kind):
    args = ASTEROID[kind]
    theirs = moved(asteroids(**args))
    pack = theirs.serialize()
    if kind == "causal global is channel":  # what a pack written by hand may say
        pack["model_args"]["norm_type"] = "gLN"
    ours = from_asteroid(pack)
    assert ours.cfg.n_src == args["n_src"]
    assert ours.sample_rate == 8000
    count = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) == count
    lengths = [n for n in LENGTHS if n >= theirs.encoder.filterbank.kernel_size]
    alike(ours, theirs, lengths[:1] if kind == "default" else lengths)


def test_asteroids_conv_tasnet_has_the_published_count():
    ours = from_asteroid(asteroids(n_src=2).serialize())
    assert sum(p.numel() for p in ours.parameters()) == 5_050_545


@pytest.mark.parametrize("kind", TORCHAUDIO)
def test_torchaudios_conv_tasnet(kind):
    args = {**TINY, **TORCHAUDIO[kind]}
    theirs = moved(torchaudios(**args))
    said = {"sample_rate": 8000, "mask": args["msk_activate"], "n_blocks": 3}
    ours = from_torchaudio(theirs.state_dict(), **said)
    assert ours.cfg.n_src == args["num_sources"]
    alike(ours, theirs, (1, 2, *LENGTHS))


def test_torchaudios_conv_tasnet_base():
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    theirs = moved(doors.torchaudio().models.conv_tasnet_base())
    ours = from_torchaudio(theirs.state_dict(), sample_rate=8000, mask="relu")
    dead = sum(ours.state_dict()[name].numel() for name in ours.dead_parameters)
    assert dead == 65_664
    count = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) - dead == count
    alike(ours, theirs, (163,))


def test_a_wrong_mask_or_norm_is_seen_here():
    """The comparison can fail."""
    theirs = moved(torchaudios(**TINY, msk_activate="sigmoid"))
    state = theirs.state_dict()
    with pytest.raises(AssertionError, match="off by"):
        alike(from_torchaudio(state, sample_rate=8000, mask="relu", n_blocks=3), theirs, (163,))
    theirs = theirs.float()
    with pytest.raises(AssertionError, match="off by"):
        alike(from_torchaudio(state, sample_rate=8000, mask="sigmoid", n_blocks=2), theirs, (163,))
