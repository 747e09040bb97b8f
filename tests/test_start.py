"""Parts that are frozen: weights, statistics of norms, and what the model says of them."""

import pytest
import torch
from little_runs import CFG

from sepaudio import hub, registry
from sepaudio.training.classify import cross_entropy
from sepaudio.training.loop import run
from sepaudio.training.start import freeze, held


def draw(step, part, parts):
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(2, (8,), generator=generator)
    x = torch.randn(8, 16, 40, generator=generator) + 2.0 * labels[:, None, None] - 1
    return x[part::parts], labels[part::parts]


def test_statistics_of_frozen_norms_stand_still(tmp_path):
    model = registry.create("spectrogram_test")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    frozen = ["backbone.stem", "backbone.stages.0"]
    made = run(
        model,
        draw,
        cross_entropy(0.0),
        CFG,
        seed=1,
        folder=tmp_path,
        resolved="",
        frozen=frozen,
        quiet=True,
    )
    after = made.state_dict()
    still = {name for name in after if torch.equal(before[name], after[name])}
    assert still >= {name for name in after if held(name, frozen)}
    assert not any(held(name, ["backbone.blocks.1", "backbone.afters.0"]) for name in still)


def test_a_part_is_meant_whole(tmp_path):
    model = registry.create("swishnet_test")
    with pytest.raises(ValueError, match="freeze='ste': the model has no such part"):
        freeze(model, ["ste"])
    modules = freeze(model, ["head.2.bias"])
    assert modules == []
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name, _ in model.named_parameters()} - learning == {"head.2.bias"}


def test_all_that_weights_were_trained_on_is_told():
    """What the first of a row of runs heard is in the weights of the last one."""
    first = {"trained_on": ["a", "b"]}
    second = {"trained_on": ["b", "c"], "init": {"name": "first", **first}}
    third = {"trained_on": ["d"], "init": {"name": "second", **second}}
    assert hub.trained_on(third) == ["a", "b", "c", "d"]
    assert hub.trained_on(first) == ["a", "b"]
    assert hub.trained_on({"init": {"name": "of elsewhere"}}) == []


def test_cards_of_shipped_weights_name_all_that_was_heard():
    for name in ("one_speaker", "two_speakers"):
        card = (hub.SHIPPED / name / "README.md").read_text()
        heard = hub.trained_on(hub.about(name))
        assert len(heard) > 20 and all(f"\n- {origin}\n" in card for origin in heard)
