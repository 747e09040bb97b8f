"""Speaker encoders: learning to tell voices apart alone, and one in the place of another."""

import math
from copy import deepcopy

import pytest
import torch
from hums import recipe_of

from sepaudio import hub, registry
from sepaudio.training import recipe as recipes
from sepaudio.training.colours import ANCHORS, COUNT, Colours, microphones, number
from sepaudio.training.mixtures import batch_at, helper_of, mixers, objective_of, voices
from sepaudio.training.voices import told_apart, translate, with_leftover, with_speaker
from sepaudio.verbs.train import rehearse, train

ENCODER = "speaker_encoder_test"


def test_an_encoder_learns_to_tell_voices_apart(speakers, tmp_path):
    path = recipe_of(speakers, tmp_path, ENCODER)
    more = ["optim.steps=60", "optim.batch=8", "optim.valid_every=0"]
    made = train(path, more, output=tmp_path / "run", quiet=True)
    config, learned = hub.read_config(made), hub.load(made)
    torch.manual_seed(0)
    untrained = registry.create(ENCODER).eval()
    mixer, _ = mixers(recipes.read(path, more), untrained)
    batch = batch_at(mixer, 16, 0)(5000, 0, 1)  # mixtures that training did not draw
    with torch.no_grad():
        before, after = (float(voices()(model, batch)) for model in (untrained, learned))
    assert after < before - 0.3  # nats
    assert config["architecture"] == ENCODER
    assert config["valid_loss_nats"] > 0 and "valid_loss_db" not in config
    assert learned.standardize.mean.abs().max() > 0  # was measured, not left at zero


def test_another_recording_of_the_same_voice_is_not_wrong():
    """Each of four sources is the vector of its own number; anchors are those of the targets."""
    batch = {
        "sources": torch.arange(4.0).view(2, 2, 1),
        "n_src": torch.tensor([2, 2]),
        "target": torch.tensor([0, 0]),
        "voices": torch.tensor([[7, 5], [7, 0]]),
    }
    table = torch.eye(4)[[0, 1, 0, 3]]
    anchors = table[[0, 2]].requires_grad_()
    loss = told_apart(anchors, table, batch)
    # beside the right one, of cosine 1, are the 5 and the one without a name, of cosine 0
    assert loss.item() == pytest.approx(math.log(1 + 2 * math.exp(-10)), rel=0.01)
    other = told_apart(anchors, table, batch | {"voices": torch.tensor([[7, 5], [8, 0]])})
    assert other.item() == pytest.approx(math.log(2 + 2 * math.exp(-10)), rel=1e-4)
    gone = batch | {"target": torch.tensor([0, -1]), "voices": torch.full((2, 2), 7)}
    told_apart(anchors, table, gone).backward()
    assert torch.isfinite(anchors.grad).all()


def test_a_source_is_heard_with_what_else_its_mixture_holds():
    """The first mixture's as they are; the last one's with the given share of the rest."""
    torch.manual_seed(0)
    sources, bed = torch.randn(3, 2, 50), torch.randn(3, 50)
    mixture = sources.sum(1) + bed
    sounds = with_leftover(sources, mixture, 0.5)
    for row, share in enumerate((0.0, 0.25, 0.5)):
        for i in (0, 1):
            expected = sources[row, i] + share * (sources[row, 1 - i] + bed[row])
            torch.testing.assert_close(sounds[row, i], expected)


def test_an_encoder_can_learn_by_what_is_left_in_its_sources(speakers, tmp_path):
    """It changes what is minimised, and only in mixtures that hold something else."""
    path = recipe_of(speakers, tmp_path, ENCODER)
    cfg = recipes.read(path, ["leftover=0.5"])
    torch.manual_seed(0)
    model = registry.create(ENCODER).eval()
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    alone = batch | {"sources": batch["mixture"][:, None].expand_as(batch["sources"])}
    with torch.no_grad():
        clean, noisy = (
            [float(objective(model, made)) for made in (batch, alone)]
            for objective in (voices(), objective_of(model, cfg))
        )
    assert noisy[0] != clean[0]
    assert noisy[1] == pytest.approx(clean[1], abs=1e-5)
    with pytest.raises(ValueError, match="expected 0 or more, below 1"):
        recipes.read(path, ["leftover=1.0"])
    other = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"), ["leftover=0.5"])
    with pytest.raises(ValueError, match="with tsenet_test: expected a speaker encoder"):
        objective_of(registry.create("tsenet_test"), other)


def test_microphones_colour_without_shifting():
    """Each by its own smooth response; the share that is ideal changes nothing."""
    rate = 8000
    gains = microphones(rate, 0.6)
    assert gains.shape == (COUNT, ANCHORS)
    ideal = (gains == 0).all(1)
    assert 0.35 < ideal.float().mean() < 0.45
    assert gains.max() <= 12 and gains[~ideal].min() < -40
    torch.manual_seed(0)
    colours, x = Colours(rate, 0.6), 0.1 * torch.randn(16, 4001)
    y, met = colours(x), number(x)
    assert y.shape == x.shape and not colours.state_dict()
    assert len(set(met.tolist())) > 10
    torch.testing.assert_close(y[ideal[met]], x[ideal[met]], rtol=0, atol=1e-6)
    pulses = torch.zeros(64, 4000)
    pulses[:, 2000] = 0.1 + torch.arange(64) / 2**15  # alike, but through microphones of their own
    heard = 20 * (torch.fft.rfft(colours(pulses)).abs() / pulses.sum(1, keepdim=True)).log10()
    wanted = gains[number(pulses)]
    at = torch.linspace(0, ANCHORS - 1, heard.shape[1]).round().long()
    near = torch.linspace(0, ANCHORS - 1, heard.shape[1]).sub(at).abs() < 1e-3
    assert near.sum() >= 2 and (wanted != 0).any()
    off = heard[:, near].clamp_min(-60) - wanted[:, at[near]].clamp_min(-60)  # below is rounding
    assert off.abs().max() < 0.1  # dB


