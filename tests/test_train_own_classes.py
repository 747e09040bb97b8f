"""Training on classes of one's own: a new head, and folders in the place of a manifest."""

import pytest
import torch
from clip_folds import sounds

from sepaudio import hub
from sepaudio.data import manifest
from sepaudio.verbs.train import rehearse, train


def test_other_classes_get_a_new_head_on_a_frozen_trunk(folds, tmp_path):
    shelf = f"data.shelf={tmp_path / 'shelf'}"
    first = train(
        folds / "recipe.yaml", [shelf, "optim.steps=2"], output=tmp_path / "a", quiet=True
    )
    more = [shelf, "optim.steps=2", 'model={"labels": ["speech", "noise"]}', "seed=9"]
    parts = ["backbone", "attention"]
    options = {"init": first, "freeze": parts, "output": tmp_path / "b"}
    made = train(folds / "recipe.yaml", more, **options, quiet=True)
    old, new = hub.load(first).state_dict(), hub.load(made).state_dict()
    assert {n for n in new if not torch.equal(old[n], new[n])} == {"head.weight", "head.bias"}
    assert hub.load(made).labels == ("speech", "noise")


def test_a_folder_of_class_folders_is_data(folds, tmp_path):
    root = sounds(folds, tmp_path / "my sounds", tone=("speech", 6), hiss=("noise", 3))
    more = [f"data.shelf={tmp_path / 'shelf'}", "data.fold=0", "optim.steps=2", f"data={root}"]
    assert rehearse(folds / "recipe.yaml", more, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made = train(folds / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    assert hub.load(made).labels == ("hiss", "tone")
    rows = manifest.read(tmp_path / "run" / "data.csv")
    assert {(row.path.parent.name, row.kind) for row in rows} == {
        ("hiss", "hiss"),
        ("tone", "tone"),
    }
    mine = [*more, 'model={"labels": ["tone", "hiss"]}']
    made = train(folds / "recipe.yaml", mine, output=tmp_path / "mine", quiet=True)
    assert hub.load(made).labels == ("tone", "hiss")


def test_a_folder_that_cannot_be_learned_from_is_refused(folds, tmp_path):
    root = sounds(folds, tmp_path / "sounds", tone=("speech", 6), hiss=("noise", 1))
    out = {"output": tmp_path / "run", "quiet": True}
    with pytest.raises(ValueError, match="hiss has 1 recordings: expected 3 or more"):
        train(folds / "recipe.yaml", [f"data={root}"], **out)
    (root / "hiss" / "none.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none.wav is empty .*data.on_bad=skip"):
        train(folds / "recipe.yaml", [f"data={root}"], **out)
    with pytest.raises(ValueError, match="expected one folder, which holds a folder for every"):
        train(folds / "recipe.yaml", [f"data={root / 'no'}"], **out)
