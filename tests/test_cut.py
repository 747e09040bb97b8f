"""Training on clips cut from whole recordings: draws, epochs, late frames, teachers, selection."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from test_train import RATE, YAML
from torch.nn.functional import cross_entropy

from sepaudio import hub, io, registry
from sepaudio.data.whole import CutCfg
from sepaudio.training import cut, prepared
from sepaudio.training import recipe as recipes
from sepaudio.training.distill import DistillCfg
from sepaudio.training.optim import OptimCfg, factor
from sepaudio.verbs.train import rehearse, train

pytestmark = pytest.mark.skipif(find_spec("librosa") is None, reason="needs librosa")
CUT = ["data.cut.seconds=0.5", "optim.epochs=3", "optim.batch=8", "optim.ema=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of two classes with a pause in the middle; three to learn from, one to judge."""
    folder = tmp_path_factory.mktemp("set")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split"]
    t = np.arange(4 * RATE) / RATE
    loud = np.where((t > 1.5) & (t < 2.5), 1e-4, 1.0)
    for split, n in (("train", 3), ("valid", 1)):
        for number in range(n):
            tone = np.sin(2 * np.pi * (60 + 20 * number) * t)
            tone += 0.1 * random.standard_normal(len(t))
            for kind, x in (("speech", tone), ("noise", random.standard_normal(len(t)))):
                name = f"{kind}_{split}_{number}.wav"
                io.write(folder / name, (0.1 * x * loud).astype(np.float32), RATE)
                rows.append(f"{name},{kind},CC0-1.0,{kind}s/{number}@1:x,{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    return folder


@pytest.fixture
def recipe(folder, tmp_path):
    return recipes.read(folder / "recipe.yaml", [f"data.bank={tmp_path / 'f'}", *CUT])


def model():
    torch.manual_seed(0)
    return registry.create("swishnet_test")


def test_silence_is_gone_and_clips_of_all_lengths_come_from_one_store(recipe, tmp_path):
    found = prepared.cuts(recipe.data, model(), "train")
    assert len(found.features.rows) == 6 and found.size == 50
    assert np.diff(found.features.bounds) == pytest.approx([300] * 6, abs=8)  # of 400 frames
    assert len(found) == sum(len(found.features.of(r)) // 25 for r in range(6))
    first = tmp_path / "f"
    before = {path: path.stat().st_mtime_ns for path in first.glob("*/features.npy")}
    longer = replace(recipe.data, cut=replace(recipe.data.cut, seconds=1.0))
    assert prepared.cuts(longer, model(), "train").size == 100
    assert {path: path.stat().st_mtime_ns for path in first.glob("*/features.npy")} == before
    other = replace(recipe.data, cut=CutCfg(seconds=0.5, loudness="author"))
    prepared.cuts(other, model(), "train")
    assert len(list(first.glob("train-*"))) == 2


def test_an_epoch_hears_every_clip_once_and_ends_a_batch_at_one_late_moment(recipe):
    net = model()
    found = prepared.cuts(recipe.data, net, "train")
    plain = replace(recipe, optim=replace(recipe.optim, late_frame=False))
    draw, _, optim = cut.lesson(net, found, plain)
    each = len(found) // 8
    assert (optim.steps, optim.epoch_steps, optim.valid_every) == (3 * each, each, each)
    whole = {x.numpy().tobytes() for x in found.take(range(len(found)))}
    for epoch in range(2):
        batches = [draw(step, 0, 1)[0] for step in range(epoch * each, (epoch + 1) * each)]
        heard = [x.numpy().tobytes() for x in torch.cat(batches)]
        assert len(set(heard)) == len(heard) == 8 * each and set(heard) <= whole
    assert not torch.equal(draw(0, 0, 1)[0], draw(each, 0, 1)[0])  # another order
    halves = [draw(1, part, 2)[0] for part in (0, 1)]
    assert torch.equal(torch.stack(halves, 1).flatten(0, 1), draw(1, 0, 1)[0])
    late, _, _ = cut.lesson(net, found, recipe)
    lengths = {late(step, 0, 1)[0].shape[-1] for step in range(3 * each)}
    assert min(lengths) >= 25 and max(lengths) <= 51 and len(lengths) > 3
    assert torch.equal(late(2, 0, 1)[0], draw(2, 0, 1)[0][..., : late(2, 0, 1)[0].shape[-1]])


def test_soft_targets_are_what_the_teacher_says_of_the_whole_clip(recipe, tmp_path):
    teacher = registry.create("spectrogram_test")
    hub.save(teacher, tmp_path / "teacher", card="# t\n", license="CC0-1.0", trained_on=[])
    given = replace(recipe, distill=DistillCfg(teacher=str(tmp_path / "teacher")))
    net = model()
    found = prepared.cuts(recipe.data, net, "train")
    draw, _, _ = cut.lesson(net, found, given)
    x, labels, theirs = draw(0, 0, 1)
    loaded = hub.load(tmp_path / "teacher")
    beside = cut.beside(found, recipe.data, loaded)
    assert beside.features.values.dtype == np.float16  # as the author keeps bands
    mine = np.random.default_rng([recipe.seed, 0]).permutation(len(found))[:8]
    assert torch.allclose(theirs, loaded.clip_logits(beside.take(mine)), atol=1e-5)
    assert torch.equal(x, found.take(mine)[..., : x.shape[-1]])
    assert labels.tolist() == found.labels[mine].tolist()


def test_a_run_keeps_the_best_epoch_and_the_last_one(folder, tmp_path):
    words = [f"data.bank={tmp_path / 'f'}", *CUT, "data.cut.standardize=true"]
    made = train(folder / "recipe.yaml", words, output=tmp_path / "run", quiet=True)
    about = hub.read_config(made)
    assert set(about["valid"]) == {"best", "last"}
    assert about["valid"]["best"]["loss"] <= about["valid"]["last"]["loss"]
    assert about["best_step"] % (about["clips"] // 8) == 0
    assert hub.load(made).standardize.std.min() > 1e-3
    last = hub.load(tmp_path / "run" / "last")
    assert last.labels == ("noise", "speech")
    again = train(folder / "recipe.yaml", words, output=tmp_path / "again", quiet=True)
    for a, b in zip(hub.load(made).parameters(), hub.load(again).parameters(), strict=True):
        assert torch.equal(a, b)
    assert str(tmp_path) not in json.dumps(about)


def test_frames_are_learned_from_one_by_one(recipe):
    torch.manual_seed(0)
    net = registry.create("snn_test", dropout=0.0).eval()
    x, labels = torch.randn(2, 15, 30), torch.tensor([0, 1])
    loss = cut.objective_of(0.0, DistillCfg())(net, (x, labels))
    frames = x.unfold(2, 1, 1).transpose(1, 2).flatten(0, 1)  # [B L, F, 1]: clips of a frame
    each = cross_entropy(net.clip_logits(frames), labels.repeat_interleave(30))
    assert loss.item() == pytest.approx(each.item(), rel=1e-5)


def test_rehearsing_tells_the_time_and_leaves_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = rehearse(folder / "recipe.yaml", [f"data.bank={tmp_path / 'f'}", *CUT])
    assert any("steps" in line for line in told) and any("disk:" in line for line in told)
    assert not list(tmp_path.glob("*"))


@pytest.mark.parametrize("kind", ["silent", "gone"])
def test_recordings_that_cannot_be_used_stop_a_run_or_are_left_out(folder, tmp_path, kind):
    text = (folder / "manifest.csv").read_text().replace("speech_train_2.wav", "bad.wav")
    for path in folder.glob("*.wav"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "manifest.csv").write_text(text)
    (tmp_path / "recipe.yaml").write_text(YAML)
    if kind == "silent":
        io.write(tmp_path / "bad.wav", np.zeros(RATE, np.float32), RATE)
    words = [f"data.bank={tmp_path / 'f'}", *CUT]
    given = recipes.read(tmp_path / "recipe.yaml", words)
    with pytest.raises(ValueError, match=r"bad.wav.*on_bad=skip"):
        prepared.cuts(given.data, model(), "train")
    found = prepared.cuts(replace(given.data, on_bad="skip"), model(), "train")
    assert len(found.features.rows) == 5 and "bad.wav" in found.features.left_out[0]


def test_warm_restarts_are_those_of_the_authors_code():
    """Restarts at epochs 2, 5, 10, 19, 36 and 69; it ends inside the cycle of 64 at 6.6e-5."""
    cfg = OptimCfg(schedule="restarts", lr=5e-4, lr_min=1e-5, epoch_steps=3, epochs=120)
    rates = [cfg.lr * factor(cfg, 3 * epoch) for epoch in range(120)]
    tops = [e for e in range(1, 120) if rates[e] == pytest.approx(5e-4) and rates[e - 1] < 4e-4]
    assert tops == [2, 5, 10, 19, 36, 69]
    assert [rates[e - 1] for e in tops] == pytest.approx([1e-5] * 6)
    assert rates[119] == pytest.approx(6.6e-5, abs=1e-6)
    assert factor(cfg, 3) == factor(cfg, 5)  # the same all through an epoch


def test_the_teachers_rate_falls_after_five_epochs():
    cfg = OptimCfg(schedule="late_decay", epoch_steps=2, epochs=10)
    found = [factor(cfg, 2 * epoch) for epoch in range(8)]
    assert found == pytest.approx([1, 1, 1, 1, 1, 0.6, 0.36, 0.216])


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"schedule": "restarts"}, "schedule='restarts' with epoch_steps=0"),
        ({"lr_min": 1.0}, "lr_min=1.0"),
        ({"schedule": "sgdr"}, "expected one of cosine, plateau, esresnet, restarts, late_decay"),
    ],
)
def test_wrong_schedules_are_named(values, match):
    with pytest.raises(ValueError, match=match):
        OptimCfg(**values)
