"""Soft targets: limits, gradients, the plain run within, and every kind of classifier recipe."""

import math
from dataclasses import replace

import laws
import numpy as np
import pytest
import torch
from test_train import RATE, YAML
from torch.nn import functional as F

from sepaudio import hub, io, registry
from sepaudio.data.clips import ClipsCfg
from sepaudio.frontends import mel_cfg
from sepaudio.training import classify, clips
from sepaudio.training import recipe as recipes
from sepaudio.training.bank import banks
from sepaudio.training.distill import (
    DistillCfg,
    blended,
    mixed,
    soft_loss,
    teacher_of,
    teachers_of,
    together,
)
from sepaudio.verbs.train import rehearse, train


def logits(seed, scale=3.0):
    return scale * laws.noise(6, 4, seed=seed)


def test_alike_means_no_loss_and_otherwise_there_is_some():
    x = logits(0)
    for t in (0.5, 1.0, 10.0):
        cfg = DistillCfg(temperature=t)
        assert soft_loss(x, x + 5.0, cfg).abs() < 1e-12  # a constant changes no probability
        assert soft_loss(x, logits(1), cfg) > 1e-3


def test_it_is_the_divergence_of_its_definition():
    p, q = (logits(seed).div(2.5).softmax(1) for seed in (1, 0))
    wanted = (p * (p / q).log()).sum(1).mean()
    laws.close(soft_loss(logits(0), logits(1), DistillCfg(temperature=2.5, squared=False)), wanted)


def test_without_heat_the_teachers_favourite_is_a_label():
    """T -> 0 of the plain divergence, times T: what cross-entropy with hard labels tends to."""
    x, theirs = logits(0), logits(1)
    t = 1e-3
    soft = soft_loss(x, theirs, DistillCfg(temperature=t, squared=False))
    laws.close(soft * t, F.cross_entropy(x / t, theirs.argmax(1)) * t, 1e-2)


def test_in_great_heat_it_is_the_distance_of_centred_logits():
    """T -> infinity with T^2: half the mean square of what centred logits differ by (Hinton)."""
    x, theirs = logits(0), logits(1)
    gap = (x - x.mean(1, keepdim=True)) - (theirs - theirs.mean(1, keepdim=True))
    wanted = gap.square().mean(1).mean() / 2
    laws.close(soft_loss(x, theirs, DistillCfg(temperature=1e4)), wanted, 1e-2)
    cold = soft_loss(x, theirs, DistillCfg(temperature=1e4, squared=False))
    assert cold < 1e-6  # the flag: without the square next to nothing is left


def test_its_gradient_is_that_of_its_formula():
    x, theirs, t = logits(0).requires_grad_(), logits(1), 4.0
    soft_loss(x, theirs, DistillCfg(temperature=t)).backward()
    wanted = t * ((x / t).softmax(1) - (theirs / t).softmax(1)) / len(x)
    laws.close(x.grad, wanted.detach(), 1e-9)
    assert torch.autograd.gradcheck(lambda y: soft_loss(y, theirs, DistillCfg()), x)


def test_weights_share_the_loss():
    hard, x, theirs = torch.tensor(2.0), logits(0), logits(1)
    for weight in (0.0, 0.3, 1.0):
        cfg = DistillCfg(weight=weight)
        wanted = (1 - weight) * 2.0 + weight * soft_loss(x, theirs, cfg)
        assert float(blended(hard, x, theirs, cfg)) == pytest.approx(float(wanted))


