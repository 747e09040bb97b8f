"""What extractors learn besides: voices told apart, and how loud estimates are."""

import math

import pytest
import torch
from hums import recipe_of

from sepaudio import registry
from sepaudio.losses import level_error
from sepaudio.training import recipe as recipes
from sepaudio.training.fitted import fit_level
from sepaudio.training.mixtures import batch_at, extraction, mixers, told_apart


def test_voices_are_told_apart_among_all_sources(speakers, tmp_path):
    """A front-end that knows the speakers' pitch has little to lose, one that mixes them much."""
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    cfg = recipes.read(path, ["data.mixing.n_src=[1, 2]", "data.mixing.sir_db=[0, 0]"])
    batch = batch_at(mixers(cfg, registry.create("tsenet_test"))[0], 8, 0)(0, 0, 1)
    batch["target"][3] = -1
    batch["voices"].zero_()  # without names, each counts as another

    def pitch(x, lengths=None):
        return torch.fft.rfft(x, 512).abs()[:, :250]

    def loud(x, lengths=None):
        return torch.ones(len(x), 4)

    def lost(hear):
        sources = batch["sources"].flatten(0, 1)
        return told_apart(hear(batch["enrollment"]), hear(sources), batch).item()

    knows = lost(pitch)
    n_voices = int(batch["n_src"].sum())
    assert n_voices < 16  # some mixtures have a single speaker
    assert lost(loud) == pytest.approx(math.log(n_voices))
    assert knows < 0.6 * math.log(n_voices)


def test_a_weight_on_the_level_takes_part_where_the_speaker_is_there(speakers, tmp_path):
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"))
    torch.manual_seed(0)
    model = registry.create("tsenet_test")
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    batch["target"][3] = -1
    embedding = model.speaker(batch["enrollment"], batch["enrollment_lengths"])
    off = level_error(model(batch["mixture"], embedding), batch["sources"][:, 0])
    off[3] = 0  # the estimate of a speaker who is not there has no level to reach
    plain, level = (extraction("si_snr", 0.2, level=level)(model, batch) for level in (0.0, 0.5))
    assert (level - plain).item() == pytest.approx(0.5 * off.mean().item(), rel=1e-4)


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test", "tsenet_fourier_test"])
def test_estimates_are_made_as_loud_as_their_sources(speakers, tmp_path, architecture):
    cfg = recipes.read(recipe_of(speakers, tmp_path, architecture))
    torch.manual_seed(0)
    model = registry.create(architecture).eval()
    if model.decoder.filters.requires_grad:  # an untrained one may turn signals upside down
        model.decoder.load_state_dict({**model.encoder.state_dict(), "bias": torch.zeros(1)})
    _, valid = mixers(cfg, model)
    first = fit_level(model, valid, 6, 4)
    assert first != 1
    assert fit_level(model, valid, 6, 4) == pytest.approx(1, abs=1e-4)
