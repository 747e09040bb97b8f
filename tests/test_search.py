"""Differentiable search: what a choice weighs, what a table says, which network is found."""

import itertools
from dataclasses import replace
from pathlib import Path

import laws
import pytest
import torch
from torch import nn

from sepaudio import registry
from sepaudio.backbones import InvertedCfg, build, config
from sepaudio.backbones.fbnet import STRIDES, WIDTHS, A, B, C
from sepaudio.backbones.inverted import Blocks
from sepaudio.backbones.supernet import SuperCfg
from sepaudio.layers import Choice, choices
from sepaudio.training import latency, search
from sepaudio.training import recipe as recipes
from sepaudio.training.latency import REST, LatencyTable, Timed
from sepaudio.training.optim import OptimCfg

SMALL = InvertedCfg(
    stem=8,
    stages=(
        (Blocks(channels=8, blocks=2, stride=2),),
        (Blocks(channels=16, blocks=2, stride=2, squeeze=0.5),),
    ),
    last=0,
    always=True,
)


def of_numbers(*factors):
    """A choice of layers that multiply by a number."""
    layers = {f"x{f}": nn.Conv2d(1, 1, 1, bias=False) for f in factors}
    for factor, layer in zip(factors, layers.values(), strict=True):
        nn.init.constant_(layer.weight, factor)
    return Choice(layers)


def table_of(model, rest, *times):
    about = {"repeats": 1, "threads": 1, "machine": "", "torch": "", "python": "", "shape": ""}
    rows = [Timed(place=REST, option="", ms=rest, **about)]
    for (name, place), own in zip(choices(model).items(), times, strict=True):
        for option, ms in zip(place.names, own, strict=True):
            rows.append(Timed(place=name, option=option, ms=ms, **about))
    return LatencyTable(rows, model)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_one_candidate_a_place_is_the_plain_network(seed, train):
    torch.manual_seed(seed)
    space = SuperCfg(base=SMALL)
    net = build(space).train(train)
    names, kept = [], []
    for place in choices(net).values():
        pick = int(torch.randint(len(place.options), ()))
        place.choose(pick)
        names.append(place.names[pick])
        if names[-1] != "skip":
            kept.append(place.options[pick])
    plain = build(space.found(names)).train(train)
    plain.stem.load_state_dict(net.stem.state_dict())
    blocks = [block for stage in plain.stages for block in stage]
    for block, candidate in zip(blocks, kept, strict=True):
        block.load_state_dict(candidate.state_dict())
    x = laws.noise(2, 3, 20, 30).float()
    assert torch.equal(net(x), plain(x))


def test_weights_of_all_candidates_make_their_sum():
    place, x = of_numbers(1.0, 2.0, 4.0), torch.ones(1, 1, 2, 2)
    place.weights = torch.tensor([0.5, 0.25, 0.25], requires_grad=True)
    assert torch.allclose(place(x), 2.0 * x)
    place.weights = None
    with torch.no_grad():
        place.logits.copy_(torch.tensor([0.0, 0.0, 1.0]))
    assert torch.equal(place(x), 4.0 * x)  # the likeliest alone


def test_cold_draws_are_one_layer_and_hot_ones_the_mean_of_all():
    place = of_numbers(1.0, 2.0, 3.0)
    with torch.no_grad():
        place.logits.copy_(torch.tensor([0.0, 1.0, 2.0]))
    for seed in range(20):
        torch.manual_seed(seed)
        place.draw(1e-3)
        torch.manual_seed(seed)
        noise = -torch.empty(3).exponential_().log()
        assert int(place.weights.argmax()) == int((place.logits + noise).argmax())
        assert place.weights.max() > 0.999
        place.draw(1e5)
        assert torch.allclose(place.weights, torch.full((3,), 1 / 3), atol=1e-3)
    with pytest.raises(ValueError, match="temperature=0"):
        place.draw(0)


def test_layers_are_drawn_as_often_as_they_are_likely():
    place = of_numbers(1.0, 2.0, 3.0)
    with torch.no_grad():
        place.logits.copy_(torch.tensor([0.0, 1.0, 2.0]))
    torch.manual_seed(0)
    counts, n = torch.zeros(3), 4000
    for _ in range(n):
        place.draw(1.0, hard=True)
        counts += place.weights.detach()
    assert torch.allclose(counts / n, place.logits.softmax(0), atol=0.03)


def test_hard_draws_have_the_values_of_one_layer_and_the_gradient_of_soft_ones():
    place, x = of_numbers(1.0, 2.0, 4.0), torch.ones(1, 1, 1, 1)
    gradients = []
    for hard in (False, True):
        torch.manual_seed(3)
        place.draw(0.7, hard)
        y = place(x).sum()
        gradients.append(torch.autograd.grad(y, place.logits)[0])
        if hard:
            assert min(abs(float(y.detach()) - f) for f in (1.0, 2.0, 4.0)) < 1e-5
    assert torch.allclose(*gradients, atol=1e-6) and gradients[0].abs().max() > 0