@pytest.mark.parametrize("values", [{"weight": 1.1}, {"weight": -0.1}, {"temperature": 0.0}])
def test_wrong_numbers_are_named(values):
    with pytest.raises(ValueError, match=r"weight=.*, temperature="):
        DistillCfg(**values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of two classes, and two teachers: one with the student's features, one without."""
    folder = tmp_path_factory.mktemp("set")
    random, rows = np.random.default_rng(0), ["path,kind,license,source,split"]
    for split in ("train", "valid"):
        t = np.arange(3 * RATE) / RATE
        tone = 0.3 * np.sin(2 * np.pi * 80 * t)
        for kind, x in (("speech", tone), ("noise", 0.1 * random.standard_normal(len(t)))):
            name = f"{kind}_{split}.wav"
            io.write(folder / name, x.astype(np.float32), RATE)
            rows.append(f"{name},{kind},CC0-1.0,{kind}s@1:x,{split}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(YAML)
    torch.manual_seed(5)
    for name, changes in (
        ("same", {}),
        ("other", {"features": mel_cfg("psf", 1000, n_mels=11, n_mfcc=7)}),
        ("slower", {"features": mel_cfg("psf", 1000, n_mels=8, n_mfcc=5, hop=20)}),
        ("third", {"labels": ("noise", "music")}),
    ):
        net = registry.create("swishnet_test", **changes)
        hub.save(net, folder / name, card="# t\n", license="CC0-1.0", trained_on=[])
    return folder


def run(folder, out, *more):
    words = [f"data.bank={folder / 'bank'}", *more]
    made = train(folder / "recipe.yaml", words, output=out, quiet=True)
    return hub.load(made), hub.read_config(made)


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_weight_of_nothing_is_the_plain_run_bit_for_bit(folder, tmp_path):
    plain, _ = run(folder, tmp_path / "plain")
    zero, _ = run(folder, tmp_path / "0", f"distill.teacher={folder / 'other'}", "distill.weight=0")
    taught, about = run(folder, tmp_path / "1", f"distill.teacher={folder / 'other'}")
    alone, _ = run(folder, tmp_path / "2", "distill.mixed=true", "distill.weight=1")
    assert same(plain, zero) and not same(plain, taught)
    assert same(plain, alone)  # without a teacher nothing is mixed
    digest = hub.about(folder / "other")["sha256"]
    kept = about["recipe"]["distill"]
    assert kept["sha256"] == digest and kept["teacher"].endswith("/other")
    assert digest in (tmp_path / "1" / "recipe.yaml").read_text()
    assert "# teacher" not in (tmp_path / "0" / "recipe.yaml").read_text()


def test_a_teacher_hears_the_clips_of_its_pupil_in_its_own_features(folder):
    """With weight 1 the loss is the divergence between both networks on the same clips."""
    cfg = recipes.read(folder / "recipe.yaml", [f"data.bank={folder / 'bank'}"])
    model = registry.create("swishnet_test")
    bank, _ = banks(cfg, model)
    for name in ("same", "other"):
        given = replace(cfg, distill=DistillCfg(teacher=str(folder / name), weight=1.0))
        draw, objective = classify.lesson(model.eval(), bank, given)
        features, labels, theirs = draw(0, 0, 1)
        teacher = hub.load(folder / name)
        assert theirs.shape[::2] == features.shape[::2]
        assert torch.equal(theirs, features) == (name == "same")
        known = labels >= 0
        said = teacher.clip_logits(theirs[known])
        wanted = soft_loss(model.clip_logits(features)[known], said, given.distill)
        laws.close(objective(model, (features, labels, theirs)).detach(), wanted.detach(), 1e-4)
        if name == "same":
            assert objective(teacher, (features, labels, theirs)) < 1e-6


def test_teachers_say_the_normalised_geometric_mean_of_their_probabilities():
    x, y = logits(0), logits(1)
    mean = (x.softmax(1) * y.softmax(1)).sqrt()
    found = together([x, y + 3.0]).softmax(1)  # a constant changes no probability
    laws.close(found, (mean / mean.sum(1, keepdim=True)).float(), 1e-5)
    laws.close(together([x]).softmax(1), x.softmax(1).float(), 1e-5)


def test_mixed_clips_are_between_two_and_alike_in_every_linear_picture():
    random = np.random.default_rng(3)
    x = random.standard_normal((6, 4, 9)).astype(np.float32)
    picture = random.standard_normal((5, 4)).astype(np.float32)
    ours, theirs = mixed([x, picture @ x], np.random.default_rng(1))
    assert np.allclose(theirs, picture @ ours, atol=1e-5)
    assert ours.shape == x.shape and not np.allclose(ours, x)
    for y in ours:  # y = a x[i] + (1 - a) x[j]: no rest in the plane of some two clips
        gaps = []
        for i in range(6):
            for j in range(6):
                way = x[i] - x[j]
                a = np.clip(((y - x[j]) * way).sum() / max((way**2).sum(), 1e-9), 0, 1)
                gaps.append(np.abs(x[j] + a * way - y).max())
        assert min(gaps) < 1e-5


def test_several_teachers_hear_the_same_mixed_clips(folder):
    cfg = recipes.read(folder / "recipe.yaml", [f"data.bank={folder / 'bank'}"])
    model = registry.create("swishnet_test").eval()
    bank, _ = banks(cfg, model)
    both = (str(folder / "same"), str(folder / "other"))
    plain = classify.lesson(model, bank, cfg)[0](0, 0, 1)[0]
    distill = DistillCfg(teacher=both, weight=1.0, temperature=2.0, mixed=True)
    draw, objective = classify.lesson(model, bank, replace(cfg, distill=distill))
    features, labels, same_one, other = draw(0, 0, 1)
    assert torch.equal(features, same_one) and not torch.equal(features, plain)
    known = labels >= 0
    teachers = [hub.load(folder / name) for name in ("same", "other")]
    heard = (same_one, other)
    said = [one.clip_logits(x[known]) for one, x in zip(teachers, heard, strict=True)]
    wanted = soft_loss(model.clip_logits(features)[known], together(said), distill)
    found = objective(model, (features, labels, same_one, other)).detach()
    laws.close(found, wanted.detach(), 1e-4)
    digests = ", ".join(hub.about(folder / name)["sha256"] for name in ("same", "other"))
    more = ["distill.mixed=true", "distill.weight=1"]
    _, about = run(folder, folder / "two", f"distill.teacher=[{', '.join(both)}]", *more)
    assert about["recipe"]["distill"]["sha256"] == digests


def test_one_teacher_is_a_word_and_several_are_a_list(folder, tmp_path):
    """In a recipe as on the command line; what is resolved reads as itself."""
    given = {"one": ("one",), "[one,other]": ("one", "other"), '["a, b"]': ("a, b",), "": ()}
    lines = (folder / "recipe.yaml").read_text()
    for text, names in given.items():
        for form in ("", "yaml"):
            path, words = folder / "recipe.yaml", [f"distill.teacher={text}"]
            if form:
                path, words = tmp_path / "r.yaml", []
                path.write_text(f"{lines}\ndistill: {{teacher: {text or chr(39) * 2}}}\n")
            cfg = recipes.read(path, [*words, "distill.weight=0"])
            assert cfg.distill.teachers == names
            (tmp_path / "again.yaml").write_text(recipes.to_yaml(cfg))
            assert recipes.read(tmp_path / "again.yaml").distill == cfg.distill


def test_no_label_fits_a_mixed_clip_and_whole_clips_have_one_teacher():
    with pytest.raises(ValueError, match=r"mixed=True with weight=0.9: expected a weight of 1"):
        DistillCfg(teacher="t", mixed=True)
    assert not teachers_of(DistillCfg(mixed=True), None)  # nobody teaches, nothing is mixed
    for cfg in (DistillCfg(teacher=("t", "u")), DistillCfg(teacher="t", weight=1.0, mixed=True)):
        with pytest.raises(ValueError, match="expected one teacher and no mixed clips"):
            teacher_of(cfg, None)


def test_rehearsing_needs_no_bank_of_the_teachers(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"data.bank={tmp_path / 'bank'}", f"distill.teacher={folder / 'other'}"]
    assert any(line.startswith("time:") for line in rehearse(folder / "recipe.yaml", words))
    assert not list(tmp_path.glob("bank*"))


@pytest.mark.parametrize(
    ("teacher", "match"),
    [
        ("third", r"has labels \('noise', 'music'\): expected \('noise', 'speech'\), the model's"),
        ("slower", "expected a teacher whose frames are the model's"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(folder, tmp_path, teacher, match):
    with pytest.raises(ValueError, match=match):
        run(folder, tmp_path, f"distill.teacher={folder / teacher}")


def test_no_teacher_no_word():
    model = registry.create("swishnet_test")
    assert teacher_of(DistillCfg(), model) is None
    assert teacher_of(DistillCfg(teacher="nowhere", weight=0.0), model) is None


def test_a_teacher_of_whole_clips_hears_what_its_pupil_hears():
    torch.manual_seed(0)
    teacher, model = (registry.create("esresnet_test").eval() for _ in range(2))
    cfg = clips.ClipAugmentCfg()
    waves = laws.noise(3, round(model.seconds * model.sample_rate), dtype=torch.float32)
    shares = torch.eye(len(model.labels))[:1].repeat(3, 1)
    soft = DistillCfg(teacher="t", weight=1.0, temperature=2.0)
    found = clips.objective_of(0.0, cfg, distill=soft, teacher=teacher)(
        model, (waves, shares)
    ).item()
    assert found == pytest.approx(soft_loss(model.clip(waves), teacher.clip(waves), soft).item())
    plain = clips.objective_of(0.0, cfg)(model, (waves, shares)).item()
    assert math.isfinite(plain) and plain != pytest.approx(found)


def test_classes_that_exclude_nothing_have_no_soft_targets():
    model = registry.create("esresnet_test", several=True)
    with pytest.raises(ValueError, match="with several classes a clip: expected a model that"):
        teacher_of(DistillCfg(teacher="t"), model)


def test_a_teacher_and_boxes_of_others_are_refused():
    cfg = {"augment": clips.ClipAugmentCfg(cutmix=0.5)}
    with pytest.raises(
        ValueError, match=r"distill.teacher=t and data.augment.cutmix=0.5: expected"
    ):
        recipes.ClipRecipeCfg(
            architecture="esresnet_test", data=ClipsCfg(**cfg), distill=DistillCfg(teacher="t")
        )
