"""Steps that are recorded on a CUDA device: what they give is what they would give."""

import pytest
import torch
from conftest import OTHER
from hums import recipe_of
from torch import nn

from sepaudio import hub, registry
from sepaudio.training import mixtures as module
from sepaudio.training import recipe as recipes
from sepaudio.training.graph import Recorded
from sepaudio.training.optimizers import Muon
from sepaudio.verbs.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS, but there was no current CUDA"),
]


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_recorded_steps_learn_what_others_learn(speakers, tmp_path, bf16):
    """Weights that change between replays are read anew, in half precision too."""
    path = recipe_of(speakers, tmp_path, "tsenet_fourier_test")
    cfg = recipes.read(path, ["data.mix_on=device", "presence=1.0", "data.mixing.absent=0.3"])
    found = []
    for graph in (False, True):
        torch.manual_seed(0)
        model = registry.create("tsenet_fourier_test").to(OTHER)
        judge = module.helper_of(model, cfg).to(OTHER)
        objective = module.objective_of(model, cfg, judge)
        objective = Recorded(objective, [model, judge]) if graph else objective
        draw, objective = module.lesson(module.mixers(cfg, model)[0], objective, cfg)
        own = [p for m in (model, judge) for p in m.parameters() if p.requires_grad]
        optimizer, losses = torch.optim.SGD(own, lr=1e-3), []
        for step in range(5):
            packed = draw(step, 0, 1)
            there = {k: v.to(OTHER) if torch.is_tensor(v) else v for k, v in packed.items()}
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
                loss = objective(model, there)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append(losses)
    assert len(set(found[1])) == 5
    assert found[1] == pytest.approx(found[0], abs=0.5 if bf16 else 2e-2)  # dB


@pytest.mark.parametrize("clip_norm", [1e9, 1e-3])
def test_lent_gradients_are_clipped_and_new_at_every_call(clip_norm):
    net = nn.Linear(4, 2).to(OTHER)
    lends = Recorded(lambda model, x: model(x).square().sum(), [net], clip_norm)
    for _ in range(3):
        x = torch.randn(3, 4, device=OTHER)
        net(x).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), clip_norm)
        expected = [p.grad.clone() for p in net.parameters()]
        net.zero_grad()
        lends(net, x).backward()
        for p, gradient in zip(net.parameters(), expected, strict=True):
            assert torch.allclose(p.grad, gradient, rtol=1e-3, atol=1e-3 * clip_norm)
            with torch.no_grad():
                p.sub_(0.1 * p.grad)
        net.zero_grad()


@pytest.mark.parametrize("turning", [torch.float32, torch.bfloat16])
def test_muons_replayed_steps_are_its_steps(turning):
    """At every learning rate, and from the step on that a checkpoint holds."""
    ends = []
    for replayed in (False, True):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv1d(6, 8, 1), nn.Conv1d(8, 6, 1), nn.PReLU()).to(OTHER)
        groups = [{"params": list(net.parameters())[0:3:2], "turned": True}]
        groups.append({"params": [p for p in net.parameters() if p.ndim == 1]})
        one = Muon(groups, lr=0.02, weight_decay=0.1, turning=turning, replayed=replayed)
        lent = {p: torch.zeros_like(p) for p in net.parameters()}
        for step in range(7):
            for p, gradient in lent.items():
                p.grad = gradient.copy_(torch.randn(p.shape))
            for group in one.param_groups:
                group["lr"] = 0.02 / (1 + step)
            if step == 5:
                one.load_state_dict(one.state_dict())
            one.step()
        assert one.param_groups[1]["step"] == 7
        ends.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.allclose(*ends, rtol=1e-4, atol=1e-5)


def test_more_shapes_of_batches_than_are_recorded_are_told():
    net = nn.Linear(4, 1).to(OTHER)
    one = Recorded(lambda model, x: model(x).sum(), [net])
    with pytest.raises(ValueError, match=r"^optim.graph=true: batches have more than 4 shapes"):
        for n in range(1, 7):
            one(net, torch.ones(n, 4, device=OTHER))


def test_what_recording_draws_and_counts_is_undone():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)).to(OTHER)
    drawn = []

    def objective(model, batch):
        return model(batch).square().sum()

    x = torch.randn(6, 4, device=OTHER)
    for step in (objective, Recorded(objective, [net]), Recorded(objective, [net])):
        net[1].reset_running_stats()
        torch.manual_seed(3)
        losses = [step(net, x).item() for _ in range(2)]
        drawn.append((*losses, net[1].running_mean.clone(), int(net[1].num_batches_tracked)))
    assert drawn[0][0] != drawn[0][1]  # dropout differs from step to step
    for losses in drawn[1:]:
        assert losses[:2] == pytest.approx(drawn[1][:2])  # a seed is a seed
        assert losses[0] == pytest.approx(drawn[0][0])
        assert torch.allclose(losses[2], drawn[0][2])
        assert losses[3] == drawn[0][3] == 2


def test_an_objective_that_waits_for_a_number_is_told():
    net = nn.Linear(4, 1).to(OTHER)
    waits = Recorded(lambda model, x: model(x).sum() * float(x.sum()), [net])
    with pytest.raises(ValueError, match=r"^optim.graph=true: this recipe's steps cannot be"):
        waits(net, torch.ones(2, 4, device=OTHER))
    dropped = nn.functional.dropout(torch.ones(1000, device=OTHER))  # what comes after still draws
    assert 300 < (dropped == 0).sum().item() < 700


@pytest.mark.parametrize(
    "more",
    [[], ["optim.accumulate=2"], ["optim.optimizer=muon"], ["optim.clip_ratio=0.01"]],
    ids=["adamw", "accumulate", "muon", "clip_ratio"],
)
def test_a_recorded_run_ends_where_another_does(speakers, tmp_path, more):
    path = recipe_of(speakers, tmp_path, "mitas_test")
    more = ["data.mix_on=device", "optim.steps=6", "data.mixing.noise=0", *more]
    ends = [
        hub.load(train(path, [*more, *graph], output=tmp_path / f"run{len(graph)}", quiet=True))
        for graph in ([], ["optim.graph=true"])
    ]
    one, other = (torch.cat([x.flatten() for x in net.state_dict().values()]) for net in ends)
    assert (one - other).norm() < 1e-2 * one.norm()
