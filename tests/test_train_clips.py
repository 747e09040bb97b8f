"""Training on whole clips with folds: what is heard, killing and going on, what comes out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sepaudio import hub, io, registry
from sepaudio.data import clips as data
from sepaudio.data import manifest
from sepaudio.data.clips import ClipAugmentCfg, mixture, placed, stretched, varied, windows
from sepaudio.training import clips as module
from sepaudio.training import recipe as recipes
from sepaudio.training.loop import best
from sepaudio.training.optim import OptimCfg, factor
from sepaudio.verbs.classify import classify
from sepaudio.verbs.train import rehearse, train

RATE = 1000
YAML = """
architecture: esresnet_test
model: {channels: 1, seconds: 1.0}
seed: 3
license: CC0-1.0
data:
  manifests: [manifest.csv]
  fold: 2
  augment: {stretch: 1.2, place: random, roll: 0.5, gain_db: 6.0, mixup: 1.0, mixed: 0.5, boxes: 1}
optim: {steps: 8, batch: 4, save_every: 0.0, warmup: 2, valid_every: 4, ema: 0.5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tones are speech; three folds of two clips a class."""
    folder = tmp_path_factory.mktemp("folds")
    random = np.random.default_rng(0)
    rows = ["path,kind,license,source,split,fold"]
    for fold in (1, 2, 3):
        for number in range(2):
            t = np.arange(1300) / RATE
            tone = 0.3 * np.sin(2 * np.pi * (60 + 20 * number) * t)
            for kind, x in (("speech", tone), ("noise", 0.1 * random.standard_normal(len(t)))):
                name = f"{kind}_{fold}_{number}.wav"
                io.write(folder / name, x.astype(np.float32), RATE)
                license = "CC-BY-NC-4.0" if (fold, number) == (3, 1) else "CC0-1.0"
                split = {3: "test"}.get(fold, "train")
                rows.append(f"{name},{kind},{license},{kind}s@{fold}:x,{split},{fold}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    return folder


def read(folder, tmp_path, *more):
    return recipes.read(folder / "recipe.yaml", [f"data.shelf={tmp_path / 'shelf'}", *more])


def loaded(recipe):
    torch.manual_seed(recipe.seed)
    model = registry.create(recipe.architecture, **recipe.model)
    return model, module.load(recipe, model)


def test_what_is_left_out_is_never_learned_from(folder, tmp_path):
    recipe = read(folder, tmp_path)
    _, clips = loaded(recipe)
    rows = clips.shelf.rows
    assert {rows[i].fold for i in clips.parts["test"]} == {2}
    assert {rows[i].fold for i in clips.parts["train"]} == {1, 3}
    assert not clips.parts["valid"] and len(clips.parts["train"]) == 6  # two are non-commercial
    assert len(clips.parts["test"]) == 4
    drawn = set()
    take = clips.shelf.take
    clips.shelf.take = lambda i: drawn.add(i) or take(i)
    draw = module.batch_at(clips, recipe.optim, recipe.data.augment, 0)
    for step in range(20):
        draw(step, 0, 1)
    assert drawn == set(clips.parts["train"])


def test_every_clip_is_heard_once_an_epoch(folder, tmp_path):
    recipe = read(folder, tmp_path)
    _, clips = loaded(recipe)
    heard = []
    take = clips.shelf.take
    clips.shelf.take = lambda i: heard.append(i) or take(i)
    plain = ClipAugmentCfg()
    draw = module.batch_at(clips, replace(recipe.optim, batch=3), plain, 0)
    for step in range(4):
        draw(step, 0, 1)
    first, second = heard[:6], heard[6:]
    assert sorted(first) == sorted(second) == sorted(clips.parts["train"])
    assert first != second


def test_a_batch_is_a_pure_function_of_its_step(folder, tmp_path):
    recipe = read(folder, tmp_path)
    _, clips = loaded(recipe)
    x, shares = module.batch_at(clips, recipe.optim, recipe.data.augment, 0)(5, 0, 1)
    assert x.shape == (4, RATE) and shares.shape == (4, 2)
    assert torch.allclose(shares.sum(dim=1), torch.ones(4))
    other = module.batch_at(clips, recipe.optim, recipe.data.augment, 0)
    other(1, 0, 1)
    halves = [other(5, part, 2) for part in (1, 0)]
    assert torch.equal(halves[1][0], x[0::2]) and torch.equal(halves[0][0], x[1::2])
    assert not torch.equal(other(6, 0, 1)[0], x)


def test_without_augmentation_a_clip_is_itself():
    x = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    cfg, random = ClipAugmentCfg(), np.random.default_rng(1)
    assert np.array_equal(varied(x, 100, cfg, random), x)
    assert np.array_equal(varied(x, 100, ClipAugmentCfg(reverse=1.0), random), x[::-1])
    rolled = varied(x, 100, ClipAugmentCfg(roll=1.0), random)
    assert np.array_equal(np.sort(rolled), np.sort(x)) and not np.array_equal(rolled, x)
    louder = varied(x, 100, ClipAugmentCfg(gain_db=6.0), random)
    gain = louder / x
    assert np.allclose(gain, gain[0]) and abs(20 * np.log10(gain[0])) <= 6


def test_stretching_changes_the_pitch():
    t = np.arange(1000) / 1000
    tone = np.sin(2 * np.pi * 50 * t).astype(np.float32)
    spec = np.abs(np.fft.rfft(stretched(tone, 1250)[:1000]))
    assert spec.argmax() == 40
    peaks = set()
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = varied(tone, 500, ClipAugmentCfg(stretch=1.25, place="random"), random)
        peaks.add(int(np.abs(np.fft.rfft(y, 2000)).argmax()) // 2)
    assert min(peaks) >= 39 and max(peaks) <= 63 and max(peaks) - min(peaks) > 10


def test_placing_cuts_and_fills():
    x = np.arange(1, 5, dtype=np.float32)
    assert placed(x, 2).tolist() == [2, 3]
    assert placed(x, 7).tolist() == [0, 1, 2, 3, 4, 0, 0]
    assert placed(x, 7, "hold").tolist() == [1, 1, 2, 3, 4, 4, 4]
    places = {tuple(placed(x, 6, random=np.random.default_rng(s)).tolist()) for s in range(20)}
    assert len(places) == 3


def test_a_quiet_stretch_gives_way_to_a_loud_one():
    x = np.zeros(1000, np.float32)
    x[:100] = np.random.default_rng(0).standard_normal(100)
    for seed in range(20):
        assert placed(x, 200, random=np.random.default_rng(seed)).std() > 0.2
        assert placed(x[::-1], 200, random=np.random.default_rng(seed)).std() > 0.2


def test_a_mixture_has_the_shares_it_is_labelled_with():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 20000)).astype(np.float32)
    for share in (0.25, 0.5, 0.9):
        z = mixture(10 * x, 0.1 * y, share)  # their own levels do not count
        ours, theirs = np.dot(z, x) / np.dot(x, x), np.dot(z, y) / np.dot(y, y)
        assert ours / (ours + theirs) == pytest.approx(share, abs=0.02)
    assert np.array_equal(mixture(x, y, 1.0), x) and np.array_equal(mixture(x, y, 0.0), y)
    silent = np.zeros_like(x)
    assert np.isfinite(mixture(silent, silent, 0.5)).all()


def test_windows_of_a_clip():
    random = np.random.default_rng(0)
    x = random.standard_normal(1000).astype(np.float32)
    assert [len(w) for w in windows(x[:900], 1000)] == [1000]
    assert [len(w) for w in windows(x, 900)] == [900]
    cut = windows(x, 400)
    assert len(cut) == 4 and np.array_equal(cut[0], x[:400]) and np.array_equal(cut[-1], x[600:])
    x[:500] *= 1e-3
    assert len(windows(x, 400)) < 4
    assert windows(np.zeros(1000, np.float32), 400)


def test_boxes_blank_stretches_of_time_and_of_the_whole_spectrum():
    torch.manual_seed(0)
    picture = torch.randn(3, 1, 3, 20, 50)
    cfg = ClipAugmentCfg(boxes=1, box_time=0.5, box_band=0.5)
    y = module.blanked(picture, cfg)
    spec, changed = picture.flatten(2, 3), (y != picture).flatten(2, 3)
    assert torch.equal(module.blanked(picture, ClipAugmentCfg()), picture)
    for b in range(3):
        rows, columns = changed[b, 0].all(dim=1), changed[b, 0].all(dim=0)
        box = rows[:, None] | columns[None]
        assert torch.equal(changed[b, 0], box)
        assert rows.sum() <= 31 and columns.sum() <= 26
        inside = y.flatten(2, 3)[b, 0][box]
        assert torch.allclose(inside, spec[b].mean().expand_as(inside), atol=1e-6)
    assert changed.any()


def test_every_member_has_to_be_right_by_itself():
    torch.manual_seed(0)
    model = registry.create("esresnet_test", members=2, channels=1).train()
    picture, shares = model.picture(torch.randn(4, 1000)), torch.eye(2)[[0, 1, 1, 0]]
    said = model.opinions(picture)
    assert said.shape == (2, 4, 2) and not torch.allclose(said[0], said[1])
    assert torch.allclose(said.mean(dim=0), model.clip_logits(picture), atol=1e-5)
    each = [torch.nn.functional.cross_entropy(one, shares) for one in said]
    fixed = {"picture": lambda x: picture, "opinions": lambda x: said}
    loss = module.objective_of(0.0, ClipAugmentCfg())(SimpleNamespace(**fixed), (picture, shares))
    assert loss.item() == pytest.approx(sum(each).item() / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("place", "left", "expected one of centre, random"),
        ("fill", "noise", "expected one of silence, hold"),
        ("stretch", 0.5, "stretch=0.5"),
        ("roll", 1.5, "expected a share from 0 to 1"),
    ],
)
def test_wrong_augmentation_is_refused(name, value, match):
    with pytest.raises(ValueError, match=match):
        ClipAugmentCfg(**{name: value})


def test_the_published_schedule():
    cfg = OptimCfg(schedule="esresnet", epoch_steps=20, steps=6000, lr=2.5e-4)
    at = {e: cfg.lr * factor(cfg, 20 * e) for e in (0, 5, 14, 15, 50, 100, 299)}
    assert [at[e] for e in (0, 5, 14, 15)] == pytest.approx([2.5e-5, 4.75e-5, 2.5e-4, 2.5e-4])
    assert at[50] == pytest.approx(1.473e-4, rel=1e-3)
    assert at[100] == pytest.approx(6.92e-5, rel=1e-3)
    assert at[299] == pytest.approx(3.42e-6, rel=1e-3)
    assert factor(cfg, 19) == factor(cfg, 0)
    with pytest.raises(ValueError, match="epoch_steps=0"):
        OptimCfg(schedule="esresnet")


@pytest.mark.parametrize("kill", [2, 5, 7])
def test_a_killed_run_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch, kill):
    recipe = read(folder, tmp_path)

    def run(name):
        model, clips = loaded(recipe)
        return module.fit(model, clips, recipe, tmp_path / name, quiet=True)

    def deadly(*arguments):
        draw = draw_of(*arguments)

        def drawn(step, *part):
            if step == kill:
                raise SystemError("killed")
            return draw(step, *part)

        return drawn

    whole, judged = run("whole")
    draw_of = module.batch_at
    monkeypatch.setattr(module, "batch_at", deadly)
    with pytest.raises(SystemError, match="killed"):
        run("killed")
    monkeypatch.undo()
    resumed, again = run("killed")
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert judged == again


def test_last_and_best_are_named_apart(folder, tmp_path):
    made = train(
        folder / "recipe.yaml",
        [f"data.shelf={tmp_path / 'shelf'}", "optim.steps=60", "optim.lr=0.01", "optim.ema=0.9"],
        output=tmp_path / "run",
        quiet=True,
    )
    config = hub.read_config(made)
    judged = config["judged"]
    assert judged["on"] == "test" and judged["best"] >= judged["last"] > 0.7
    assert judged["best_step"] % 4 == 0 and judged["temperature"] == 1
    step, _ = best(tmp_path / "run")
    assert step == judged["best_step"]
    assert config["recipe"]["data"]["fold"] == 2 and "shelf" not in config["recipe"]["data"]
    assert config["trained_on"] == ["noises", "speechs"]
    tone = 0.3 * np.sin(2 * np.pi * 70 * np.arange(3000) / RATE)
    assert classify(tone, RATE, model=made).label == "speech"


def test_a_validation_fold_calibrates(folder, tmp_path):
    more = ["data.valid_fold=1", f"data.shelf={tmp_path / 'shelf'}"]
    made = train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    judged = hub.read_config(made)["judged"]
    assert judged["on"] == "valid" and judged["temperature"] != 1
    assert "Fold 2 was left out to test; fold 1 validated." in (made / "README.md").read_text()


def test_a_shuffled_split_is_refused_unless_asked_for(folder, tmp_path, capfd):
    lines = (folder / "manifest.csv").read_text().replace("x,test,3", "x,train,3").splitlines()
    lines[1] = lines[1].replace("train,1", "test,1")
    lines = [lines[0], *(f"{folder}/{line}" for line in lines[1:])]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    more = [f"data.manifests=[{tmp_path / 'm.csv'}]", f"data.shelf={tmp_path / 'shelf'}"]
    more += ["data.fold=0", "optim.steps=2"]
    with pytest.raises(ValueError, match="fold 1 lies in the splits test, train"):
        train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    made = train(
        folder / "recipe.yaml", [*more, "data.folds=shuffled"], output=tmp_path / "run", quiet=True
    )
    assert "accuracy comes out too high" in capfd.readouterr().err
    assert hub.read_config(made)["recipe"]["data"]["folds"] == "shuffled"
    assert "was left out" not in (made / "README.md").read_text()


def test_other_classes_get_a_new_head_on_a_frozen_trunk(folder, tmp_path):
    shelf = f"data.shelf={tmp_path / 'shelf'}"
    first = train(
        folder / "recipe.yaml", [shelf, "optim.steps=2"], output=tmp_path / "a", quiet=True
    )
    more = [shelf, "optim.steps=2", 'model={"labels": ["speech", "noise"]}', "seed=9"]
    parts = ["backbone", "attention"]
    options = {"init": first, "freeze": parts, "output": tmp_path / "b"}
    made = train(folder / "recipe.yaml", more, **options, quiet=True)
    old, new = hub.load(first).state_dict(), hub.load(made).state_dict()
    assert {n for n in new if not torch.equal(old[n], new[n])} == {"head.weight", "head.bias"}
    assert hub.load(made).labels == ("speech", "noise")


def sounds(folder, root, **classes):
    """A folder of class folders, from the clips of `folder`."""
    for name, (kind, n) in classes.items():
        (root / name).mkdir(parents=True)
        for number, path in enumerate(sorted(folder.glob(f"{kind}_*.wav"))[:n]):
            (root / name / f"{number}.wav").write_bytes(path.read_bytes())
    return root


def test_a_folder_of_class_folders_is_data(folder, tmp_path):
    root = sounds(folder, tmp_path / "my sounds", tone=("speech", 6), hiss=("noise", 3))
    more = [f"data.shelf={tmp_path / 'shelf'}", "data.fold=0", "optim.steps=2", f"data={root}"]
    assert rehearse(folder / "recipe.yaml", more, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made = train(folder / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    assert hub.load(made).labels == ("hiss", "tone")
    rows = manifest.read(tmp_path / "run" / "data.csv")
    assert {(row.path.parent.name, row.kind) for row in rows} == {
        ("hiss", "hiss"),
        ("tone", "tone"),
    }
    mine = [*more, 'model={"labels": ["tone", "hiss"]}']
    made = train(folder / "recipe.yaml", mine, output=tmp_path / "mine", quiet=True)
    assert hub.load(made).labels == ("tone", "hiss")


def test_a_folder_that_cannot_be_learned_from_is_refused(folder, tmp_path):
    root = sounds(folder, tmp_path / "sounds", tone=("speech", 6), hiss=("noise", 1))
    out = {"output": tmp_path / "run", "quiet": True}
    with pytest.raises(ValueError, match="hiss has 1 recordings: expected 3 or more"):
        train(folder / "recipe.yaml", [f"data={root}"], **out)
    (root / "hiss" / "none.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none.wav is empty .*data.on_bad=skip"):
        train(folder / "recipe.yaml", [f"data={root}"], **out)
    with pytest.raises(ValueError, match="expected one folder, which holds a folder for every"):
        train(folder / "recipe.yaml", [f"data={root / 'no'}"], **out)


def test_a_dry_run_tells_data_disk_and_time(folder, tmp_path):
    more = [f"data.shelf={tmp_path / 'shelf'}"]
    text = "\n".join(rehearse(folder / "recipe.yaml", more, output=tmp_path / "run"))
    assert "12 rows" in text and "GB for decoded recordings" in text and "for 8 steps" in text
    assert not list(tmp_path.iterdir())


def test_a_class_without_clips_is_named(folder, tmp_path):
    lines = (folder / "manifest.csv").read_text().splitlines()
    lines = [f"{folder}/{x}" for x in lines[1:] if x.startswith("noise") or x.endswith(",2")]
    (tmp_path / "m.csv").write_text("path,kind,license,source,split,fold\n" + "\n".join(lines))
    recipe = read(folder, tmp_path, f"data.manifests=[{tmp_path / 'm.csv'}]")
    with pytest.raises(ValueError, match="no clip of class 'speech' to train on"):
        loaded(recipe)


def test_pause_is_what_classify_calls_one():
    from sepaudio.verbs.classify import PAUSE_DB

    assert data.PAUSE_DB == PAUSE_DB


def test_operations_and_boxes_of_others_are_drawn_with_the_step(folder, tmp_path):
    """RandAugment on the samples, CutMix on the pictures: the same step, the same lesson."""
    recipe = read(folder, tmp_path, "data.augment.operations=2", "data.augment.cutmix=1.0")
    model, clips = loaded(recipe)
    draw, objective = module.lesson(clips, model, recipe)
    plain = module.batch_at(clips, recipe.optim, replace(recipe.data.augment, operations=0), 3)
    batch = draw(5, 0, 1)
    assert torch.equal(batch[0], draw(5, 0, 1)[0])
    assert not torch.equal(batch[0], plain(5, 0, 1)[0])
    assert torch.equal(batch[1], plain(5, 0, 1)[1])
    model.eval()
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(objective(model, batch).item())
    torch.manual_seed(0)
    own = module.objective_of(recipe.optim.label_smoothing, replace(recipe.data.augment, cutmix=0))
    assert losses[0] == losses[1] != losses[2]
    assert own(model, batch).item() not in losses
    with pytest.raises(ValueError, match=r"magnitude=11.0: expected 0 to 10"):
        ClipAugmentCfg(magnitude=11.0)
    with pytest.raises(ValueError, match=r"cutmix=2: expected a share from 0 to 1"):
        ClipAugmentCfg(cutmix=2)
