"""Training on listed mixtures: what is drawn of a list, and runs on it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trees

from sepaudio import hub, registry
from sepaudio.data import mixtures
from sepaudio.data.dataset import ListedMixtures, Shuffled, collate
from sepaudio.data.mixtures import Mixture, Part
from sepaudio.frontends import fingerprint
from sepaudio.training import recipe as recipes
from sepaudio.training.mixtures import batch_at, extraction, mixers, separation
from sepaudio.verbs.train import rehearse, train

RATE = 1000
RECIPE = """
architecture: {architecture}
license: CC0-1.0
seed: 3
data:
  valid_items: 3
  lists: {{files: [list.csv], seconds: 1.0}}
optim: {{steps: 3, batch: 2, lr: 0.01, warmup: 0, valid_every: 3}}
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Two speakers a mixture, of 0.8 to 2 s; the enrollment is for the list's reader to find."""
    folder = tmp_path_factory.mktemp("speakers")

    def part(speaker, take, seconds):
        path = trees.sound(folder / f"{speaker}{take}.wav", seconds, RATE)
        return Part(path=path, speaker=speaker)

    made = []
    for i, split in enumerate(["train"] * 5 + ["valid"] * 3):
        first, second = ("abc" * 2)[i % 3 : i % 3 + 2]
        parts = part(first, i, 0.8 + 0.2 * (i % 3)), part(second, i, 1.2 + 0.4 * (i % 3))
        made.append(Mixture(id=f"m{i}", sources=parts, sample_rate=RATE, split=split))
    return made


def recipe_of(folder, rows, architecture):
    mixtures.write(folder / "list.csv", rows)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(architecture=architecture))
    return path


def test_every_epoch_has_every_mixture_once_in_an_order_of_its_own(rows):
    drawn = Shuffled(ListedMixtures(rows, seconds=0.5))
    items = [drawn.item(1, 0, i).drawn for i in range(24)]
    epochs = [[made["id"] for made in items[first : first + 8]] for first in (0, 8, 16)]
    assert [sorted(ids) for ids in epochs] == [sorted(row.id for row in rows)] * 3
    assert len({tuple(ids) for ids in epochs}) == 3
    again = Shuffled(ListedMixtures(rows, seconds=0.5))  # whatever was asked for before
    assert [again.item(1, 0, i).drawn for i in reversed(range(24))] == items[::-1]
    assert [again.item(2, 0, i).drawn["id"] for i in range(8)] != epochs[0]


def test_stretches_hear_what_is_wanted(rows):
    """The target, of 0.8 s, is padded to 3.6 s: half of the stretch or of the target is heard."""
    long = replace(rows[0].sources[1], offset=2.4)
    row = replace(rows[0], sources=(rows[0].sources[0], long), target=0)
    for seconds, least in ((0.5, 0.25), (2.0, 0.4)):
        data = ListedMixtures([row], seconds=seconds)
        starts = [data[epoch, 0].drawn["start_s"] for epoch in range(40)]
        assert max(starts) <= 0.8 - least < max(starts) + 0.2
    both = ListedMixtures([replace(row, target=None)], seconds=3.0)
    for epoch in range(40):
        made = both[epoch, 0]
        assert (np.count_nonzero(made.sources, axis=1) >= [399, 599]).all()
    far = ListedMixtures([replace(row, target=None)], seconds=0.5)  # never both: anywhere
    assert max(far[epoch, 0].drawn["start_s"] for epoch in range(40)) > 2.4


