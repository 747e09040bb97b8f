"""Training of separators and extractors on mixtures drawn from a manifest of speakers."""

from dataclasses import replace

import pytest
import torch
from hums import recipe_of

from sepaudio import hub, registry
from sepaudio.data.batched import Batched
from sepaudio.data.mixing import Mixer, load
from sepaudio.training import recipe as recipes
from sepaudio.training.draws import hearing, placed, workers
from sepaudio.training.mixtures import (
    batch_at,
    extraction,
    helper_of,
    lesson,
    mixers,
    objective_of,
    separation,
    standardize,
)
from sepaudio.verbs.train import train


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_a_run_learns_and_writes_a_model(speakers, tmp_path, architecture):
    path = recipe_of(speakers, tmp_path, architecture)
    more = ["optim.steps=150", "optim.batch=8", "optim.valid_every=0"]
    config = hub.read_config(train(path, more, output=tmp_path / "run", quiet=True))
    torch.manual_seed(3)
    cfg = recipes.read(path, more)
    untrained = registry.create(architecture)
    mixer, _ = mixers(cfg, untrained)
    objective = separation("si_snr") if architecture == "mitas_test" else extraction("si_snr", 0.2)
    batch = batch_at(mixer, 16, 0)(5000, 0, 1)  # mixtures that training did not draw
    with torch.no_grad():
        before = objective(untrained.eval(), batch).item()
        after = objective(hub.load(tmp_path / "run" / "model"), batch).item()
    assert after < before - 2  # dB
    assert config["trained_on"] == ["hum"]
    assert config["license"] == "CC0-1.0"
    assert len(config["data_fingerprint"]) == 64
    assert str(speakers) not in str(config)


