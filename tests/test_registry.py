"""Names, cfgs and what they refuse."""

import dataclasses
import json

import pytest
import torch

from sepaudio import registry
from sepaudio.models.swishnet import SwishNetCfg


@pytest.mark.parametrize("name", registry.names(tests=True))
def test_a_cfg_survives_json(name):
    cfg = registry.config(name)
    assert registry.from_dict(json.loads(json.dumps(registry.to_dict(cfg)))) == cfg


def test_a_cfg_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.config("swishnet_slim").width = 3


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="no model is called 'swishnet_slm'; did you mean 'swi"):
        registry.create("swishnet_slm")
    with pytest.raises(ValueError, match="no SwishNetCfg value is called 'widht'; did you mean"):
        registry.create("swishnet_slim", widht=2)
    with pytest.raises(ValueError, match="no cfg type is called 'Nothing'"):
        registry.from_dict({"type": "Nothing"})
    with pytest.raises(ValueError, match="no SwishNetCfg value is called 'depth'"):
        registry.from_dict({"type": "SwishNetCfg", "depth": 3})


def test_test_cfgs_are_not_listed():
    assert not [name for name in registry.names() if name.endswith("_test")]


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="width=0: expected 1"):
        SwishNetCfg(width=0)
    with pytest.raises(ValueError, match="expected two classes or more"):
        SwishNetCfg(labels=("speech",))


def test_values_of_a_cfg_inside_a_cfg_are_changed_by_name():
    cfg = registry.config("swishnet_slim", features={"n_mels": 40}, labels=["a", "b"])
    assert (cfg.features.n_mels, cfg.features.n_mfcc, cfg.labels) == (40, 20, ("a", "b"))
    with pytest.raises(ValueError, match="no MelCfg value is called 'n_mel'; did you mean"):
        registry.config("swishnet_slim", features={"n_mel": 40})


def test_the_readme_states_the_counts_of_the_models():
    import re
    from pathlib import Path

    text = (Path(__file__).parent.parent / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, flags=re.MULTILINE)
    assert len(rows) == 25
    for name, stated in rows:
        with torch.device("meta"):
            found = sum(p.numel() for p in registry.create(name).parameters())
        assert f"{found:,}" == stated, name
    families = {re.sub(r"_(causal|16k|causal_16k)$", "", name) for name in registry.names()}
    assert families == {name for name, _ in rows}