def test_enrollments_are_other_recordings_of_a_speaker_in_the_mixture(rows):
    data = ListedMixtures(rows, enrolled=True)
    sounds = {}
    for row in rows:
        for part, x in zip(row.sources, ListedMixtures([row])[0].sources, strict=True):
            sounds[part.path] = part.speaker, np.trim_zeros(x, "b")
    targets = set()
    for epoch in range(12):
        made = data[epoch, 0]
        own = rows[0].sources[made.target]
        (path,) = [p for p, (_, x) in sounds.items() if np.array_equal(x, made.enrollment)]
        assert sounds[path][0] == own.speaker
        assert path not in {part.path for part in rows[0].sources}
        targets.add((made.target, path))
    assert {target for target, _ in targets} == {0, 1} and len(targets) > 2
    loud = [
        replace(row, rules="wsj0_mix", sources=tuple(replace(p, gain=9.0) for p in row.sources))
        for row in rows
    ]
    loudest = max(np.abs(ListedMixtures(loud, enrolled=True)[i].enrollment).max() for i in range(8))
    assert loudest < 0.99  # not clipped: those gains are for mixtures that one scale brings down
    with pytest.raises(ValueError, match="mixture m0 has no enrollment, and the list no other"):
        ListedMixtures(rows[:1], enrolled=True)


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_padding_in_a_batch_does_not_count(rows, architecture):
    torch.manual_seed(0)
    model = registry.create(architecture).eval()
    objective = separation("snr") if architecture == "mitas_test" else extraction("snr", 0.2)
    data = ListedMixtures(rows, enrolled=model.task == "extraction")
    examples = [data[i] for i in range(3)]
    assert len({len(example.mixture) for example in examples}) == 3
    with torch.no_grad():
        alone = [objective(model, collate([example])) for example in examples]
        together = objective(model, collate(examples))
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["mitas_test", "tsenet_test"])
def test_a_run_on_a_list(rows, tmp_path, architecture):
    path = recipe_of(tmp_path, rows, architecture)
    config = hub.read_config(train(path, output=tmp_path / "run", quiet=True))
    assert config["trained_on"] == ["listed mixtures"]
    assert config["recipe"]["data"]["lists"]["files"] == ["list.csv"]
    assert str(tmp_path) not in str(config)
    louder = [replace(rows[0], sources=tuple(replace(p, gain=2) for p in rows[0].sources))]
    recipe_of(tmp_path, louder + rows[1:], architecture)
    other = hub.read_config(train(path, output=tmp_path / "other", quiet=True))
    assert other["data_fingerprint"] != config["data_fingerprint"]


def test_overrides_below_model_are_typed_and_keep_their_neighbours(rows, tmp_path):
    path = recipe_of(tmp_path, rows, "mitas_test")
    path.write_text(path.read_text() + "model: {mask: relu, tcn: {sharing: mitas, hidden: 7}}\n")
    cfg = recipes.read(path, ["model.tcn.n_blocks=2", "model.tcn.eps=1e-3", "model.n_src=3"])
    assert cfg.model == {
        "mask": "relu",
        "tcn": {"sharing": "mitas", "hidden": 7, "n_blocks": 2, "eps": 1e-3},
        "n_src": 3,
    }
    with pytest.raises(
        ValueError, match="no TCNCfg value is called 'hiden'; did you mean 'hidden'"
    ):
        recipes.read(path, ["model.tcn.hiden=3"])
    with pytest.raises(ValueError, match=r"recipe.yaml: while parsing a flow sequence"):
        recipes.read(path, ["model.tcn.hidden=[3"])


def test_batches_are_those_of_the_step(rows, tmp_path):
    cfg = recipes.read(recipe_of(tmp_path, rows, "tsenet_test"))
    draw = batch_at(mixers(cfg, registry.create("tsenet_test"))[0], 2, 1)
    later = draw(7, 0, 1)
    again = batch_at(mixers(cfg, registry.create("tsenet_test"))[0], 2, 1)
    for key, value in again(7, 0, 1).items():
        assert torch.equal(value, later[key])
    assert later["mixture"].shape[1] <= RATE
    assert later["enrollment"].shape[1] >= 800  # whole recordings


def test_a_front_end_made_before_is_kept(rows, tmp_path):
    path = recipe_of(tmp_path, rows, "tsenet_test")
    torch.manual_seed(1)
    speaker = registry.build(registry.config("tsenet_ivector_test").speaker)
    hub.save(speaker, tmp_path / "ivector", card="")
    more = [f"speaker={tmp_path / 'ivector'}", "model={speaker: null}"]
    told = "\n".join(rehearse(path, more, output=tmp_path / "run"))
    assert "for 3 steps" in told and not (tmp_path / "run").exists()
    model = hub.load(train(path, more, output=tmp_path / "run", quiet=True))
    assert fingerprint(model.speaker) == fingerprint(speaker)
    config = hub.read_config(tmp_path / "run" / "model")
    assert config["recipe"]["speaker"] == "ivector" and str(tmp_path) not in str(config)
    with pytest.raises(ValueError, match=r"embedding=5: expected speaker.size=4"):
        train(path, [more[0], "model={embedding: 5, speaker: null}"], output=tmp_path / "no")
    with pytest.raises(ValueError, match="expected the folder of a speaker encoder, such as"):
        train(path, [f"speaker={tmp_path / 'run' / 'model'}"], output=tmp_path / "no")


