"""Optimisers, sharpness-aware steps, averaged weights and smoothed labels, by their formulas."""

import laws
import pytest
import torch
from little_runs import CFG, draw, fit, fresh
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sepaudio.backbones import backbone
from sepaudio.training.average import averaging
from sepaudio.training.classify import cross_entropy
from sepaudio.training.loop import Task
from sepaudio.training.optim import factor
from sepaudio.training.optimizers import (
    Muon,
    RMSProp,
    depthwise,
    optimizer_of,
    orthogonal,
    sharpened,
)
from sepaudio.training.recipe import OptimCfg


class Bowl(nn.Module):
    """Half of w' A w."""

    def __init__(self):
        super().__init__()
        root = laws.noise(4, 4)
        self.a = root @ root.T + torch.eye(4)
        self.w = nn.Parameter(laws.noise(4, seed=1))

    def forward(self):
        return 0.5 * self.w @ self.a @ self.w


def closure_of(model):
    def closure():
        model.zero_grad()
        loss = model()
        loss.backward()
        return loss

    return closure


def test_a_sharpened_gradient_is_that_of_higher_up():
    bowl = Bowl()
    w, g = bowl.w.detach().clone(), bowl.a @ bowl.w.detach()
    loss = sharpened(closure_of(bowl), bowl, 0.1)()
    laws.close(bowl.w.grad, bowl.a @ (w + 0.1 * g / g.norm()))
    assert torch.equal(bowl.w, w)  # to the last bit
    assert loss.item() == pytest.approx(0.5 * (w @ g).item())


def test_without_a_climb_it_is_the_base_optimizer():
    closure = closure_of(Bowl())
    assert sharpened(closure, Bowl(), 0.0) is closure


def test_statistics_are_those_of_the_first_pass_and_dropout_is_the_same_in_both():
    norm, seen = nn.BatchNorm1d(3), []
    x = laws.noise(8, 3, dtype=torch.float32)

    def closure():
        norm.zero_grad()
        y = nn.functional.dropout(norm(x))
        seen.append(y == 0)
        y.square().sum().backward()

    sharpened(closure, norm, 0.05, lambda: torch.manual_seed(0))()
    assert torch.equal(*seen)
    laws.close(norm.running_mean, 0.1 * x.mean(dim=0), 1e-5)
    assert norm.momentum == 0.1


def test_rmsprop_by_its_formula():
    p = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = RMSProp([p], lr=0.1, alpha=0.8, momentum=0.5, eps=0.3, weight_decay=0.01)
    w, v, b = 2.0, 1.0, 0.0
    for g in (1.0, -2.0, 0.5):
        p.grad = torch.full_like(p, g)
        optimizer.step()
        g += 0.01 * w
        v = 0.8 * v + 0.2 * g * g
        b = 0.5 * b + 0.1 * g / (v + 0.3) ** 0.5
        w -= b
        assert p.item() == pytest.approx(w, rel=1e-12)


def test_depthwise_filters_are_spared():
    net = backbone("mobilenet_v1", 1, 0.125, n_classes=2)  # a stem with one channel is none
    filters = depthwise(net)
    assert len(filters) == 13
    for spare, expected in ((True, 1 + 13 + 1), (False, 1 + 13 + 1 + 13)):
        cfg = OptimCfg(weight_decay=0.1, decay_depthwise=not spare)
        heavy, light = optimizer_of(net, cfg).param_groups
        assert len(heavy["params"]) == expected
        assert (heavy["weight_decay"], light["weight_decay"]) == (0.1, 0.0)
        both = [*heavy["params"], *light["params"]]
        assert sorted(map(id, both)) == sorted(map(id, net.parameters()))


@pytest.mark.parametrize("shape", [(3, 20, 50), (3, 50, 20), (2, 7, 7)])
def test_turned_matrices_keep_their_directions(shape):
    x = laws.noise(*shape)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    values = u.mT @ orthogonal(x).double() @ vh.mT
    within = values.diagonal(dim1=1, dim2=2)
    assert within.min() > 0.6
    assert within.max() < 1.25
    laws.close(values, torch.diag_embed(within), 1e-4)


def test_nothing_that_moves_is_turned_into_noise():
    assert torch.equal(orthogonal(torch.zeros(2, 4, 3)), torch.zeros(2, 4, 3))


@pytest.mark.parametrize("turning", [torch.float32, torch.bfloat16])
def test_muon_is_torchs_where_that_takes_the_weights(turning):
    """As close as torch's comes, which turns in bfloat16."""
    start = laws.noise(24, 16, dtype=torch.float32)
    ours, theirs = nn.Parameter(start[:, :, None].clone()), nn.Parameter(start.clone())
    numbers = {"lr": 0.01, "weight_decay": 0.1}
    one = Muon([{"params": [ours], "turned": True}], **numbers, turning=turning)
    other = torch.optim.Muon([theirs], **numbers, adjust_lr_fn="match_rms_adamw")
    for seed in range(5):
        theirs.grad = laws.noise(24, 16, seed=seed, dtype=torch.float32)
        ours.grad = theirs.grad[:, :, None].clone()
        one.step()
        other.step()
    moved = (theirs.detach() - start).norm()
    ours = ours.detach()[:, :, 0]
    assert (ours - theirs.detach()).norm() < 0.02 * moved
    assert (ours - start).norm().item() == pytest.approx(moved.item(), rel=0.02)


@pytest.mark.parametrize("replayed", [False, True])  # which only a CUDA device does
def test_what_muon_does_not_turn_is_adamws(replayed):
    start = laws.noise(9)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one = Muon([{"params": [ours]}], lr=0.1, weight_decay=0.01, replayed=replayed)
    other = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.01)
    for seed in range(4):
        ours.grad = theirs.grad = laws.noise(9, seed=seed)
        one.step()
        other.step()
    laws.close(ours, theirs, 1e-12)


