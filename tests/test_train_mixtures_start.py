"""Training of separators and extractors from weights that are trained already."""

import pytest
import torch
from hums import recipe_of

from sepaudio import hub
from sepaudio.files import sha256
from sepaudio.training import recipe as recipes
from sepaudio.training.start import held
from sepaudio.verbs.train import train


@pytest.mark.parametrize(
    ("architecture", "parts"),
    [("mitas_test", ["tcn", "encoder"]), ("tsenet_test", ["speaker", "tcn", "decoder"])],
)
def test_a_run_goes_on_from_trained_weights(speakers, tmp_path, architecture, parts):
    """Frozen parts are what they were; without a step to speak of, so is the rest."""
    path = recipe_of(speakers, tmp_path, architecture)
    first = train(path, ["license=CC-BY-SA-4.0"], output=tmp_path / "first", quiet=True)
    more = ["optim.steps=2", "optim.lr=1e-9", "optim.weight_decay=0"]
    made = train(path, more, init=first, freeze=parts, output=tmp_path / "second", quiet=True)
    old, new = hub.load(first).state_dict(), hub.load(made).state_dict()
    for name, value in new.items():
        if held(name, parts):
            assert torch.equal(value, old[name])
        elif not name.startswith("decoder"):  # its level is fitted anew
            assert torch.allclose(value, old[name], atol=1e-7)
    config = hub.read_config(made)
    assert config["init"] == {
        "name": "first/model",
        "sha256": sha256(first / "model.safetensors"),
        "license": "CC-BY-SA-4.0",
        "new": [],
        "trained_on": ["hum"],
    }
    assert "is share-alike" in (made / "README.md").read_text()


def test_a_start_with_other_shapes_is_refused(speakers, tmp_path):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    first = train(path, ["optim.steps=1"], output=tmp_path / "first", quiet=True)
    with pytest.raises(ValueError, match=r"tcn.* is \[.*\] there, but \[.*leave tcn out"):
        train(path, ["model={tcn: {hidden: 5}}"], init=first, output=tmp_path / "2", quiet=True)
    with pytest.raises(ValueError, match=r"is absent there, but .* leave tcn out of the recipe's"):
        train(path, ["model={tcn: {sharing: none}}"], init=first, output=tmp_path / "2", quiet=True)


def test_what_comes_out_may_be_half_of_the_start(speakers, tmp_path):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    start = train(path, ["seed=5"], output=tmp_path / "start", quiet=True)
    more = [f"init={start}", "seed=6", "freeze=[decoder]"]
    ends = {}
    for share in (0.0, 0.5):
        here = tmp_path / str(share)
        run = train(path, [*more, f"start_share={share}"], output=here, quiet=True)
        ends[share] = hub.load(run).state_dict()
    before = hub.load(start).state_dict()
    assert any((ends[0.0][key] - before[key]).abs().max() > 1e-3 for key in before)
    for key, value in ends[0.5].items():
        torch.testing.assert_close(value, (before[key] + ends[0.0][key]) / 2)
    with pytest.raises(ValueError, match=r"start_share=0\.5 without init"):
        train(path, ["start_share=0.5"], output=tmp_path / "no", quiet=True)
    with pytest.raises(ValueError, match=r"start_share=1\.0: expected 0 or more, below 1"):
        recipes.read(path, ["start_share=1.0"])