@pytest.mark.parametrize("architecture", [ENCODER, "tsenet_test"])
def test_enrollments_are_heard_through_microphones(speakers, tmp_path, architecture):
    """What is minimised changes by them alone; weights that come out have nothing of them."""
    path = recipe_of(speakers, tmp_path, architecture)
    cfg = recipes.read(path, ["colours=1.0"])
    torch.manual_seed(0)
    model = registry.create(architecture).eval()
    batch = batch_at(mixers(cfg, model)[0], 8, 0)(0, 0, 1)
    helper = helper_of(model, cfg)
    heard = batch | {"enrollment": helper["colours"](batch["enrollment"])}
    if architecture == ENCODER:
        sources = batch["sources"]
        heard["sources"] = helper["colours"](sources.flatten(0, 1)).view_as(sources)
    with torch.no_grad():
        plain, through, wanted = (
            float(objective_of(model, cfg, how)(model, made))
            for how, made in ((None, batch), (helper, batch), (None, heard))
        )
    assert through == pytest.approx(wanted, abs=1e-5) and through != pytest.approx(plain, abs=1e-3)
    made = train(path, ["colours=0.5", "optim.steps=2"], output=tmp_path / "run", quiet=True)
    assert set(hub.load(made).state_dict()) == set(model.state_dict())
    with pytest.raises(ValueError, match=r"colours=1\.5: expected 0 to 1"):
        recipes.read(path, ["colours=1.5"])
    other = recipes.read(recipe_of(speakers, tmp_path, "mitas_test"), ["colours=0.5"])
    with pytest.raises(ValueError, match="with mitas_test: expected a network that hears enroll"):
        objective_of(registry.create("mitas_test"), other)


def test_an_extractor_learns_on_with_the_encoder(speakers, tmp_path):
    """And the encoder, as it is in an extractor, by itself again."""
    path = recipe_of(speakers, tmp_path, ENCODER)
    encoder = train(path, ["optim.steps=2"], output=tmp_path / "voices", quiet=True)
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    first = train(path, ["optim.steps=2"], output=tmp_path / "first", quiet=True)
    more = [f"speaker={encoder}", "optim.steps=1", "optim.lr=1e-9", "optim.weight_decay=0"]
    assert any("steps" in line for line in rehearse(path, more, init=first))
    made = train(path, more, init=first, output=tmp_path / "second", quiet=True)
    given, found = hub.load(encoder).state_dict(), hub.load(made).speaker.state_dict()
    for key, value in found.items():
        torch.testing.assert_close(value, given[key], rtol=0, atol=1e-6)
    old, new = hub.load(first), hub.load(made)
    torch.testing.assert_close(new.bottleneck.weight, old.bottleneck.weight, rtol=0, atol=1e-6)
    assert not torch.allclose(new.dense[0][0].weight, old.dense[0][0].weight, atol=1e-3)
    assert hub.read_config(made)["recipe"]["speaker"] == "voices/model"
    with pytest.raises(ValueError, match="expected the folder of a speaker encoder"):
        with_speaker(old, first)
    alone = [f"optim.{x}" for x in ("steps=1", "lr=1e-9", "weight_decay=0")]
    path = recipe_of(speakers, tmp_path, ENCODER)
    again = hub.load(train(path, alone, init=made, output=tmp_path / "third", quiet=True))
    for key, value in again.state_dict().items():
        torch.testing.assert_close(value, found[key], rtol=0, atol=1e-6)


def test_vectors_that_say_the_same_otherwise_are_understood(speakers, tmp_path):
    """Turned, stretched and moved, they lead to the same estimates."""
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"))
    torch.manual_seed(1)
    model = registry.create("tsenet_test").eval()
    mixer, _ = mixers(cfg, model)
    other = deepcopy(model)
    turn = torch.randn(4, 4) + 2 * torch.eye(4)
    head = other.speaker.head
    with torch.no_grad():
        head.weight.copy_(turn @ head.weight)
        head.bias.copy_(turn @ head.bias + 3)
    batch = batch_at(mixer, 16, 0)(5000, 0, 1)

    def estimates(net):
        embedding = net.speaker(batch["enrollment"], batch["enrollment_lengths"])
        with torch.no_grad():
            return net(batch["mixture"], embedding)

    wanted, before = estimates(model), estimates(other)
    translate(other, model.speaker, mixer, 16, 128)
    size = wanted.norm()
    assert (before - wanted).norm() > 0.02 * size
    assert (estimates(other) - wanted).norm() < 0.005 * size
    kept = deepcopy(other.state_dict())
    translate(other, None, mixer, 16, 128)  # vectors had come from elsewhere: nothing to go by
    assert all(torch.equal(value, kept[key]) for key, value in other.state_dict().items())
