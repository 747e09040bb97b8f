"""A Fisher vector beside the networks of a picture classifier: what it adds, how it is found."""

from pathlib import Path

import laws
import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.data.manifest import Recording
from sepaudio.models.esresnet import ESResNetCfg
from sepaudio.training import clips as module
from sepaudio.training import compress
from sepaudio.training import recipe as recipes
from sepaudio.training.texture import find, kept_aside
from sepaudio.verbs.train import train

RATE = 1000
YAML = """
architecture: esresnet_test
model: {channels: 1, seconds: 1.0, texture: 2}
license: CC0-1.0
data: {manifests: [manifest.csv], fold: 3}
optim: {steps: 2, batch: 4, warmup: 1, ema: 0.5}
"""


def made(**changes):
    torch.manual_seed(0)
    return registry.create("esresnet_test", channels=1, **changes).double().eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tones are speech; three folds of two clips a class."""
    folder, random = tmp_path_factory.mktemp("texture"), np.random.default_rng(0)
    rows = ["path,kind,license,source,split,fold"]
    for fold in (1, 2, 3):
        for number in range(2):
            tone = 0.3 * np.sin(2 * np.pi * (60 + 20 * number) * np.arange(1300) / RATE)
            for kind, x in (("speech", tone), ("noise", 0.1 * random.standard_normal(1300))):
                name = f"{kind}_{fold}_{number}.wav"
                hiss = 0.003 * random.standard_normal(1300)
                io.write(folder / name, (x + hiss).astype(np.float32), RATE)
                rows.append(f"{name},{kind},CC0-1.0,s@{name}:x,train,{fold}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    return folder


@pytest.fixture
def read(folder, tmp_path):
    return lambda *more: recipes.read(
        folder / "recipe.yaml", [f"data.shelf={tmp_path / 'shelf'}", *more]
    )


def loaded(recipe):
    torch.manual_seed(1)
    model = registry.create(recipe.architecture, **recipe.model)
    return model, module.load(recipe, model)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def test_its_logits_are_added_to_those_of_the_networks():
    both, x = made(texture=3), laws.noise(2, 1500)
    alone = made()
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if "texture" not in k})
    with torch.no_grad():
        laws.close(both(x), alone(x) + both.texture(x))
        laws.close(both.clip_logits(both.picture(x)), alone(x))
        laws.close(both.class_maps(x), alone.class_maps(x))
        cut = both(x, torch.tensor([1500, 700]))
        laws.close(cut[1], both(x[1:, :700])[0])


def test_gradients_do_not_reach_it():
    model = made(texture=3)
    model(laws.noise(2, 1500)).square().sum().backward()
    assert all(p.grad is None for p in model.texture.parameters())
    assert all(p.grad is not None for p in model.backbone.parameters())
    assert not [name for name, _ in compress.weights(model) if name.startswith("texture")]


def test_it_is_found_from_the_clips_that_are_trained_on(read):
    recipe = read()
    model, clips = loaded(recipe)
    heard, take = set(), clips.shelf.take
    clips.shelf.take = lambda i: heard.add(i) or take(i)
    state = torch.random.get_rng_state()
    fitted = find(model, clips, quiet=True)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert heard == set(clips.parts["train"]) and len(heard) == 8
    again, _ = loaded(recipe)
    find(again, clips, quiet=True)
    assert same(model.texture.state_dict(), again.texture.state_dict())
    assert same(model.texture.state_dict(), fitted.model.state_dict())
    test = clips.parts["test"]
    x = torch.stack([torch.from_numpy(take(i)[:RATE]) for i in test])
    assert (model.texture(x).argmax(dim=1).numpy() == clips.labels[test]).all()


def test_training_leaves_it_as_it_was_found(read, tmp_path):
    recipe = read()
    model, clips = loaded(recipe)
    find(model, clips, quiet=True)
    before, backbone = (
        {k: v.clone() for k, v in part.state_dict().items()}
        for part in (model.texture, model.backbone)
    )
    model, _ = loaded(recipe)
    trained, _ = module.fit(model, clips, recipe, tmp_path / "run", quiet=True)
    assert same(trained.texture.state_dict(), before)
    assert not same(trained.backbone.state_dict(), backbone)


def test_a_temperature_divides_what_all_of_them_say():
    model, x = made(texture=3), laws.noise(2, 1500)
    with torch.no_grad():
        before = model(x)
        module.cool(model, 2.5)
        laws.close(model(x), before / 2.5)


def test_weights_that_a_run_starts_from_keep_it_for_their_own_classes(read, folder, tmp_path):
    recipe, quiet = folder / "recipe.yaml", {"quiet": True}
    shelf = f"data.shelf={tmp_path / 'shelf'}"
    first = train(recipe, [shelf], output=tmp_path / "first", **quiet)
    theirs = hub.load(first).texture.state_dict()
    start = {"init": str(first), **quiet}
    kept = train(recipe, [shelf, "seed=5"], output=tmp_path / "kept", **start)
    assert same(hub.load(kept).texture.state_dict(), theirs)
    assert hub.read_config(kept)["init"]["new"] == []
    turned = "model.labels=[speech, noise]"
    new = train(recipe, [shelf, turned], output=tmp_path / "new", **start)
    weight = hub.load(new).texture.head.weight
    laws.close(weight.flip(0), theirs["head.weight"], 1e-3)
    assert hub.read_config(new)["init"]["new"] == ["head", "texture"]
    without = train(recipe, [shelf, "model.texture=0"], output=tmp_path / "without", **start)
    assert hub.load(without).texture is None
    assert hub.read_config(without)["init"]["new"] == []


def test_too_few_clips_leave_it_silent(read, capsys):
    model, clips = loaded(read())
    labels, train_on = clips.labels, clips.parts["train"]
    few = [next(i for i in train_on if labels[i] == k) for k in (0, 1)]
    clips.parts["train"] = few
    assert find(model, clips, quiet=True) is None
    assert "says nothing" in capsys.readouterr().err
    x = laws.noise(2, 1500, dtype=torch.float32)
    assert not model.texture.eval()(x).any()


def rows(*given):
    return [
        Recording(
            path=Path(f"{i}.wav"), kind=kind, license="", source="x", split="train", fold=fold
        )
        for i, (kind, fold) in enumerate(given)
    ]


@pytest.mark.parametrize(
    "given, expected",
    [  # the last fold; by chance where that lacks a class, or where there are no folds
        ([("a", 1), ("b", 1), ("a", 2), ("b", 2)], [False, False, True, True]),
        ([("a", 1), ("b", 1), ("a", 2), ("b", 1)], None),
        ([("a", None), ("a", None), ("b", None), ("b", None), ("b", None)], None),
        ([(kind, 1) for kind in "ab" * 5], None),
    ],
)
def test_what_is_kept_aside_has_every_class_on_both_sides(given, expected):
    aside = kept_aside(rows(*given))
    assert expected is None or aside == expected
    assert {(kind, side) for (kind, _), side in zip(given, aside, strict=True)} == {
        (kind, side) for kind in "ab" for side in (True, False)
    }
    assert aside == kept_aside(rows(*given))


def test_one_clip_of_a_class_is_too_few():
    with pytest.raises(ValueError, match=r"1 clip of b to train on: .* model\.texture=0"):
        kept_aside(rows(("a", 1), ("a", 2), ("b", 1)))


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"texture": -1}, "texture=-1, channels=1, several=False: expected 0 or more Gaussians"),
        ({"texture": 2, "channels": 2}, "texture=2, channels=2, several=False: expected 0 or"),
        ({"texture": 2, "several": True}, "texture=2, channels=1, several=True: expected 0 or"),
    ],
)
def test_errors_name_value_and_remedy(changes, text):
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        ESResNetCfg(**changes)