@pytest.mark.parametrize("mix_on", ["cpu", "device"])
def test_a_killed_run_goes_on_to_the_same_weights(speakers, tmp_path, monkeypatch, mix_on):
    from sepaudio.training import mixtures as module

    path, more = recipe_of(speakers, tmp_path, "tsenet_test"), [f"data.mix_on={mix_on}"]
    whole = train(path, more, output=tmp_path / "whole", quiet=True)
    right = module.batch_at

    def deadly(*arguments):
        draw = right(*arguments)

        def drawn(step, part, parts):
            if step == 3:
                raise SystemError("killed")
            return draw(step, part, parts)

        return drawn

    monkeypatch.setattr(module, "batch_at", deadly)
    more = ["optim.save_every=0", *more]
    with pytest.raises(SystemError, match="killed"):
        train(path, more, output=tmp_path / "killed", quiet=True)
    monkeypatch.undo()
    again = train(path, more, output=tmp_path / "killed", quiet=True)
    pairs = zip(
        hub.load(whole).state_dict().values(), hub.load(again).state_dict().values(), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("mix_on", ["cpu", "device"])
def test_workers_and_parts_draw_the_same_mixtures(speakers, tmp_path, mix_on):
    cfg = recipes.read(recipe_of(speakers, tmp_path, "mitas_test"), [f"data.mix_on={mix_on}"])
    mixer, _ = mixers(cfg, registry.create("mitas_test"))
    draw, heard = batch_at(mixer, 4, 1), hearing(lambda model, batch: batch["mixture"], mixer)
    whole = heard(None, draw(2, 0, 1))
    parts = [heard(None, draw(2, part, 2)) for part in (0, 1)]
    torch.testing.assert_close(torch.stack(parts, 1).flatten(0, 1), whole, rtol=0, atol=1e-7)
    assert not torch.equal(heard(None, draw(3, 0, 1)), whole)


def test_what_is_mixed_on_the_device_trains_as_what_is_mixed_before(speakers, tmp_path):
    """But for rounding, and whether or not workers draw; presence and level are fitted too."""
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    runs = {"cpu": [], "device": [], "drawn": ["data.workers=2"]}
    made = {}
    for name, more in runs.items():
        where = f"data.mix_on={'cpu' if name == 'cpu' else 'device'}"
        more = [where, "optim.steps=6", "data.mixing.noise=0", "model.presence=0.5", *more]
        made[name] = hub.load(train(path, more, output=tmp_path / name, quiet=True)).state_dict()
    for key, value in made["device"].items():
        assert torch.equal(value, made["drawn"][key])
        assert (value - made["cpu"][key]).abs().max() < 1e-3 * value.abs().max() + 1e-5


def test_steps_mixed_on_the_device_are_compiled_once(speakers, tmp_path):
    """Whatever is drawn: nothing in the arithmetic depends on a number that only the device has."""
    more = [
        *("data.mix_on=device", "voices=0.5", "presence=1.0", "level=0.1"),
        *("data.mixing.n_src=[1, 2]", "data.mixing.absent=0.4", "data.mixing.speeds=[0.9, 1.0]"),
    ]
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"), more)
    model = registry.create("tsenet_test")
    draw, made = lesson(mixers(cfg, model)[0], objective_of(model, cfg, helper_of(model, cfg)), cfg)
    once = torch.compile(made.objective, backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        losses = [replace(made, objective=once)(model, draw(step, 0, 1)) for step in range(6)]
    wanted = [made(model, draw(step, 0, 1)).item() for step in range(6)]
    assert [loss.item() for loss in losses] == pytest.approx(wanted, abs=1e-4)


def test_a_speaker_front_end_hears_bands_of_mean_zero_and_deviation_one(speakers, tmp_path):
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_test"))
    model = registry.create("tsenet_test")
    train_on, _ = mixers(cfg, model)
    standardize(model, train_on, 4, 20)
    batch = batch_at(train_on, 20, 1)(0, 0, 1)
    speaker = model.speaker
    heard = speaker.bands(batch["enrollment"], batch["enrollment_lengths"])
    x = speaker.standardize(heard)
    frames = speaker.frontend.frames(batch["enrollment_lengths"])
    bands = torch.cat([one[:, :n] for one, n in zip(x, frames.tolist(), strict=True)], dim=1)
    torch.testing.assert_close(bands.mean(1), torch.zeros(len(bands)), rtol=0, atol=1e-4)
    torch.testing.assert_close(bands.std(1), torch.ones(len(bands)), rtol=1e-4, atol=0)


def test_where_mixing_happens_is_named(speakers, tmp_path, monkeypatch, capfd):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    with pytest.raises(ValueError, match="mix_on='gpu': expected one of auto, cpu, device"):
        recipes.read(path, ["data.mix_on=gpu"])
    mixer = load(recipes.read(path).data.mixing, [speakers / "manifest.csv"], "train")
    size = 2 * len(mixer.speech.samples)
    for there, free, wanted in ((False, 0, Mixer), (True, 2 * size, Batched), (True, size, Mixer)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, free))
        (source,) = placed([mixer], "auto")
        assert isinstance(source, wanted)
        assert workers(source, 0) == (wanted is Batched) and workers(source, 3) == 3
    assert "set data.mix_on=device" in capfd.readouterr().err
    assert isinstance(placed([mixer], "device")[0], Batched)
    assert placed([mixer], "cpu") == [mixer]


@pytest.mark.parametrize(
    ("architecture", "override", "message"),
    [
        (
            "mitas_test",
            "data.mixing.sample_rate=8000",
            "sample_rate=8000: expected the model's, 1000",
        ),
        (
            "mitas_test",
            "data.mixing.n_src=[2,3]",
            r"n_src=\[2, 3\]: expected the model's, \[2, 2\]",
        ),
        ("mitas_test", "loss=l2", "loss='l2': expected one of si_snr, si_sdr, snr"),
        (
            "mitas_test",
            "data.items=3",
            r"no key .* 'data.items'; did you mean 'data.valid_items'\?",
        ),
        ("mitas_test", "optim.step=3", r"no key .* 'optim.step'; did you mean 'optim.steps'\?"),
        ("mitas_test", "optim.qqqqqqqqqqqqq=3", r"'optim.q+' .*known: optim.steps, optim.batch"),
        ("mitas_test", "data.manifests=a.csv", r"and one \[a.csv\]"),
        ("tsenet_test", "model={speaker: null}", "tsenet_test has no speaker front-end: give one"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(speakers, tmp_path, architecture, override, message):
    path = recipe_of(speakers, tmp_path, architecture)
    with pytest.raises(ValueError, match=message):
        train(path, [override], output=tmp_path / "run", quiet=True)
