"""Learning by more than labels: companion heads, a teacher's hints, the worst of some copies."""

from dataclasses import replace
from types import SimpleNamespace

import laws
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sepaudio import hub, registry
from sepaudio.backbones import backbone, companions
from sepaudio.data.clips import ClipAugmentCfg
from sepaudio.frontends import mel_cfg
from sepaudio.losses import with_auxiliary
from sepaudio.models.spectrogram import SpectrogramCfg, SpectrogramClassifier
from sepaudio.training import classify, clips, recipe
from sepaudio.training.bank import Bank
from sepaudio.training.hints import HintRegressor, hint_loss, hinted, listening, worst
from sepaudio.training.optim import OptimCfg
from sepaudio.training.recipe import ClipRecipeCfg, HintCfg, RecipeCfg
from sepaudio.verbs.train import describe

OPTIM = OptimCfg(steps=4, batch=8, lr=1e-2, warmup=1, lengths=(0.2, 0.3), save_every=0.0)


def noisy_bank(n=32, bands=16, frames=40):
    """Items whose class is the sign of their mean."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    x = random.standard_normal((n, bands, frames)) + 2 * labels[:, None, None] - 1
    return Bank(
        features=x.astype(np.float16),
        active=np.ones((n, frames), bool),
        labels=labels.astype(np.int64),
        edges=np.full(n, 500, np.float32),
        origins=np.zeros((n, 2), np.int64),
        names=("ours",),
        fingerprint="none",
    )


def tones(labels=(0, 1) * 4, samples=1000):
    """Decoded clips: tones and noise."""
    random = np.random.default_rng(0)
    time = np.arange(samples)
    made = [
        np.sin(0.1 * (3 + i) * time) if label else random.standard_normal(samples)
        for i, label in enumerate(labels)
    ]
    shelf = SimpleNamespace(
        take=lambda i: (0.1 * made[i]).astype(np.float32), rows=[], left_out=(), sample_rate=1000
    )
    parts = {"train": list(range(len(labels))), "valid": [], "test": []}
    return clips.Clips(shelf, np.eye(2, dtype=np.float32)[list(labels)], parts, samples)


def small(**changes):
    torch.manual_seed(0)
    return registry.create("spectrogram_test", **changes)


@pytest.fixture
def teacher(tmp_path):
    """A wider network, saved."""
    return str(hub.save(small(multiplier=0.5), tmp_path / "teacher", card="", license="CC0-1.0"))


# companions


def test_companions_hear_every_stage_but_the_last():
    net = backbone("mobilenet_v1", 3, 0.125)
    heads = companions(net, 5)
    assert len(heads) == len(net.stages) - 1
    net.auxiliary = heads
    _, logits = net.heard(torch.randn(2, 3, 32, 40))
    assert [y.shape for y in logits] == [(2, 5)] * len(heads)


def test_companions_change_no_decision_and_teach_every_stage():
    model = small(companions=True).double().eval()
    bare = small().double().eval()
    state = {k: v for k, v in model.state_dict().items() if "auxiliary" not in k}
    bare.load_state_dict(state)
    x = laws.noise(2, 16, 40)
    assert torch.equal(model.clip_logits(x), bare.clip_logits(x))
    main, *others = model.all_logits(x)
    assert torch.equal(main, model.clip_logits(x))
    assert len(others) == len(model.backbone.stages) - 1
    for i, y in enumerate(others):
        model.zero_grad(set_to_none=True)
        y.sum().backward(retain_graph=True)
        stages = model.backbone.stages
        taught = [any(p.grad is not None for p in stage.parameters()) for stage in stages]
        assert taught == [n <= i for n in range(len(stages))]


def test_companions_count_by_their_weight_above_the_floor():
    logits, labels = [laws.noise(4, 3, seed=i) for i in range(3)], torch.tensor([0, 2, 1, 1])
    main, *others = (F.cross_entropy(y, labels) for y in logits)
    floor = float(sum(others)) / 2  # above one of them, below the other
    found = with_auxiliary(logits, labels, weight=0.7, floor=floor)
    torch.testing.assert_close(found, main + 0.7 * (max(others) - floor))
    plain = with_auxiliary(logits, labels, weight=0.0)
    torch.testing.assert_close(plain, main)


def test_a_recipe_weighs_its_companions():
    model, bank = small(companions=True).eval(), noisy_bank()

    def loss(**changes):
        cfg = RecipeCfg(architecture="spectrogram_test", optim=replace(OPTIM, **changes))
        draw, objective = classify.lesson(model, bank, cfg)
        return objective(model, draw(0, 0, 1)).item()

    assert loss(auxiliary=0.0) == pytest.approx(loss(auxiliary=0.3, auxiliary_floor=1e3))
    gains = [loss(auxiliary=w) - loss(auxiliary=0.0) for w in (0.5, 1.0)]
    assert gains[1] == pytest.approx(2 * gains[0], rel=1e-3) and gains[0] > 0


def test_one_kind_of_other_heads_at_a_time():
    with pytest.raises(ValueError, match="auxiliary=True with companions=True: expected one of"):
        SpectrogramCfg(auxiliary=True, companions=True)
    with pytest.raises(ValueError, match=r"auxiliary=-1, auxiliary_floor=0.0: expected 0 or more"):
        OptimCfg(auxiliary=-1)


def test_a_classifier_with_companions_is_saved_and_trains(tmp_path):
    model = small(companions=True)
    cfg = RecipeCfg(architecture="spectrogram_test", optim=OPTIM)
    made = classify.fit(model, noisy_bank(), noisy_bank(), cfg, tmp_path / "run", quiet=True).model
    folder = hub.save(made, tmp_path / "model", card="", license="CC0-1.0")
    x = torch.randn(1, 16, 30)
    assert torch.equal(hub.load(folder).clip_logits(x), made.clip_logits(x))


# hints


@pytest.mark.parametrize(
    ("guided", "hint", "kernel"),
    [
        ((2, 4, 8, 10), (2, 6, 8, 10), (1, 1)),
        ((2, 4, 8, 10), (2, 6, 4, 5), (5, 6)),
        ((2, 4, 10), (2, 6, 7), (1, 4)),
    ],
)
def test_a_regressor_gives_the_shape_of_the_hint(guided, hint, kernel):
    net = HintRegressor(torch.zeros(guided), torch.zeros(hint))
    assert net.conv.weight.shape == (6, 4, *kernel)
    wanted = hint if len(hint) == 4 else (*hint[:2], 1, hint[2])
    assert net(torch.randn(guided)).shape == wanted


def test_a_student_with_smaller_maps_is_refused():
    with pytest.raises(ValueError, match=r"student's maps are \[4, 10\], the teacher's \[8, 10\]"):
        HintRegressor(torch.zeros(1, 2, 4, 10), torch.zeros(1, 2, 8, 10))


def test_the_loss_of_a_hint_is_half_the_mean_square():
    guess, hint = laws.noise(2, 3, 4, 5), laws.noise(2, 3, 4, 5, seed=1)
    torch.testing.assert_close(hint_loss(guess, hint), 0.5 * (guess - hint).square().mean())
    assert hint_loss(guess, guess) == 0
    steady = torch.ones(2, 3, 4, 7, dtype=torch.float64)  # of another length: the mean stays
    assert hint_loss(steady[..., :5], steady) == 0


def test_a_part_is_listened_to_and_a_wrong_one_named():
    model = small().eval()
    x = torch.randn(1, 16, 40)
    with listening(model, "backbone.stages.1") as heard:
        model.clip_logits(x)
    assert len(heard) == 1 and heard[0].ndim == 4
    model.clip_logits(x)
    assert len(heard) == 1
    with (
        pytest.raises(ValueError, match=r"no part of Spec.* called 'backbone.stage.1'; did you"),
        listening(model, "backbone.stage.1"),
    ):
        pass


@pytest.mark.parametrize("alone", [False, True])
def test_an_objective_with_hints(teacher, alone):
    model = small().train()
    batch = torch.randn(4, 16, 40), torch.tensor([0, 1, 0, 1])
    cfg = HintCfg(teacher=teacher, of="backbone.stages.1", at="backbone.stages.1", alone=alone)
    plain = classify.cross_entropy(0.0)
    statistics = {k: v.clone() for k, v in model.named_buffers()}
    objective, regressor = hinted(plain, model, batch, cfg, classify.hear)
    assert all(torch.equal(v, statistics[k]) for k, v in model.named_buffers())
    model.eval()
    wise = hub.load(teacher)
    with listening(model, cfg.at) as mine, listening(wise, cfg.of) as theirs:
        labels = plain(model, batch)
        wise.clip_logits(batch[0])
    hint = hint_loss(regressor(mine[0]), theirs[0])
    loss = objective(model, batch)
    torch.testing.assert_close(loss, hint if alone else labels + hint)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in regressor.parameters())
    guided = [p.grad.abs().sum() > 0 for p in model.backbone.stages[1].parameters()]
    assert all(guided)
    head = [p.grad.abs().sum() > 0 for p in model.head[-1].parameters()]
    assert head == [not alone] * 2


def test_guided_by_hints_a_classifier_comes_to_guess_them(teacher, tmp_path):
    bank, batch = noisy_bank(), (torch.randn(8, 16, 30), torch.zeros(8, dtype=torch.int64))
    hint = HintCfg(teacher=teacher, of="backbone.stages.1", at="backbone.stages.1", alone=True)
    cfg = RecipeCfg(
        architecture="spectrogram_test", optim=replace(OPTIM, steps=15, lr=2e-2, ema=0.0), hint=hint
    )
    model = small()
    torch.manual_seed(1)
    before, _ = hinted(None, model, batch, hint, classify.hear)
    first = before(small().eval(), batch).item()
    made = classify.fit(model, bank, bank, cfg, tmp_path / "run", quiet=True)
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["state_dict"]
    after, regressor = hinted(None, made.model, batch, hint, classify.hear)
    learned = {k: checkpoint[f"helper.{k}"] for k in regressor.state_dict()}
    regressor.load_state_dict(learned)  # it is saved with the run, but is no part of the model
    assert after(made.model, batch).item() < 0.7 * first
    assert not any(key == "conv.weight" for key in made.model.state_dict())


def test_a_run_with_hints_that_was_killed_goes_on(teacher, tmp_path, monkeypatch):
    bank = noisy_bank()
    hint = HintCfg(teacher=teacher, of="backbone.stages.1", at="backbone.stages.1")
    cfg = RecipeCfg(architecture="spectrogram_test", optim=OPTIM, hint=hint)

    def run(name):
        return classify.fit(small(), bank, bank, cfg, tmp_path / name, quiet=True).model

    def deadly(*arguments):
        draw, calls = draw_of(*arguments), []

        def drawn(step, *part):
            calls.append(step)
            if step == 2 and len(calls) > 1:
                raise SystemError("killed")
            return draw(step, *part)

        return drawn

    torch.manual_seed(0)
    whole, draw_of = run("whole"), classify.batch_at
    with monkeypatch.context() as patch:
        patch.setattr(classify, "batch_at", deadly)
        with pytest.raises(SystemError, match="killed"):
            run("killed")
    resumed = run("killed")
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_recipe_names_its_teacher(teacher, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"architecture: spectrogram_test\nhint: {{teacher: {teacher}, of: head, at: head}}\n"
    )
    read = recipe.read(path, ["hint.weight=0.5"])
    assert read.hint == HintCfg(teacher=teacher, of="head", at="head", weight=0.5)
    assert describe(read, ())["recipe"]["hint"]["teacher"] == "teacher"  # no path of a machine
    with pytest.raises((ValueError, OSError), match="nowhere"):
        recipe.read(path, ["hint.teacher=nowhere"])
    resolved = recipe.to_yaml(read)
    assert f"# hint: {hub.about(teacher)['sha256']}\n" in resolved
    with pytest.raises(ValueError, match=r"hint.of='head', hint.at='': expected the names"):
        HintCfg(teacher=teacher, of="head")
    with pytest.raises(ValueError, match=r"hint.weight=0: expected more than 0"):
        HintCfg(weight=0)


# copies


def test_the_worst_copy_of_each_clip_counts():
    losses = torch.tensor([1.0, 5.0, 3.0, 2.0, 0.0, 4.0], requires_grad=True)
    assert worst(losses, 1) == losses.mean()
    assert worst(losses, 2) == (5 + 3 + 4) / 3
    worst(losses, 3).backward()
    assert losses.grad.tolist() == [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]


AUGMENT = ClipAugmentCfg(roll=0.5, gain_db=6.0, reverse=0.5)


def test_one_copy_is_plain_training_and_more_are_drawn_beside_it():
    optim = replace(OPTIM, batch=3)
    plain, shares = clips.batch_at(tones(), optim, AUGMENT, 0)(5, 0, 1)
    x, often = clips.batch_at(tones(), optim, replace(AUGMENT, copies=4), 0)(5, 0, 1)
    assert x.shape == (12, 1000) and torch.equal(x[::4], plain)
    assert torch.equal(often, shares.repeat_interleave(4, dim=0))
    assert not any(torch.equal(x[i], x[i + 1]) for i in (0, 1, 4, 5))


def test_the_objective_is_that_of_the_worst_copies():
    torch.manual_seed(0)
    model = registry.create("esresnet_test", channels=1, seconds=1.0).eval()
    batch = clips.batch_at(tones(), OPTIM, replace(AUGMENT, copies=2), 0)(0, 0, 1)
    logits = model(batch[0])
    each = F.cross_entropy(logits, batch[1], reduction="none")
    found = clips.objective_of(0.0, replace(AUGMENT, copies=2))(model, batch)
    torch.testing.assert_close(found, each.view(-1, 2).amax(dim=1).mean())
    one = clips.objective_of(0.1, AUGMENT)(model, batch)
    smooth = F.cross_entropy(logits, batch[1], label_smoothing=0.1)
    torch.testing.assert_close(one, smooth)


def test_a_recipe_asks_for_copies_and_hints(tmp_path):
    with pytest.raises(ValueError, match="copies=0: expected 1 or more of both"):
        ClipAugmentCfg(copies=0)
    torch.manual_seed(0)
    changes = {"channels": 1, "seconds": 1.0}
    wise = registry.create("esresnet_test", **changes)
    at = "backbone.stages.1"
    hint = HintCfg(
        teacher=str(hub.save(wise, tmp_path / "wise", card="", license="CC0-1.0")), of=at, at=at
    )
    path = tmp_path / "recipe.yaml"
    path.write_text("architecture: esresnet_test\ndata: {augment: {copies: 2, boxes: 1}}\n")
    cfg = recipe.read(path)
    assert isinstance(cfg, ClipRecipeCfg) and cfg.data.augment.copies == 2
    cfg = replace(cfg, optim=replace(OPTIM, steps=2), hint=hint)
    model = registry.create("esresnet_test", **changes)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    made, _ = clips.fit(model, tones(), cfg, tmp_path / "run", quiet=True)
    assert not torch.equal(made.head.weight, before["head.weight"])
    assert all(torch.isfinite(v).all() for v in made.state_dict().values())


def test_hints_pass_between_pictures_and_between_frames():
    """A teacher of pictures and one of frames: both have parts that can be guided."""
    torch.manual_seed(0)
    frames = registry.create("slicenet_test").eval()
    with listening(frames, "trunk.blocks.0") as heard:
        frames.clip_logits(torch.randn(2, 8, 20))
    assert HintRegressor(heard[0], heard[0][:, :3])(heard[0]).shape == (2, 3, 1, 20)


def test_a_classifier_of_another_picture_has_companions_too():
    cfg = SpectrogramCfg(
        features=mel_cfg("psf", 1000, n_mels=32), backbone="resnet18", multiplier=0.125,
        companions=True,
    )  # fmt: skip
    model = SpectrogramClassifier(cfg)
    assert len(model.all_logits(torch.randn(2, 32, 40))) == len(model.backbone.stages)
