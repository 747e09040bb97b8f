"""Training on a tiny set: recipes, the bank, killing and going on, the folder that comes out."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.cli import main
from sepaudio.data import manifest
from sepaudio.files import sha256
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import bank
from sepaudio.training.classify import fit
from sepaudio.training.start import held, model_of
from sepaudio.verbs.classify import classify
from sepaudio.verbs.evaluate import evaluate
from sepaudio.verbs.train import rehearse, train

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


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A model folder of three steps, under a share-alike licence."""
    place = tmp_path_factory.mktemp("trained")
    more = ["optim.steps=3", f"data.bank={place / 'bank'}", "license=CC-BY-SA-4.0"]
    return train(folder / "recipe.yaml", more, output=place / "run", quiet=True)


def fine_tune(folder, trained, tmp_path, *more, **options):
    bank = trained.parent.parent / "bank"
    more = [f"init={trained}", "optim.steps=3", "seed=8", f"data.bank={bank}", *more]
    return train(folder / "recipe.yaml", more, output=tmp_path / "run", **options)


def test_a_run_goes_on_from_trained_weights(folder, trained, tmp_path, capfd):
    """What is frozen is what it was, to the last bit, head and features' scale too."""
    parts = ["stem", "trunk.1", "head"]
    made = fine_tune(folder, trained, tmp_path, freeze=parts, quiet=False)
    old, new = hub.load(trained).state_dict(), hub.load(made).state_dict()
    same = {name for name in new if torch.equal(old[name], new[name])}
    assert same == {name for name in new if held(name, [*parts, "standardize"])}
    assert "init: run/model, licence CC-BY-SA-4.0" in capfd.readouterr().err
    config = hub.read_config(made)
    assert config["init"]["name"] == config["recipe"]["init"] == "run/model"
    assert config["init"]["sha256"] == sha256(trained / "model.safetensors")
    assert config["init"]["trained_on"] == ["noises/0", "noises/1", "speechs/0", "speechs/1"]
    assert config["temperature"] == 1
    assert str(trained.parent) not in json.dumps(config)
    card = (made / "README.md").read_text()
    assert "from `run/model`, whose licence, CC-BY-SA-4.0, is share-alike" in card
    assert "frozen: stem, trunk.1, head" in card


def test_other_labels_get_a_new_head(folder, trained, tmp_path, capfd):
    """Even as many: what the old head said of a label is not what it would say of another."""
    frozen = ["stem", "trunk"]
    model = 'model={"labels": ["speech", "noise"], "dropout": 0.0}'
    made = fine_tune(folder, trained, tmp_path, model, "license=unknown", freeze=frozen)
    told = capfd.readouterr().err
    assert "init: labels was ('noise', 'speech'), is ('speech', 'noise')" in told
    assert "init: head is new and starts untrained" in told
    assert "init: dropout was 0.1, is 0.0" in told
    old, new = hub.load(trained).state_dict(), hub.load(made).state_dict()
    assert {n for n in new if not torch.equal(old[n], new[n])} == {n for n in new if "head" in n}
    torch.manual_seed(8)
    fresh = registry.create("swishnet_test").state_dict()
    distance = {n: (new[n] - fresh[n]).abs().max().item() for n in new if n.startswith("head.0")}
    assert max(distance.values()) < 0.05  # three steps away from its own beginning
    assert "names no licence" in (made / "README.md").read_text()


def test_three_labels_from_two(folder, trained, tmp_path):
    model = 'model={"labels": ["speech", "noise", "rain"]}'
    cfg = recipes.read(folder / "recipe.yaml", [model, f"init={trained}"])
    made, start = model_of(cfg)
    assert start.new == ("head",)
    assert made.labels == ("speech", "noise", "rain")
    old = hub.load(trained).state_dict()
    assert all(torch.equal(old[n], x) for n, x in made.state_dict().items() if "head" not in n)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("model={width: 2}", r"stem.0.short.conv.weight is \[16, 5, 3\] there, but \[32, 5, 3\]"),
        (
            "model={width: 2}",
            r"leave width out of the recipe's `model` \(model=\{\} empties it\), or train",
        ),
        ("architecture=swishnet_slim", "architecture swishnet_test: expected swishnet_slim"),
        ("init=speech_music", "no set of weights is called 'speech_music'"),
        ("freeze=[stem,backbone]", "freeze='backbone': .* expected one of standardize, stem, tr"),
        ("freeze=[stem,trunk,head]", "leaves nothing to learn"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, trained, tmp_path, override, match):
    more = [override] if override.startswith("init") else [f"init={trained}", override]
    more.append(f"data.bank={trained.parent.parent / 'bank'}")
    with pytest.raises(ValueError, match=match):
        train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)


def test_weights_of_another_kind_are_refused(trained, tmp_path):
    (tmp_path / "mitas.yaml").write_text("architecture: mitas_test\n")
    with pytest.raises(ValueError, match="architecture swishnet_test: expected mitas_test"):
        train(tmp_path / "mitas.yaml", init=trained, quiet=True)


