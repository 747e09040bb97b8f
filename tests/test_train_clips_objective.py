"""What is minimised on whole clips, and what a batch is."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from clip_folds import RATE, loaded, read

from sepaudio import registry
from sepaudio.data.clips import ClipAugmentCfg
from sepaudio.training import clips as module


def test_every_clip_is_heard_once_an_epoch(folds, tmp_path):
    recipe = read(folds, tmp_path)
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


def test_a_batch_is_a_pure_function_of_its_step(folds, tmp_path):
    recipe = read(folds, tmp_path)
    _, clips = loaded(recipe)
    x, shares = module.batch_at(clips, recipe.optim, recipe.data.augment, 0)(5, 0, 1)
    assert x.shape == (4, RATE) and shares.shape == (4, 2)
    assert torch.allclose(shares.sum(dim=1), torch.ones(4))
    other = module.batch_at(clips, recipe.optim, recipe.data.augment, 0)
    other(1, 0, 1)
    halves = [other(5, part, 2) for part in (1, 0)]
    assert torch.equal(halves[1][0], x[0::2]) and torch.equal(halves[0][0], x[1::2])
    assert not torch.equal(other(6, 0, 1)[0], x)


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


def test_operations_and_boxes_of_others_are_drawn_with_the_step(folds, tmp_path):
    """RandAugment on the samples, CutMix on the pictures: the same step, the same lesson."""
    recipe = read(folds, tmp_path, "data.augment.operations=2", "data.augment.cutmix=1.0")
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
