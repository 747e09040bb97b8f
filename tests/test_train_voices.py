"""Speaker encoders: learning to tell voices apart alone, and one in the place of another."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hums import recipe_of
from safetensors.torch import save_file

from sepaudio import hub, registry
from sepaudio.data.render import voices as numbered
from sepaudio.frontends.speaker import TINY, SpeakerEncoder
from sepaudio.training import recipe as recipes
from sepaudio.training.colours import ANCHORS, COUNT, Colours, microphones, number
from sepaudio.training.imitate import teacher_of
from sepaudio.training.mixtures import batch_at, helper_of, mixers, objective_of, voices
from sepaudio.training.voices import told_apart, translate, with_leftover, with_second, with_speaker
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
    for asked in ("leftover=0.5", "teacher=some.safetensors"):
        other = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"), [asked])
        with pytest.raises(ValueError, match="with tsenet_test: expected a speaker encoder"):
            objective_of(registry.create("tsenet_test"), other)


def test_what_colours_all_of_a_recording_reaches_the_last_layer_alone():
    """Blocks that hear bands without their means hear the same of a recording in other colours."""
    torch.manual_seed(0)
    plain, centred = (SpeakerEncoder(replace(TINY, centred=x)).eval() for x in (False, True))
    n_mels = TINY.features.n_mels
    assert centred.head.in_features == plain.head.in_features + n_mels
    x = 0.1 * torch.randn(2, 1600)
    lengths = torch.tensor([1600, 900])
    bands = centred.bands(x, lengths)
    tilt = torch.linspace(-20, 20, n_mels)
    with torch.no_grad():
        for model, least, most in ((plain, 0.05, None), (centred, 0, 1e-4)):
            model.head.weight[:, -n_mels:] = 0.0  # of what is heard beside the blocks
            model.bands = lambda *_: bands
            before = model(x, lengths)
            model.bands = lambda *_: bands + tilt[:, None]
            off = (model(x, lengths) - before).abs().max()
            assert off > least if most is None else off < most
        centred.head.weight[:, -n_mels:] = 1.0
        assert (centred(x, lengths) - before).abs().max() > 1  # the means are there


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


def _vectors(names, width, seed=0):
    """A vector for each name, with much that is the same in all."""
    torch.manual_seed(seed)
    return {name: torch.randn(width) + 5 for name in names}


def test_a_teacher_says_how_unlike_its_vectors_are(tmp_path):
    """As many numbers as asked for keep the angles between voices, once what all share is gone."""
    names = [f"s{i}" for i in range(7)]
    made = _vectors(names, 9)
    save_file(made, tmp_path / "teacher.safetensors")
    teacher = teacher_of(tmp_path / "teacher.safetensors", 6)  # seven voices differ in six ways
    voices_of = torch.tensor(numbered(names, [1.0] * 7))
    unit = torch.nn.functional.normalize(torch.stack([made[name] for name in names]), dim=1)
    wanted = torch.nn.functional.normalize(unit - unit.mean(0), dim=1)
    told = teacher.vectors[torch.searchsorted(teacher.numbers, voices_of)]
    torch.testing.assert_close(told @ told.T, wanted @ wanted.T, rtol=0, atol=1e-5)
    cosines = 20 * wanted @ wanted.T
    named = (cosines.logsumexp(1) - cosines.diag()).mean().item()
    assert teacher(3 * told, voices_of).item() == pytest.approx(0.25 * named, abs=1e-5)
    turned = ((-cosines).logsumexp(1) + cosines.diag()).mean().item()
    assert teacher(-told, voices_of).item() == pytest.approx(2 + 0.25 * turned, abs=1e-4)
    # one of another speed and one without a name do not count
    strange = torch.tensor([*numbered(["s0"], [1.1]), 0])
    both, more = torch.cat([voices_of, strange]), torch.cat([-told, told[:2]])
    assert teacher(more, both).item() == pytest.approx(2 + 0.25 * turned, abs=1e-4)
    assert teacher(told[:2], strange).item() == 0


def test_an_encoder_learns_what_a_teacher_says(speakers, tmp_path):
    """Of mixtures that it has not heard, some at speeds that the teacher knows nothing of."""
    path = recipe_of(speakers, tmp_path, ENCODER)
    cfg = recipes.read(path)
    names = sorted(mixers(cfg, registry.create(ENCODER))[0].others)
    save_file(_vectors(names, 5), tmp_path / "teacher.safetensors")
    more = [f"teacher={tmp_path / 'teacher.safetensors'}", "colours=0.2", "optim.batch=8"]
    made = train(path, [*more, "optim.steps=80", "optim.valid_every=0"], output=tmp_path / "run")
    assert set(hub.load(made).state_dict()) == set(registry.create(ENCODER).state_dict())
    torch.manual_seed(0)
    untrained, learned = registry.create(ENCODER).eval(), hub.load(made)
    teacher = teacher_of(tmp_path / "teacher.safetensors", 4)
    batch = batch_at(mixers(recipes.read(path, more), untrained)[0], 16, 0)(5000, 0, 1)
    with torch.no_grad():
        before, after = (
            float(teacher(model(batch["sources"].flatten(0, 1)), batch["voices"].flatten()))
            for model in (untrained, learned)
        )
    assert after < before - 0.2


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "is no file of vectors"),
        (_vectors("ab", 9), "has 2 vectors of shapes"),
        (_vectors("abcdefgh", 3), "expected all of one length, of 4 or more numbers"),
        ({"a": torch.ones(6), "b": torch.ones(7)}, r"shapes \[\(6,\), \(7,\)\]"),
        (_vectors("abcdefgh", 9) | {"i": torch.full((9,), math.nan)}, "not finite"),
    ],
)
def test_a_file_that_teaches_nothing_is_refused(made, said, tmp_path):
    path = tmp_path / "teacher.safetensors"
    if made is not None:
        save_file(made, path)
    with pytest.raises(ValueError, match=said):
        teacher_of(path, 4)


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


def test_a_second_encoder_beside_the_first_judges_presence_alone(speakers, tmp_path):
    """Estimates stay as they are; vectors are of both, and so are likenesses."""
    path = recipe_of(speakers, tmp_path, ENCODER)
    encoder = train(path, ["optim.steps=2"], output=tmp_path / "voices", quiet=True)
    path = recipe_of(speakers, tmp_path, "tsenet_fourier_test")
    first = train(path, ["optim.steps=2"], output=tmp_path / "first", quiet=True)
    still = [f"optim.{x}" for x in ("steps=1", "lr=1e-9", "weight_decay=0")]
    more = [f"second={encoder}", "freeze=[speaker]", *still]
    assert any("steps" in line for line in rehearse(path, more, init=first))
    made = train(path, more, init=first, output=tmp_path / "pair", quiet=True)
    assert hub.read_config(made)["recipe"]["second"] == "voices/model"
    old, new, second = hub.load(first), hub.load(made), hub.load(encoder)
    x, enrollment = 0.1 * torch.randn(2, 900), 0.1 * torch.randn(2, 700)
    with torch.no_grad():
        was, now = old.enroll(enrollment), new.enroll(enrollment)
        torch.testing.assert_close(now.vectors[:, :4], was.vectors)
        theirs = torch.nn.functional.normalize(now.vectors[:, 4:], dim=1)
        torch.testing.assert_close(theirs, torch.nn.functional.normalize(second(enrollment), dim=1))
        torch.testing.assert_close(now.vectors[:, 4:].norm(dim=1), was.vectors.norm(dim=1))
        torch.testing.assert_close(new(x, now), old(x, was), rtol=0, atol=1e-5)
        (hints, estimate), (before, _) = new.hints(x, now), old.hints(x, was)
        assert hints.shape == (2, 7)
        torch.testing.assert_close(hints[:, [0, 2, 4, 6]], before[:, :4], rtol=0, atol=1e-4)
        scaled = estimate * (estimate * x).sum(1, keepdim=True)
        alike = torch.cosine_similarity(second(scaled), now.vectors[:, 4:])
        torch.testing.assert_close(hints[:, 1], alike, rtol=0, atol=1e-4)
    assert new.evidence.weight.abs().max() > 0  # fitted anew
    with pytest.raises(ValueError, match="enroll the speaker again"):
        new(x, was)
    for model, folder in ((new, encoder), (old, first), (registry.create("tsenet_test"), encoder)):
        with pytest.raises(ValueError, match=r"^second=.*one encoder that judges presence"):
            with_second(model, folder)
    again = train(
        path, [f"speaker={encoder}", *still], init=made, output=tmp_path / "one", quiet=True
    )
    for key, value in hub.load(again).speaker.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[key], rtol=0, atol=1e-6)
    kept = [f"speaker={encoder}", "freeze=[evidence]", *still]
    same = hub.load(train(path, kept, init=first, output=tmp_path / "same", quiet=True))
    torch.testing.assert_close(same.evidence.weight, old.evidence.weight, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"^speaker='', second=.*expected to fit it anew"):
        frozen = [f"second={encoder}", "freeze=[evidence]", *still]
        train(path, frozen, init=first, output=tmp_path / "frozen", quiet=True)
    path = recipe_of(speakers, tmp_path, ENCODER)
    alone = hub.load(train(path, still, init=made, output=tmp_path / "alone", quiet=True))
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(value, new.speaker.first.state_dict()[key], rtol=0, atol=1e-6)


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
