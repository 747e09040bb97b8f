"""A step in half precision whose arithmetic is compiled for a CUDA device."""

import pytest
import torch
from hums import recipe_of

from sepaudio import hub
from sepaudio.verbs.train import train


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # torch's own, of several kinds
def test_a_compiled_run_in_half_precision_trains(speakers, tmp_path):
    """Mixtures are made on the card between what is compiled: no shape of theirs is compiled for.

    So two steps of other draws, one of which is padded, cost no further compiling.
    """
    more = ["optim.compile=true", "optim.precision=bf16-mixed", "data.mix_on=device"]
    more += ["optim.steps=3", "optim.valid_every=0", "data.valid_items=2"]
    more += ["data.mixing.speeds=[0.9,1.0,1.1]", "data.mixing.noise=0"]
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    run = train(recipe_of(speakers, tmp_path, "mitas_test"), more, output=tmp_path / "run")
    assert all(torch.isfinite(x.float()).all() for x in hub.load(run).state_dict().values())
    traced = [str(key) for key in torch._dynamo.utils.counters["graph_break"]]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6, traced
