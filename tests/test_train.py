"""Training on a tiny set: recipes, the bank, killing and going on, the folder that comes out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import bank
from sepaudio.training.classify import fit
from sepaudio.verbs.classify import classify
from sepaudio.verbs.evaluate import evaluate
from sepaudio.verbs.train import train

RATE = 1000

YAML = """
architecture: swishnet_test
model: {dropout: 0.1}
seed: 3
license: CC0-1.0
data:
  manifests: [manifest.csv]
  items: 96
  item_seconds: 2.0
  processes: 2
  augment: {code: 0.0, level_db: [-30.0, -10.0]}
optim: {steps: 12, batch: 16, lengths: [0.5, 1.0], save_every: 0.0, warmup: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny set: "speech" is a tone, "noise" is noise."""
    folder = tmp_path_factory.mktemp("set")
    random = np.random.default_rng(0)
    rows = ["path,kind,license,source,split"]
    for split in ("train", "valid", "test"):
        for number in range(4):
            t = np.arange(3 * RATE) / RATE
            tone = 0.3 * np.sin(2 * np.pi * (60 + 20 * number) * t)
            for kind, x in (("speech", tone), ("noise", 0.1 * random.standard_normal(len(t)))):
                name = f"{kind}_{split}_{number}.wav"
                io.write(folder / name, x.astype(np.float32), RATE)
                license = "CC-BY-NC-4.0" if number == 3 else "CC0-1.0"
                rows.append(f"{name},{kind},{license},{kind}s/{number % 2}@1:x,{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    return folder


@pytest.fixture
def recipe(folder, tmp_path):
    return recipes.read(folder / "recipe.yaml", [f"data.bank={tmp_path / 'bank'}"])


def banks(recipe):
    model = registry.create("swishnet_test")
    return [
        bank(recipe.data, model.frontend, model.labels, recipe.seed, split)
        for split in ("train", "valid")
    ]


def test_a_recipe_is_typed_and_overridden(folder):
    cfg = recipes.read(folder / "recipe.yaml", ["optim.lr=0.5", "data.held_out=[a,b]", "seed=9"])
    assert (cfg.optim.lr, cfg.data.held_out, cfg.seed) == (0.5, ("a", "b"), 9)
    assert cfg.data.augment.code == 0
    assert cfg.data.manifests == (str(folder / "manifest.csv"),)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("optim.lrr=1", "lrr"),
        ("optim.steps=many", "steps"),
        ("optim.steps=0", "steps=0"),
        ("architecture=swishnet_tst", "did you mean 'swishnet"),
        ('model={"widht": 2}', "no SwishNetCfg value is called 'widht'"),
        ("optim.lr", "expected key=value"),
    ],
)
def test_a_wrong_recipe_names_the_key(folder, override, match):
    with pytest.raises(ValueError, match=match):
        recipes.read(folder / "recipe.yaml", [override])


def test_a_resolved_recipe_reads_as_itself(recipe, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(recipes.to_yaml(recipe))
    assert recipes.read(path) == recipe


def test_every_recipe_of_the_project_reads():
    from pathlib import Path

    found = sorted((Path(__file__).parent.parent / "recipes").glob("*/*.yaml"))
    names = ["convtasnet", "mitas", "tsenet", "mitas_small", "tsenet_small"]
    names += ["swishnet_slim", "swishnet_wide", "convtasnet", "mitas", "tsenet", "tsenet_mitas"]
    assert [path.stem for path in found] == names
    for path in found:
        cfg = recipes.read(path)
        with torch.device("meta"):
            assert registry.create(cfg.architecture, **cfg.model) is not None


def test_the_bank_is_the_same_for_any_number_of_processes(recipe, tmp_path):
    one, two = (
        banks(replace(recipe, data=replace(recipe.data, processes=n, bank=str(tmp_path / str(n)))))[
            0
        ]
        for n in (1, 2)
    )
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.origins, two.origins)
    assert set(one.labels) == {0, 1}


def test_the_bank_is_made_once_and_again_when_it_would_differ(recipe, tmp_path):
    banks(recipe)
    about = tmp_path / "bank" / "train" / "about.json"
    before = about.stat().st_mtime_ns
    banks(recipe)
    assert about.stat().st_mtime_ns == before
    banks(replace(recipe, data=replace(recipe.data, items=80)))
    assert about.stat().st_mtime_ns != before


def test_refused_licences_are_not_heard(recipe):
    """The fourth recording of each class is non-commercial: only three are drawn from."""
    train, _ = banks(recipe)
    everything = replace(recipe.data, refused_licenses=(), bank=recipe.data.bank + "all")
    model = registry.create("swishnet_test")
    free = bank(everything, model.frontend, model.labels, recipe.seed, "train")
    assert train.fingerprint != free.fingerprint


def test_drawn_evenly_the_edge_of_the_band_says_nothing_of_the_class(recipe):
    """Speech is narrow and music is wide here; every class is as likely in every range."""
    train, _ = banks(recipe)
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 2000)
    edges = random.normal(4000 + 600 * labels, 1500).astype(np.float32)
    rigged = replace(train, labels=labels, edges=edges)
    often = rigged.evenly(np.arange(6000))
    assert often.sum() == pytest.approx(1)
    assert (np.bincount(labels, often) - 1 / 3).max() < 0.02
    drawn = random.choice(6000, 60000, p=often)
    ranges = np.digitize(edges[drawn], [3000, 4000, 5000, 6000])
    for one in range(5):
        shares = np.bincount(labels[drawn][ranges == one], minlength=3) / (ranges == one).sum()
        assert abs(shares - 1 / 3).max() < 0.06


def test_what_is_held_out_is_not_learned_from(recipe):
    train, _ = banks(recipe)
    rows = train.without(["speechs/0"])
    gone = train.names.index("speechs/0")
    assert 0 < len(rows) < len(train.labels)
    assert not (train.origins[rows] == gone).any()
    assert (train.origins == gone).any()


@pytest.mark.parametrize("kill", [1, 2, 5, 11])
@pytest.mark.parametrize("save_every", [0.0, 0.02, 1000.0])
def test_a_killed_run_goes_on_to_the_same_weights(recipe, tmp_path, monkeypatch, kill, save_every):
    """Killed while it fetches a batch, with whatever was last saved, be it nothing."""
    from sepaudio.training import classify as module

    recipe = replace(recipe, optim=replace(recipe.optim, save_every=save_every))
    train, valid = banks(recipe)
    draw_of = module.batch_at

    def run(folder):
        torch.manual_seed(recipe.seed)
        model = registry.create("swishnet_test")
        return fit(model, train, valid, recipe, tmp_path / folder, quiet=True)

    def deadly(*arguments):
        draw = draw_of(*arguments)

        def drawn(step, *part):
            if step == kill:
                raise SystemError("killed")
            return draw(step, *part)

        return drawn

    whole = run("whole")
    monkeypatch.setattr(module, "batch_at", deadly)
    with pytest.raises(SystemError, match="killed"):
        run("killed")
    monkeypatch.undo()
    resumed = run("killed")
    for a, b in zip(
        whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)
    assert whole.temperature == resumed.temperature


def test_another_recipe_does_not_go_on_with_a_run(recipe, tmp_path):
    train, valid = banks(recipe)
    fit(registry.create("swishnet_test"), train, valid, recipe, tmp_path / "run", quiet=True)
    other = replace(recipe, seed=4)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        fit(registry.create("swishnet_test"), train, valid, other, tmp_path / "run", quiet=True)


def test_train_learns_and_writes_a_model_that_classifies(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    more = ["optim.steps=150", "optim.save_every=60", "optim.lr=0.01", "model={dropout: 0.0}"]
    model = train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    config = hub.read_config(model)
    assert config["license"] == "CC0-1.0"
    assert config["seed"] == 3
    assert len(config["data_fingerprint"]) == 64
    assert "torch" in config["versions"]
    assert str(folder) not in json.dumps(config)
    tone = 0.3 * np.sin(2 * np.pi * 90 * np.arange(4000) / RATE)
    assert classify(tone, RATE, model=model).label == "speech"
    (score,) = evaluate(model, [folder / "manifest.csv"], seconds=[1.0])
    assert score.recordings == 8
    assert score.balanced > 0.9
    assert score.interval[0] <= score.balanced <= score.interval[1]
    out = tmp_path / "scores.json"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(model), str(folder / "manifest.csv"), "-o", str(out)])
    assert stop.value.code == 0
    assert "| 1 s |" in capfd.readouterr().out
    assert [s["seconds"] for s in json.loads(out.read_text())] == [0.5, 1.0, 2.0]