def test_only_the_chosen_layer_is_computed():
    place, calls = of_numbers(1.0, 2.0), []
    for i, layer in enumerate(place.options):
        layer.register_forward_hook(lambda *_, i=i: calls.append(i))
    place.choose(1)
    place(torch.ones(1, 1, 1, 1))
    assert calls == [1]


def test_expected_latency_is_linear_in_the_weights():
    net = nn.Sequential(of_numbers(1.0, 2.0), of_numbers(1.0, 2.0, 3.0))
    times = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0, 4.0])
    table = table_of(net, 3.0, *(t.tolist() for t in times))
    logits = [torch.tensor([0.3, -1.0], requires_grad=True), torch.randn(3, requires_grad=True)]
    shares = [x.softmax(0) for x in logits]
    soft = table.expected(shares)
    assert torch.allclose(soft, 3.0 + shares[0] @ times[0] + shares[1] @ times[1])
    drawn = sum(shares[0][i] * shares[1][j] * table.of((i, j)) for i in range(2) for j in range(3))
    assert torch.allclose(soft, drawn)  # the mean over all networks
    weights = [share.detach().requires_grad_() for share in shares]
    for got, own in zip(torch.autograd.grad(table.expected(weights), weights), times, strict=True):
        assert torch.equal(got, own)
    for gradient in torch.autograd.grad(soft, logits):
        assert gradient.abs().max() > 0


def test_the_price_is_the_papers():
    loss, ms = torch.tensor(2.0), torch.tensor(5.0, requires_grad=True)
    price = search.priced(loss, ms, 0.2, 0.6)
    assert float(price.detach()) == pytest.approx(
        2.0 * 0.2 * torch.tensor(5000.0).log().item() ** 0.6
    )
    slope = torch.autograd.grad(price, ms)[0]
    assert float(slope) == pytest.approx(float(price.detach()) * 0.6 / 5.0 / 8.517193, rel=1e-5)


