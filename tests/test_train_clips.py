"""Training on whole clips with folds: what is heard, killing and going on, what comes out."""

import numpy as np
import pytest
import torch
from clip_folds import RATE, loaded, read

from sepaudio import hub
from sepaudio.training import clips as module
from sepaudio.training.loop import best
from sepaudio.verbs.classify import classify
from sepaudio.verbs.train import rehearse, train


def test_what_is_left_out_is_never_learned_from(folds, tmp_path):
    recipe = read(folds, tmp_path)
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


@pytest.mark.parametrize("kill", [2, 5, 7])
def test_a_killed_run_goes_on_to_the_same_weights(folds, tmp_path, monkeypatch, kill):
    recipe = read(folds, tmp_path)

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


def test_last_and_best_are_named_apart(folds, tmp_path):
    made = train(
        folds / "recipe.yaml",
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


def test_a_validation_fold_calibrates(folds, tmp_path):
    more = ["data.valid_fold=1", f"data.shelf={tmp_path / 'shelf'}"]
    made = train(folds / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    judged = hub.read_config(made)["judged"]
    assert judged["on"] == "valid" and judged["temperature"] != 1
    assert "Fold 2 was left out to test; fold 1 validated." in (made / "README.md").read_text()


def test_a_shuffled_split_is_refused_unless_asked_for(folds, tmp_path, capfd):
    lines = (folds / "manifest.csv").read_text().replace("x,test,3", "x,train,3").splitlines()
    lines[1] = lines[1].replace("train,1", "test,1")
    lines = [lines[0], *(f"{folds}/{line}" for line in lines[1:])]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    more = [f"data.manifests=[{tmp_path / 'm.csv'}]", f"data.shelf={tmp_path / 'shelf'}"]
    more += ["data.fold=0", "optim.steps=2"]
    with pytest.raises(ValueError, match="fold 1 lies in the splits test, train"):
        train(folds / "recipe.yaml", more, output=tmp_path / "run", quiet=True)
    made = train(
        folds / "recipe.yaml", [*more, "data.folds=shuffled"], output=tmp_path / "run", quiet=True
    )
    assert "accuracy comes out too high" in capfd.readouterr().err
    assert hub.read_config(made)["recipe"]["data"]["folds"] == "shuffled"
    assert "was left out" not in (made / "README.md").read_text()


def test_a_dry_run_tells_data_disk_and_time(folds, tmp_path):
    more = [f"data.shelf={tmp_path / 'shelf'}"]
    text = "\n".join(rehearse(folds / "recipe.yaml", more, output=tmp_path / "run"))
    assert "12 rows" in text and "GB for decoded recordings" in text and "for 8 steps" in text
    assert not list(tmp_path.iterdir())


def test_a_class_without_clips_is_named(folds, tmp_path):
    lines = (folds / "manifest.csv").read_text().splitlines()
    lines = [f"{folds}/{x}" for x in lines[1:] if x.startswith("noise") or x.endswith(",2")]
    (tmp_path / "m.csv").write_text("path,kind,license,source,split,fold\n" + "\n".join(lines))
    recipe = read(folds, tmp_path, f"data.manifests=[{tmp_path / 'm.csv'}]")
    with pytest.raises(ValueError, match="no clip of class 'speech' to train on"):
        loaded(recipe)
