"""The i-vector front-end: what its vectors depend on, and its place in an extractor."""

import json
from dataclasses import replace
from itertools import pairwise

import laws
import pytest
import torch
from conftest import OTHER
from voices import RATE, RECORDINGS, voice

from sepaudio import hub, registry
from sepaudio.frontends import (
    Embedding,
    IVector,
    IVectorCfg,
    KaldiCfg,
    SpeakerCfg,
    fingerprint,
    kaldi_cfg,
)
from sepaudio.layers import Statistics, statistics
from sepaudio.training.ivector import IVectorRecipe, fit_ivector

TINY = IVectorCfg(size=5, components=6, features=kaldi_cfg(8000, n_mels=8, n_mfcc=5), top=4)


@pytest.fixture(scope="module")
def fitted():
    return fit_ivector(lambda: iter(RECORDINGS), TINY, IVectorRecipe(seed=1))


@pytest.fixture(scope="module")
def model(fitted):
    return fitted.model


def test_fitting_never_loses_likelihood(fitted):
    for history in (fitted.mixture, fitted.subspace):
        gains = [b - a for a, b in pairwise(history)]
        assert min(gains) >= -1e-9
        assert history[-1] > history[0]
    assert (fitted.recordings, fitted.unvoiced, fitted.pieces) == (18, 0, 18)
    assert 18 < fitted.seconds < 54


def test_fitting_repeats_to_the_bit(fitted):
    again = fit_ivector(lambda: iter(RECORDINGS), TINY, IVectorRecipe(seed=1))
    assert fingerprint(again.model) == fingerprint(fitted.model)
    other = fit_ivector(lambda: iter(RECORDINGS), TINY, IVectorRecipe(seed=2))
    assert fingerprint(other.model) != fingerprint(fitted.model)


def test_pieces_and_drawn_frames(fitted):
    recipe = IVectorRecipe(seed=1, frames=500, piece_seconds=0.8)
    found = fit_ivector(lambda: [*RECORDINGS, torch.zeros(9000)], TINY, recipe)
    assert found.unvoiced == 1
    assert found.pieces >= 2 * fitted.pieces
    assert torch.isfinite(torch.tensor(found.mixture + found.subspace)).all()


def test_fitting_refuses_silence():
    with pytest.raises(ValueError, match="2 recordings without a voiced frame"):
        fit_ivector(lambda: [torch.zeros(9000)] * 2, TINY, IVectorRecipe())


def test_vectors_have_length_one_and_know_the_voice(model):
    x = torch.stack(RECORDINGS)
    y = model(x)
    assert y.shape == (18, 5)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.norm(dim=1), torch.ones(18))
    alike = y @ y.T
    same = torch.block_diag(*[torch.ones(3, 3)] * 6).bool()
    off = ~torch.eye(18, dtype=torch.bool)
    assert alike[same & off].mean() > alike[~same].mean() + 0.3


