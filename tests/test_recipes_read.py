"""Recipe files: all of the project's can be read, and what is none is told."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from sepaudio import registry
from sepaudio.training import recipe as recipes


def test_what_is_no_recipe_is_told(tmp_path):
    (tmp_path / "text.yaml").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.yaml names no architecture: expected a recipe"):
        recipes.read(tmp_path / "text.yaml")
    with pytest.raises(ValueError, match="is no file: expected a recipe"):
        recipes.read(tmp_path)


def test_every_recipe_of_the_project_reads():
    found = sorted((Path(__file__).parent.parent / "recipes").rglob("*.yaml"))
    assert len(found) >= 35
    for path in found:
        cfg = recipes.read(path)
        with torch.device("meta"):
            assert registry.create(cfg.architecture, **cfg.model) is not None


def test_every_stage_of_real_small_reads(monkeypatch):
    folder = Path(__file__).parent.parent / "recipes" / "real_small"
    monkeypatch.syspath_prepend(folder)
    stages = runpy.run_path(str(folder / "train.py"))["RECIPES"]
    del sys.modules["stages"]
    assert {"mitas_small_unshared", "voices_small_manners", "tsenet_small_leftover"} <= set(stages)
    for recipe, own, fixed in stages.values():
        changes = [x for x in fixed if not x.startswith(("init=", "speaker="))]  # no run is here
        assert recipes.read(folder / f"{recipe}.yaml", [*own, *changes]).optim.steps > 0
