"""Training steps whose arithmetic is compiled."""

import shutil

import pytest
import torch
from clip_folds import loaded, read
from hums import recipe_of

from sepaudio import hub, registry
from sepaudio.training import clips
from sepaudio.training import recipe as recipes
from sepaudio.training.mixtures import batch_at, mixers, objective_of
from sepaudio.training.process import compiled
from sepaudio.verbs.train import train


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of several kinds
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_a_compiled_step_is_the_same_step(speakers, tmp_path, architecture):
    path = recipe_of(speakers, tmp_path, architecture)
    cfg, found = recipes.read(path), []
    torch.manual_seed(0)
    model = registry.create(architecture)
    batch = batch_at(mixers(cfg, model)[0], 4, 0)(0, 0, 1)
    for how in (objective_of(model, cfg), compiled(objective_of(model, cfg), model)):
        model.zero_grad()
        loss = how(model, batch)
        loss.backward()
        there = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.item(), torch.cat(there)))
    (one, a), (other, b) = found
    assert other == pytest.approx(one, abs=1e-3)
    assert (a - b).norm() < 1e-3 * a.norm()
    run = train(path, ["optim.compile=true", "optim.steps=2"], output=tmp_path / "run", quiet=True)
    assert set(hub.load(run).state_dict()) == set(model.state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of several kinds
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_step_on_clips_is_the_same_step(folds, tmp_path):
    """Without boxes, which compiled code draws otherwise."""
    recipe, found = read(folds, tmp_path, "data.augment.boxes=0"), []
    model, loaded_clips = loaded(recipe)
    draw, objective = clips.lesson(loaded_clips, model, recipe)
    batch = draw(0, 0, 1)
    for how in (objective, compiled(objective, model)):
        model.zero_grad()
        loss = how(model, batch)
        loss.backward()
        there = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        found.append((loss.item(), torch.cat(there)))
    (one, a), (other, b) = found
    assert other == pytest.approx(one, abs=1e-3)
    assert (a - b).norm() < 5e-3 * a.norm()


def test_compiling_wants_a_compiler(speakers, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ValueError, match=r"compile=true: expected a C\+\+ compiler .*compile=false"
    ):
        train(
            recipe_of(speakers, tmp_path, "mitas_test"),
            ["optim.compile=true"],
            output=tmp_path / "run",
            quiet=True,
        )