@pytest.mark.parametrize(
    ("change", "override", "message"),
    [
        ({"sample_rate": 8000}, "seed=3", "mixture m0 is at 8000 Hz: expected the model's 1000"),
        ({}, "model.n_src=3", "mixture m0 has 2 sources: expected the model's 3; set model.n_src"),
        ({"split": "train"}, "seed=3", "no mixture of the split valid in .*list.csv: expected"),
        ({}, "data.manifests=[a.csv]", r"manifests=\['a.csv'\] and lists.files=\['list.csv'\]"),
        ({}, "data.mix_on=device", "mix_on='device' with lists.files: expected auto or cpu"),
        ({}, "data.lists.seconds=0", "seconds=0.0, enrollment_seconds=0.0: expected more than 0"),
    ],
)
def test_lists_that_do_not_fit_are_refused(rows, tmp_path, change, override, message):
    path = recipe_of(tmp_path, [replace(row, **change) for row in rows], "mitas_test")
    with pytest.raises(ValueError, match=message):
        train(path, [override], output=tmp_path / "run", quiet=True)


def spoiled(rows, folder):
    """The list over files of its own, of which m1's and m4's first are no audio any more."""
    folder.mkdir(exist_ok=True)

    def moved(part):
        return replace(part, path=Path(shutil.copy(part.path, folder / part.path.name)))

    made = [replace(row, sources=tuple(moved(part) for part in row.sources)) for row in rows]

    def spoil():
        for number in (1, 4):
            made[number].sources[0].path.write_text("no audio at all")

    return made, spoil


def test_mixtures_that_fail_later_are_left_out(rows, tmp_path, capfd):
    """Files spoiled after the run began: named once, another in their place, the same for all."""
    made, spoil = spoiled(rows, tmp_path / "audio")
    path = recipe_of(tmp_path, made, "mitas_test")
    cfg = recipes.read(path, ["data.on_bad=skip"])
    train_on, _ = mixers(cfg, registry.create("mitas_test"))
    before = [train_on.item(3, 0, i) for i in range(5)]
    spoil()
    after = [train_on.item(3, 0, i) for i in range(5)]
    order = [made.drawn["id"] for made in before]
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.drawn["id"] in ("m1", "m4"):
            good = [name for name in order[i:] + order[:i] if name not in ("m1", "m4")]
            old = before[order.index(good[0])]
        np.testing.assert_array_equal(old.mixture, new.mixture)
    assert train_on.left_out.nonzero().flatten().tolist() == [1, 4]
    capfd.readouterr()
    more = ["data.on_bad=skip", "optim.steps=8"]  # three epochs and more
    one = train(path, more, output=tmp_path / "one", quiet=True)
    other = train(path, [*more, "data.workers=2"], output=tmp_path / "other", quiet=True)
    told = capfd.readouterr().err
    for name in ("m1", "m4"):
        assert told.count(f"left out, mixture {name}: ") == 2  # once a run
        assert f"{name[1]}.wav is text" in told
    assert hub.read_config(other)["left_out"] == 2
    pairs = zip(hub.load(one).parameters(), hub.load(other).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_mixtures_that_fail_later_stop_a_run_by_default(rows, tmp_path):
    made, spoil = spoiled(rows, tmp_path / "audio")
    path = recipe_of(tmp_path, made, "mitas_test")
    spoil()
    with pytest.raises(ValueError, match=r"mixture m[14]: .*is text.*: on_bad=skip"):
        train(path, ["optim.steps=3"], output=tmp_path / "run", quiet=True)
    for row in made:
        row.sources[1].path.unlink()
    with pytest.raises(ValueError, match="none of 5 mixtures can be made"):
        train(path, ["data.on_bad=skip"], output=tmp_path / "run", quiet=True)
