"""Runs on a CUDA device: mixtures made there, half precision, going on, what is fitted after.

What a card adds up in another order each time makes no two runs the same to the last bit.
"""

from dataclasses import replace

import little_runs
import pytest
import torch
from clip_folds import loaded, read
from conftest import OTHER
from hums import recipe_of
from laws import noise
from test_em import collected, mixture, rises
from test_em import speakers as recordings_of

from sepaudio import hub, registry
from sepaudio.data.batched import Batched
from sepaudio.data.mixing import load
from sepaudio.layers.gmm import GMM
from sepaudio.training import clips, loop
from sepaudio.training import mixtures as module
from sepaudio.training import recipe as recipes
from sepaudio.training.em import MixtureCfg, SubspaceCfg, fit_mixture, fit_subspace
from sepaudio.training.fitted import fit_rest
from sepaudio.training.presence import Presence, fit_presence
from sepaudio.verbs.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def snr_db(wanted, made):
    return (10 * torch.log10(wanted.square().sum() / (wanted - made).square().sum())).item()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_stopped_run_goes_on_and_ends_where_another_does(
    speakers, tmp_path, monkeypatch, precision
):
    """Mixtures are made where it learns; what no gradient finds is measured there, too."""
    path = recipe_of(speakers, tmp_path, "tsenet_test")
    more = ["optim.steps=8", "model.presence=0.5", f"optim.precision={precision}"]
    more += ["data.mix_on=device", "data.mixing.absent=0.2", "data.valid_items=3"]
    places, right = [], module.batch_at

    def seen(model, *arguments):
        places.append(next(model.parameters()).device.type)
        return fit_rest(model, *arguments)

    def deadly(*arguments):
        draw = right(*arguments)

        def drawn(step, part, parts):
            if step == 5:
                raise SystemError("killed")
            return draw(step, part, parts)

        return drawn

    monkeypatch.setattr(module, "fit_rest", seen)
    whole = hub.load(train(path, more, output=tmp_path / "whole", quiet=True))
    monkeypatch.setattr(module, "batch_at", deadly)
    with pytest.raises(SystemError, match="killed"):
        train(path, ["optim.save_every=0", *more], output=tmp_path / "killed", quiet=True)
    done = torch.load(tmp_path / "killed" / "last.ckpt", "cpu", weights_only=False)["run"][0]
    assert done == 5
    monkeypatch.setattr(module, "batch_at", right)
    more = ["optim.save_every=0", *more]
    again = hub.load(train(path, more, output=tmp_path / "killed", quiet=True))
    assert places == [torch.device(OTHER).type] * 2
    assert whole.evidence.weight.abs().max() > 0
    x, voice = (noise(2, 800, dtype=torch.float32, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        one, other = (net(x, net.speaker(voice)) for net in (whole, again))
    assert all(p.device.type == "cpu" for p in again.parameters())
    assert snr_db(one, other) > (20 if precision == "32-true" else 10)


@pytest.mark.usefixtures("exact")
def test_a_run_learns_what_one_on_the_cpu_learns(speakers, tmp_path):
    """The first steps of both, from the same draws: losses of the logged kind, in float32."""
    path = recipe_of(speakers, tmp_path, "mitas_test")
    cfg, found = recipes.read(path, ["data.mix_on=device"]), []
    for device in ("cpu", OTHER):
        torch.manual_seed(0)
        model = registry.create("mitas_test").to(device)
        draw, objective = module.lesson(module.mixers(cfg, model)[0], module.separation("snr"), cfg)
        optimizer, losses = torch.optim.SGD(model.parameters(), lr=1e-3), []
        for step in range(4):
            packed = draw(step, 0, 1)
            there = {k: v.to(device) if torch.is_tensor(v) else v for k, v in packed.items()}
            optimizer.zero_grad()
            loss = objective(model, there)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append(losses)
    assert found[1] == pytest.approx(found[0], abs=2e-2)  # dB


@pytest.mark.usefixtures("exact")
def test_presence_fitted_there_is_that_of_the_cpu(speakers, tmp_path):
    cfg = recipes.read(recipe_of(speakers, tmp_path, "tsenet_fourier_test"))

    def source(**changes):
        return Batched(load(replace(cfg.data.mixing, **changes), cfg.data.manifests, "valid"))

    half, longer = source(absent=0.5), source(seconds=1.0)
    found = []
    for device in ("cpu", OTHER):
        torch.manual_seed(0)
        model = registry.create("tsenet_fourier_test").eval().to(device)
        fit_presence(model, Presence([half], [half], [longer]), 24, 12)
        model = model.to("cpu")
        x, voice = (noise(6, 500, dtype=torch.float32, seed=seed) for seed in (1, 2))
        with torch.no_grad():
            found.append(model.presence(x, model.speaker(voice)))
    assert (found[0] - found[1]).abs().max() < 0.05


def test_a_classifier_learns_and_its_best_weights_open_anywhere(tmp_path):
    cfg = replace(little_runs.CFG, valid_every=4, keep_best=1, precision="bf16-mixed")
    validated = []

    def validate(model):
        device = next(model.parameters()).device
        validated.append(device.type)
        x, labels = (y.to(device) for y in little_runs.draw(1000, 0, 1))
        return float(torch.nn.functional.cross_entropy(model.clip_logits(x), labels))

    model = little_runs.fit(tmp_path, cfg, validate=validate)
    with torch.no_grad():
        assert little_runs.figure(model) < little_runs.figure(little_runs.fresh().eval())
    assert set(validated) == {torch.device(OTHER).type}
    _, weights = loop.best(tmp_path)
    assert {x.device.type for x in weights.values()} == {"cpu"}


def test_a_picture_classifier_learns_and_is_judged(folds, tmp_path):
    recipe = read(folds, tmp_path, "optim.precision=bf16-mixed")
    model, found = loaded(recipe)
    averaged, judged = clips.fit(model, found, recipe, tmp_path / "run", quiet=True)
    assert (judged.on, judged.best is not None) == ("test", True)
    assert {x.device.type for x in averaged.state_dict().values()} == {"cpu"}
    assert all(torch.isfinite(x.float()).all() for x in averaged.state_dict().values())


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_expectation_maximisation_is_that_of_the_cpu(kind):
    model = mixture(kind)
    heard, found = recordings_of(model, n=6), []
    for device in ("cpu", OTHER):
        frames = torch.cat(heard, dim=1).to(device)
        fitted, history = fit_mixture(frames, MixtureCfg(components=4, covariance=kind))
        there = [x.to(device) for x in heard]
        placed: GMM = fitted.to(device)
        cfg = SubspaceCfg(rank=2, steps=4)
        subspace, other = fit_subspace(placed, *collected(placed, there), cfg)
        assert rises(history) and rises(other)
        assert subspace.loadings.device.type == torch.device(device).type
        found.append(history + other)
    assert found[1] == pytest.approx(found[0], rel=1e-6)