def test_a_new_head_is_not_frozen(folder, trained, tmp_path):
    model = 'model={"labels": ["speech", "noise"]}'
    with pytest.raises(ValueError, match="head is new and would stay untrained"):
        fine_tune(folder, trained, tmp_path, model, freeze=["head.0"], quiet=True)


def test_a_run_does_not_go_on_from_another_start(folder, trained, tmp_path):
    fine_tune(folder, trained, tmp_path, quiet=True)
    other = tmp_path / "other"
    hub.save(registry.create("swishnet_test"), other, card="", architecture="swishnet_test")
    with pytest.raises(
        ValueError, match=r"another recipe \('init: .*run/model', now 'init: .*other"
    ):
        fine_tune(folder, other, tmp_path, f"data.bank={tmp_path / 'bank'}", quiet=True)


def test_a_run_does_not_go_on_from_a_start_that_has_changed(folder, trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    fine_tune(folder, trained, tmp_path, f"init={copy}", quiet=True)
    other = hub.save(registry.create("swishnet_test"), tmp_path / "other", card="")
    shutil.copy(other / "model.safetensors", copy)
    hub.seal(copy)
    with pytest.raises(ValueError, match="another recipe \\('# init: "):
        fine_tune(folder, trained, tmp_path, f"init={copy}", quiet=True)


def test_the_command_line_starts_from_weights(folder, trained, tmp_path, capfd):
    bank = trained.parent.parent / "bank"
    call = ["train", folder / "recipe.yaml", "--freeze", "stem", "trunk", "optim.steps=2"]
    call += ["--init", trained, f"data.bank={bank}", "-o", tmp_path / "run", "-q"]
    with pytest.raises(SystemExit) as stop:
        main([str(part) for part in call])
    assert stop.value.code == 0
    assert capfd.readouterr().out == f"{tmp_path / 'run' / 'model'}\n"
    saved = recipes.read(tmp_path / "run" / "recipe.yaml")
    assert (saved.init, saved.freeze, saved.optim.steps) == (str(trained), ("stem", "trunk"), 2)


def test_another_recipe_does_not_go_on_with_a_run(recipe, tmp_path):
    train, valid = banks(recipe)
    fit(registry.create("swishnet_test"), train, valid, recipe, tmp_path / "run", quiet=True)
    other = replace(recipe, seed=4)
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        fit(registry.create("swishnet_test"), train, valid, other, tmp_path / "run", quiet=True)


def test_bad_recordings_are_named_and_left_out(folder, tmp_path, capfd):
    rows = manifest.read(folder / "manifest.csv")
    for name, kind in (("cut.wav", "noise"), ("gone.wav", "speech")):
        rows.append(replace(rows[0], path=tmp_path / name, kind=kind))
    whole = (folder / "noise_train_0.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    manifest.write(tmp_path / "m.csv", rows)
    more = [f"data.manifests=[{tmp_path / 'm.csv'}]", f"data.bank={tmp_path / 'bank'}"]
    with pytest.raises(ValueError, match=r"2 rows cannot be used:\n.*line 26 \(cut.wav\)"):
        train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    more += ["data.on_bad=skip", "optim.steps=2"]
    made = train(folder / "recipe.yaml", more, output=tmp_path / "run")
    err = capfd.readouterr().err
    assert "cut.wav is cut short" in err and "gone.wav does not exist" in err
    assert hub.read_config(made)["left_out"] == 2
    with pytest.raises(ValueError, match="no recording of kind 'noise' can be read"):
        few = [replace(row, path=tmp_path / "cut.wav", kind="noise") for row in rows[-2:-1]]
        manifest.write(tmp_path / "m.csv", [row for row in rows if row.kind == "speech"] + few)
        train(folder / "recipe.yaml", more, output=tmp_path / "2", quiet=True)


def test_a_dry_run_tells_data_disk_and_time(folder, trained, tmp_path):
    bank = f"data.bank={tmp_path / 'bank'}"
    told = rehearse(folder / "recipe.yaml", [bank], init=trained, freeze=["stem"])
    text = "\n".join(told)
    assert "init: run/model" in text
    assert "data: " in text and " 0 problems" in text
    assert f"GB for features of clips in {tmp_path / 'bank'}" in text
    assert "to prepare the data" in text and "for 12 steps" in text
    assert not list(tmp_path.iterdir())
    ready = f"data.bank={trained.parent.parent / 'bank'}"
    text = "\n".join(rehearse(folder / "recipe.yaml", [ready], output=tmp_path))
    assert "data: ready" in text and "to prepare" not in text


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
    said = capfd.readouterr()
    assert "| 1 s |" in said.out
    assert "times real time" in said.err
    found = json.loads(out.read_text())
    assert [s["seconds"] for s in found] == [0.5, 1.0, 2.0]
    assert found[0]["minutes"] > 0
    assert found[0]["times_real_time"] > 0