def test_tables_come_back_from_their_file(tmp_path):
    net = build(SuperCfg(base=SMALL))
    table = latency.measure(net, torch.randn(1, 3, 20, 30), repeats=2)
    assert sum(row.place != REST for row in table.rows) == sum(
        len(place.names) for place in choices(net).values()
    )
    assert all(row.ms >= 0 for row in table.rows) and not any(
        isinstance(m, latency._Known) for m in net.modules()
    )
    table.write(tmp_path / "t.csv")
    again = latency.read(tmp_path / "t.csv", net)
    assert again.rest == pytest.approx(table.rest, abs=1e-5)
    for a, b in zip(again.ms, table.ms, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    other = build(SuperCfg(base=SMALL, options=((7, 2, 1),)))
    with pytest.raises(ValueError, match=r"no stages\.0\.0 k7 e2 g1"):
        latency.read(tmp_path / "t.csv", other)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no latency table"):
        latency.read(tmp_path / "t.csv", net)


@pytest.mark.parametrize("seed", range(5))
def test_the_likeliest_network_within_a_latency_is_found(seed):
    random = torch.Generator().manual_seed(seed)
    scores = [torch.randn(4, generator=random) for _ in range(5)]
    ms = [torch.randint(0, 900, (4,), generator=random) / 1000 for _ in range(5)]
    limit = 1.5
    known = [
        (sum(float(s[i]) for s, i in zip(scores, picks, strict=True)), picks)
        for picks in itertools.product(range(4), repeat=5)
        if sum(float(m[i]) for m, i in zip(ms, picks, strict=True)) <= limit + 1e-6
    ]
    assert search.likeliest(scores, ms, limit) == max(known)[1]
    with pytest.raises(ValueError, match=r"no network takes 0\.000 ms"):
        search.likeliest(scores, [m + 0.1 for m in ms], 0.0)


def test_networks_that_are_drawn_meet_the_latency():
    net = nn.Sequential(of_numbers(1.0, 2.0), of_numbers(1.0, 2.0, 3.0))
    table = table_of(net, 3.0, [1.0, 2.0], [0.5, 1.0, 4.0])
    found = search.networks(net, table, 5.5, drawn=20)
    assert set(found) == {(0, 0), (0, 1), (1, 0)}
    assert all(table.of(picks) <= 5.5 for picks in found)
    with pytest.raises(ValueError, match=r"3\.000 ms of 4 ms are spent"):
        search.networks(net, table, 4.0, drawn=0)


def test_the_smallest_that_is_as_good_is_taken():
    def found(accuracy, parameters):
        return search.Found(
            picks=(), names=(), ms=1.0, parameters=parameters, accuracy=accuracy, likeliest=False
        )

    some = [found(0.9, 1000), found(0.88, 500), found(0.5, 10)]
    assert search.smallest(some, clips=100).parameters == 500  # an error of 0.03
    assert search.smallest(some, clips=10000).parameters == 1000


def lesson(objective, x=None):
    return (lambda step, part, parts: x), objective


def little(times, gain=0.0):
    """A search between x1 and x2 in one place; the loss falls by `gain` from the one to the other.

    With gain 0 they are as good.
    """
    net = nn.Sequential(of_numbers(1.0, 2.0))
    before = [p.detach().clone() for p in net[0].options.parameters()]
    table = table_of(net, 1.0, times)
    x = torch.ones(1, 1, 1, 1)
    cfg = search.SearchCfg(steps=120, every=1, alone=0.0, lr=0.05, weight_decay=0.0)
    optim = OptimCfg(lr=1e-2, warmup=1)
    still = lesson(lambda model, _: 0 * model(x).sum())
    held = lesson(lambda model, _: 2.0 - gain * (model(x).sum() - 1.0))
    search.search(net, still, held, table, replace(optim, weight_decay=0.0), cfg)
    after = list(net[0].options.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    return net[0].logits.softmax(0)


def test_of_two_that_are_as_good_the_faster_becomes_likelier():
    assert little([1.0, 5.0])[0] > 0.9
    assert little([5.0, 1.0])[1] > 0.9


def test_of_two_that_are_as_fast_the_better_becomes_likelier():
    assert little([1.0, 1.0], gain=1.0)[1] > 0.9


def test_weights_learn_while_the_architecture_waits():
    net = nn.Sequential(of_numbers(1.0, 2.0))
    x = torch.ones(1, 1, 1, 1)
    both = lesson(lambda model, _: (model(x).sum() - 7.0) ** 2)
    cfg = search.SearchCfg(steps=5, every=10, hard=True)
    search.search(net, both, both, table_of(net, 1.0, [1.0, 1.0]), OptimCfg(lr=0.1, warmup=1), cfg)
    assert torch.equal(net[0].logits, torch.zeros(2))
    assert [layer.weight.item() for layer in net[0].options] != [1.0, 2.0]


def test_temperature_falls_from_hot_to_cold():
    cfg = search.SearchCfg(steps=100, alone=0.2, hot=5.0, cold=0.1)
    assert cfg.temperature(0) == cfg.temperature(20) == 5.0
    assert cfg.temperature(99) == pytest.approx(0.1)
    ratio = [cfg.temperature(n + 1) / cfg.temperature(n) for n in (30, 60)]
    assert ratio[0] == pytest.approx(ratio[1]) and ratio[0] < 1


@pytest.mark.parametrize(("name", "text"), [("a", A), ("b", B), ("c", C)])
def test_published_networks_lie_in_the_space(name, text):
    counts = (1, 4, 4, 4, 4, 4, 1)
    open_stages = tuple(
        (Blocks(channels=c, blocks=n, stride=s),)
        for c, n, s in zip(WIDTHS, counts, STRIDES, strict=True)
    )
    published = config(f"fbnet_{name}")
    space = SuperCfg(base=replace(published, stages=open_stages))
    words = text.split()
    names = ["skip" if w == "-" else f"k{w[0]} e{w[1]} g{w[2:] or 1}" for w in words]
    assert sum(counts) == len(names) == 22
    assert space.found(names) == published
    with pytest.raises(ValueError, match="one for each of 22 places"):
        space.found(names[:-1])


def test_a_found_network_is_a_recipe(tmp_path):
    found = SuperCfg(base=replace(SMALL, stages=SMALL.stages * 2)).found(
        ["k3 e1 g1", "skip", "k5 e6 g1", "k3 e1 g2"] * 2
    )
    import yaml

    text = {
        "architecture": "esresnet_test",
        "model": {"backbone": registry.brief(found), "multiplier": 1.0},
        "data": {"manifests": ["m.csv"]},
    }
    (tmp_path / "found.yaml").write_text(yaml.safe_dump(text))
    cfg = recipes.model_cfg(recipes.read(tmp_path / "found.yaml"))
    assert cfg.backbone == found
    assert registry.from_dict(registry.to_dict(cfg)) == cfg
    model = registry.build(cfg).eval()
    assert model(torch.zeros(1, 400)).shape == (1, 2)
    (tmp_path / "again.yaml").write_text(recipes.to_yaml(recipes.read(tmp_path / "found.yaml")))
    assert recipes.model_cfg(recipes.read(tmp_path / "again.yaml")) == cfg


def test_recipes_of_found_networks_read():
    for path in (Path(__file__).parent.parent / "recipes").glob("*/found/*.yaml"):
        recipe = recipes.read(path)
        with torch.device("meta"):
            model = registry.create(recipe.architecture, **recipe.model)
        assert isinstance(model.cfg.backbone, InvertedCfg) and len(model.backbone.stages) == 4