def test_muon_goes_on_where_parameters_had_counted_steps():
    """So runs that were killed before the groups did go on."""
    ends = []
    for old in (False, True):
        p = nn.Parameter(laws.noise(9))
        one = Muon([{"params": [p]}], lr=0.1)
        for seed in range(4):
            p.grad = laws.noise(9, seed=seed)
            if seed == 2:
                state = one.state_dict()
                if old:
                    state["state"][0]["step"] = torch.tensor(state["param_groups"][0].pop("step"))
                one.load_state_dict(state)
            one.step()
        ends.append(p.detach().clone())
    assert torch.equal(*ends)


def test_muon_turns_what_mixes_channels():
    net = backbone("mobilenet_v1", 1, 0.125, n_classes=2)
    turned, heavy, light = optimizer_of(
        net, OptimCfg(optimizer="muon", weight_decay=0.1)
    ).param_groups
    assert len(turned["params"]) == 1 + 13 + 1  # the stem, pointwise convolutions, the head
    assert set(heavy["params"]) == depthwise(net)
    assert [group["weight_decay"] for group in (turned, heavy, light)] == [0.1, 0.1, 0.0]
    every = [*turned["params"], *heavy["params"], *light["params"]]
    assert sorted(map(id, every)) == sorted(map(id, net.parameters()))


@pytest.mark.parametrize(
    ("precision", "turning"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_muon_turns_in_what_the_steps_are_in(precision, turning):
    net = nn.Linear(3, 2)
    assert optimizer_of(net, OptimCfg(optimizer="muon", precision=precision)).turning == turning


class Killed(Exception):
    """As a kill, but in the same process."""


@pytest.mark.parametrize(
    "changes", [{"optimizer": "rmsprop", "sam": 0.05}, {"sam": 0.05}, {"optimizer": "muon"}]
)
def test_a_run_that_breaks_off_goes_on_to_the_same_weights(tmp_path, changes):
    cfg = OptimCfg(**{**vars(CFG), "steps": 6, **changes})
    whole = fit(tmp_path / "whole", cfg)

    def deadly(step, part, parts):
        if step == 3:
            raise Killed
        return draw(step, part, parts)

    with pytest.raises(Killed):
        fit(tmp_path / "broken", cfg, deadly)
    again = fit(tmp_path / "broken", cfg)
    plain = fit(tmp_path / "plain", OptimCfg(**{**vars(CFG), "steps": 6}))
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    pairs = zip(whole.parameters(), plain.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"optimizer": "sgd"}, "optimizer='sgd': expected one of adamw, adam, rmsprop, muon"),
        ({"sam": -1.0}, r"sam=-1\.0 with accumulate=1"),
        ({"sam": 0.1, "accumulate": 2}, r"sam=0\.1 with accumulate=2"),
        ({"sam": 0.1, "precision": "16-mixed"}, "precision='16-mixed': expected 0 or more"),
    ],
)
def test_bad_settings_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        OptimCfg(**changes)


def test_averaged_weights_by_their_closed_form(tmp_path):
    """And as torch averages; statistics of norms are averaged with them."""
    task = Task(fresh(), cross_entropy(0.0), OptimCfg(ema=0.9), 0, tmp_path)
    theirs = AveragedModel(task.averaged, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged.fill_(1)
    first = {k: v.clone() for k, v in task.averaged.state_dict().items()}
    with torch.no_grad():
        for value in task.model.state_dict().values():
            if value.is_floating_point():
                value.add_(1 + torch.rand_like(value))
    average = averaging(task.averaged, task.model)
    for _ in range(5):
        average(0.9)
        theirs.update_parameters(task.model)
    for key, now in task.averaged.state_dict().items():
        if now.is_floating_point():
            end = task.model.state_dict()[key]
            torch.testing.assert_close(now, end + 0.9**5 * (first[key] - end))
            torch.testing.assert_close(now, theirs.module.state_dict()[key])


class Given(nn.Module):
    """Logits as they are."""

    cfg = None

    def clip_logits(self, x):
        return x


def test_smoothed_labels_by_their_gradient():
    logits = laws.noise(6, 4).requires_grad_()
    labels = torch.arange(6) % 4
    cross_entropy(0.1)(Given(), (logits, labels)).backward()
    q = 0.9 * torch.eye(4, dtype=logits.dtype)[labels] + 0.1 / 4
    laws.close(logits.grad, (logits.softmax(dim=1) - q).detach() / 6)
    least = q.log().requires_grad_()
    cross_entropy(0.1)(Given(), (least, labels)).backward()
    assert least.grad.abs().max() < 1e-12  # the least loss is where the softmax is q
    plain = nn.functional.cross_entropy(logits, labels)
    laws.close(cross_entropy(0.0)(Given(), (logits, labels)), plain)


def test_the_published_schedule():
    cfg = OptimCfg(schedule="esresnet", epoch_steps=20, steps=6000, lr=2.5e-4)
    at = {e: cfg.lr * factor(cfg, 20 * e) for e in (0, 5, 14, 15, 50, 100, 299)}
    assert [at[e] for e in (0, 5, 14, 15)] == pytest.approx([2.5e-5, 4.75e-5, 2.5e-4, 2.5e-4])
    assert at[50] == pytest.approx(1.473e-4, rel=1e-3)
    assert at[100] == pytest.approx(6.92e-5, rel=1e-3)
    assert at[299] == pytest.approx(3.42e-6, rel=1e-3)
    assert factor(cfg, 19) == factor(cfg, 0)
    with pytest.raises(ValueError, match="epoch_steps=0"):
        OptimCfg(schedule="esresnet")