def test_the_mean_of_the_training_vectors_is_taken_off(model):
    raw = [model.subspace.posterior(model.statistics(x[None]))[0] for x in RECORDINGS]
    torch.testing.assert_close(torch.cat(raw).mean(0), model.mean.double(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype, limit", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_padding_in_a_batch_changes_nothing(model, dtype, limit):
    net = IVector(TINY)
    net.load_state_dict(model.state_dict())
    net = net.to(dtype)
    lengths = torch.tensor([24000, 17001, 9000])
    x = torch.stack(RECORDINGS[:3]).to(dtype)
    together = net(x, lengths)  # what lies in the padding must not matter
    for row, n in enumerate(lengths.tolist()):
        laws.close(together[row : row + 1], net(x[row : row + 1, :n]), limit)


def test_float32_agrees_with_float64(model):
    net = IVector(TINY)
    net.load_state_dict(model.state_dict())
    x = torch.stack(RECORDINGS)
    assert (net.double()(x.double()) - model(x).double()).abs().max() < 1e-3


def test_the_order_of_frames_means_nothing(model):
    frames, voiced = model.features(RECORDINGS[0][None])
    frames = frames[..., voiced[0]].double()
    net = IVector(TINY).double()
    net.load_state_dict(model.state_dict())
    mixed = frames[..., torch.randperm(frames.shape[-1])]
    one, two = (statistics(net.mixture.posteriors(x, 4, 0.025), x) for x in (frames, mixed))
    laws.close(net.vectors(one), net.vectors(two), 1e-9)


def test_level_hardly_matters(model):
    """Halving a recording's level moves its vector only through which frames count as voiced."""
    x = RECORDINGS[4][None]
    assert (model(x) * model(x / 2)).sum() > 0.98


def test_without_evidence_the_vector_is_the_prior(model):
    of = model.statistics(RECORDINGS[0][None])
    tiny = Statistics(of.counts * 1e-9, of.sums * 1e-9)
    assert model.subspace.posterior(tiny)[0].norm() < 1e-5


@pytest.mark.parametrize("x", [torch.zeros(16000), voice(0.3), 1e-5 * voice(3), torch.zeros(0)])
def test_too_little_voice_is_refused(model, x):
    with pytest.raises(ValueError, match=r"it holds 0\.\d\d s of voice: expected at least 0.5 s"):
        model(x[None])


def test_the_bad_row_of_a_batch_is_named(model):
    x = torch.stack([voice(2), torch.zeros(16000)])
    with pytest.raises(ValueError, match=r"recording 2 of 2 holds 0\.00 s of voice"):
        model(x)
    with pytest.raises(ValueError, match=r"shape \[16000\]: expected \[B, T\]"):
        model(x[0])


def test_several_recordings_pool(model):
    one, two = RECORDINGS[3], RECORDINGS[4][:16000]
    counts = [model.statistics(x[None]) for x in (one, two)]
    both = Statistics(counts[0].counts + counts[1].counts, counts[0].sums + counts[1].sums)
    laws.close(model.together([one, two]).double(), model.vectors(both), 1e-6)
    mean = model(one[None]) + model(two[None])
    laws.close(model.together([one, two], "vectors"), mean / mean.norm(), 1e-5)
    for how in ("statistics", "vectors"):
        laws.close(model.together([one], how), model(one[None]), 1e-5)
    with pytest.raises(ValueError, match="pooling='mean': expected one of statistics, vectors"):
        model.together([one], "mean")
    with pytest.raises(ValueError, match="no recording of the speaker"):
        model.together([])


def test_nothing_of_it_is_a_parameter_and_a_folder_keeps_it_to_the_bit(model, tmp_path):
    assert not list(model.parameters())
    hub.save(model, tmp_path / "ivector", card="# test\n")
    again = hub.load(tmp_path / "ivector")
    assert again.cfg == model.cfg
    assert fingerprint(again) == fingerprint(model)
    x = torch.stack(RECORDINGS[:2])
    assert torch.equal(again(x), model(x))


def test_an_extractor_carries_it(model, tmp_path):
    learned = registry.config("tsenet_test")
    cfg = replace(learned, sample_rate=RATE, embedding=5, speaker=TINY)
    bare = registry.build(replace(cfg, speaker=None))
    net = registry.build(cfg).eval()
    count = sum(p.numel() for p in net.parameters())
    assert count == sum(p.numel() for p in bare.parameters())
    net.speaker.load_state_dict(model.state_dict())
    made = net.enroll(RECORDINGS[0][None])
    assert made.speaker == fingerprint(model)
    mixture = laws.noise(1, 4000, dtype=torch.float32)
    with torch.no_grad():
        expected = net(mixture, made)
    hub.save(net, tmp_path / "extractor", card="# test\n")
    again = hub.load(tmp_path / "extractor")
    with torch.no_grad():
        assert torch.equal(again(mixture, again.enroll(RECORDINGS[0][None])), expected)
    again.speaker.mean += 0.1  # another front-end now
    with pytest.raises(ValueError, match="enroll the speaker again with this model"):
        again(mixture, made)
    with pytest.raises(ValueError, match="made by something else"):
        again(mixture, Embedding(made.vectors))


def test_sizes_and_rates_must_fit_the_extractor():
    with pytest.raises(ValueError, match=r"embedding=400: expected speaker.size=5"):
        registry.config("tsenet", speaker=TINY)
    with pytest.raises(ValueError, match="expected that of the speaker's features, 16000"):
        speaker = IVectorCfg(features=kaldi_cfg(16000))
        registry.config("tsenet", speaker=speaker)


def test_a_cfg_of_either_kind_survives_json():
    for speaker in (SpeakerCfg(size=400), IVectorCfg(), None):
        cfg = registry.config("tsenet", speaker=speaker)
        values = json.loads(json.dumps(registry.to_dict(cfg)))
        assert registry.from_dict(values) == cfg
    assert (
        registry.to_dict(registry.config("tsenet", speaker=TINY, embedding=5))["speaker"]["type"]
        == "IVectorCfg"
    )


def test_the_kind_of_a_cfg_is_chosen_by_its_type():
    ivector = {"type": "IVectorCfg", "components": 64}
    cfg = registry.config("tsenet", speaker=ivector)
    assert cfg.speaker == IVectorCfg(components=64)
    assert registry.config("tsenet", speaker={"size": 400}).speaker == SpeakerCfg(size=400)
    small = registry.config("tsenet_test", speaker={"type": "IVectorCfg", "size": 4, "features": {
        "sample_rate": 1000, "f_max": 400.0}})  # fmt: skip
    assert small.speaker.features == KaldiCfg(sample_rate=1000, f_max=400.0)
    kept = registry.config("tsenet_ivector_test", speaker={"prune": 0.0}).speaker
    assert (kept.prune, kept.components) == (0.0, 3)
    with pytest.raises(ValueError, match="no cfg type is called 'IVectrCfg'; did you mean"):
        registry.config("tsenet", speaker={"type": "IVectrCfg"})


def test_impossible_cfgs_are_refused():
    with pytest.raises(ValueError, match="covariance='round': expected one of diagonal, full"):
        IVectorCfg(covariance="round")
    with pytest.raises(ValueError, match="size=0, components=512"):
        IVectorCfg(size=0)
    with pytest.raises(ValueError, match="sample_rate='22050': expected one of 8000, 16000"):
        kaldi_cfg(22050)
    with pytest.raises(ValueError, match=r"f_max=3700\.0: .* lower f_max"):
        KaldiCfg(sample_rate=4000)
    with pytest.raises(ValueError, match="n_mfcc=30: expected 2 to n_mels=23"):
        KaldiCfg(n_mfcc=30)
    with pytest.raises(ValueError, match="hop=300, window_length=200"):
        KaldiCfg(hop=300)


@pytest.mark.gpu
@pytest.mark.usefixtures("exact")
def test_cuda_agrees_with_cpu(model):
    x = torch.stack(RECORDINGS)
    net = IVector(TINY)
    net.load_state_dict(model.state_dict())
    there = net.to(OTHER)(x.to(OTHER)).cpu()
    assert (there - model(x)).abs().max() < 1e-3
