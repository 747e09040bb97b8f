"""Recipe files: all of the project's can be read, and what is none is told."""

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
