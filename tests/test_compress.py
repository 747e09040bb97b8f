"""Compressed models: what steps leave, what training keeps, what a packed file holds."""

import heapq
import math

import numpy as np
import pytest
import torch
from torch import nn

from sepaudio import hub, packed, registry
from sepaudio.cli import main
from sepaudio.training import compress as steps
from sepaudio.verbs.compress import compress


def values(weight):
    return len(torch.unique(weight.detach()))


def learned(model, steps=3, decay=0.1):
    """A few AdamW steps of a model on noise."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=decay)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 24, generator=random)).square().mean().backward()
        optimizer.step()
    return model


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 20), nn.ReLU(), nn.Linear(20, 16))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_pruned_weights_stay_zero_while_others_learn(net, share):
    steps.prune(net, share)
    before = [w.detach().clone() for _, w in steps.weights(net)]
    zeros = sum(int((w == 0).sum()) for w in before)
    assert zeros == round(share * sum(w.numel() for w in before))
    learned(net)
    for (_, weight), old in zip(steps.weights(net), before, strict=True):
        assert not weight[old == 0].any()
        assert (weight != old)[old != 0].all()


def test_the_smallest_weights_are_pruned(net):
    with torch.no_grad():
        net[2].weight.mul_(100)  # of one tensor beside its own
    before = net[2].weight.detach().clone()
    steps.prune(net, 0.5)
    gone = net[2].weight == 0
    assert 0.4 < gone.float().mean() < 0.6
    assert before[gone].abs().max() <= before[~gone].abs().min()


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_codebook_has_two_to_the_bits_values_and_keeps_them_in_training(net, bits, share):
    if share:
        steps.prune(net, share)
    gone = [w == 0 for _, w in steps.weights(net)]
    steps.share(net, bits)
    before = [w.detach().clone() for _, w in steps.weights(net)]
    assert all(values(w) <= 2**bits for w in before)
    learned(net)
    for (_, weight), old, zero in zip(steps.weights(net), before, gone, strict=True):
        assert values(weight) <= 2**bits
        assert not torch.equal(weight, old)
        assert torch.equal(weight == 0, zero)
        for value in torch.unique(old):
            assert values(weight[old == value]) == 1


def test_centres_are_means_of_their_weights(net):
    before = net[0].weight.detach().clone()
    steps.share(net, 2)
    for value in torch.unique(net[0].weight.detach()):
        own = before[net[0].weight == value]
        assert value.item() == pytest.approx(own.mean().item(), abs=1e-4)
        assert (own - value).abs().max() <= (before.max() - before.min()) / 2


def test_a_centre_moves_by_the_mean_gradient_of_its_weights(net):
    steps.share(net, 2)
    plain = nn.Linear(24, 20)
    plain.load_state_dict(net[0].state_dict())
    x = torch.randn(5, 24)
    net[0](x).square().sum().backward()
    plain(x).square().sum().backward()
    for value in torch.unique(plain.weight.detach()):
        here = plain.weight == value
        assert torch.allclose(net[0].weight.grad[here], plain.weight.grad[here].mean())


def test_all_the_energy_is_the_matrix_itself(net):
    before = {k: v.clone() for k, v in net.state_dict().items()}
    steps.low_rank(net, 1.0)
    assert not steps.factors(net)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    parts = torch.linalg.svd(net[0].weight.detach().double(), full_matrices=False)
    first, second = steps._factors(parts, 20)
    assert torch.allclose(first @ second, net[0].weight.double(), atol=1e-6)


def test_a_low_rank_is_the_nearest_and_stays_while_others_learn(net):
    before = net[0].weight.detach().double()
    steps.low_rank(net, 0.5)
    found = steps.factors(net)
    assert "0.weight" in found
    first, second = found["0.weight"]
    rank, s = first.shape[1], torch.linalg.svdvals(before)
    assert rank * (20 + 24) < 20 * 24
    power = s.square().cumsum(0) / s.square().sum()
    assert power[rank - 1] >= 0.5 and (rank == 1 or power[rank - 2] < 0.5)
    error = (net[0].weight.double() - before).square().sum()
    assert error.item() == pytest.approx(s[rank:].square().sum().item(), rel=1e-4)  # Eckart-Young
    bias = net[0].bias.detach().clone()
    learned(net)
    assert steps.factors(net)["0.weight"][0].shape[1] == rank
    assert not torch.equal(net[0].bias, bias)
    product = packed.product(first, second, (20, 24))
    assert torch.allclose(product, net[0].weight / 0.999**3, atol=1e-5)  # decay alone


@pytest.mark.parametrize("bad", [{"share": 1.0}, {"share": -0.1}])
def test_shares_that_are_none(net, bad):
    with pytest.raises(ValueError, match="expected a share"):
        steps.prune(net, **bad)


def test_what_cannot_be_compressed(net):
    with pytest.raises(ValueError, match="bits=9: expected 1 to 8"):
        steps.share(net, 9)
    with pytest.raises(ValueError, match="energy=0"):
        steps.low_rank(net, 0)
    with pytest.raises(ValueError, match="Linear has no tensor of 256 weights"):
        steps.prune(nn.Linear(2, 2), 0.5)


TENSORS = {
    "floats": torch.randn(7, 5),
    "few": torch.randn(16)[torch.randint(16, (30, 40))],
    "zeros": torch.zeros(20, 30),
    "sparse": torch.randn(8)[torch.randint(8, (90, 100))].where(torch.rand(90, 100) < 0.02, 0.0),
    "rare": torch.cat([torch.zeros(5000), torch.ones(2), torch.zeros(999)]),
    "signs": torch.tensor([0.0, -0.0, float("nan"), float("inf")]).repeat(100),
    "whole": torch.arange(5),
    "one": torch.tensor(3),
    "none": torch.zeros(0, 3),
    "double": torch.randn(3, 3, dtype=torch.float64),
    "half": torch.randn(3, 3).half(),
    "yes": torch.tensor([True, False, True]),
    "turned": torch.randn(4, 300).round().T,
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back_to_the_last_bit(name):
    x = TENSORS[name]
    back = packed.decode(packed.encode(x))
    assert back.dtype == x.dtype and back.shape == x.shape
    assert back.numpy().tobytes() == np.ascontiguousarray(x.numpy()).tobytes()


def test_a_block_holds_all_tensors_and_its_size_is_that_of_its_parts():
    factors = {"floats": (torch.randn(7, 2), torch.randn(2, 5))}
    block = packed.pack(TENSORS, factors)
    back = packed.unpack(block)
    assert list(back) == list(TENSORS)
    for name, x in TENSORS.items():
        wanted = packed.product(*factors[name], x.shape) if name in factors else x
        assert torch.equal(torch.nan_to_num(back[name]), torch.nan_to_num(wanted))
    head = 4 + int.from_bytes(block[:4], "little")
    parts = [packed.encode(x).size for name, x in TENSORS.items() if name not in factors]
    parts += [packed.encode(x).size for x in factors["floats"]]
    assert len(block) == head + sum(parts)
    with pytest.raises(ValueError, match="damaged"):
        packed.unpack(block[: head + 3])


def huffmans(counts):
    """Bits of the best code with a whole number of bits a symbol."""
    heap, total = sorted(counts), 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, pair)
        total += pair
    return total


@pytest.mark.parametrize("shares", [[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [0.05] * 4 + [0.1, 0.7]])
def test_codes_are_as_long_as_huffmans(shares):
    n = 20000
    symbols = np.random.default_rng(0).choice(len(shares), n, p=shares).astype(np.uint8)
    best = huffmans([*np.bincount(symbols).tolist(), 1])  # and an end
    bits = 8 * len(packed.huffman(symbols))
    assert best <= bits <= best + 8 * 60  # a table
    assert best >= -n * sum(p * math.log2(p) for p in shares) * 0.98
    assert np.array_equal(packed.symbols_of(packed.huffman(symbols)), symbols)


def test_few_values_and_zeros_take_few_bytes():
    plain = TENSORS["floats"].numel() * 4
    assert packed.encode(TENSORS["floats"]).size == plain
    shared = packed.encode(TENSORS["few"])
    assert shared.about["form"] == "shared" and shared.size < 1200 * 4 / 6
    sparse = packed.encode(TENSORS["sparse"])
    assert sparse.about["form"] == "sparse" and sparse.size < 9000 * 4 / 80


def test_a_packed_folder_is_loaded_as_any(tmp_path):
    model = registry.create("swishnet_test").eval()
    about = {"license": "CC0-1.0"}
    plain = hub.save(model, tmp_path / "plain", card="", **about)
    small = hub.save_packed(model, tmp_path / "small", card="", factors={}, **about)
    assert hub.read_config(plain)["format"] == 1 and hub.read_config(small)["format"] == 2
    a, b = hub.load(plain).state_dict(), hub.load(small).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a) and list(a) == list(b)
    assert hub.about(small)["license"] == "CC0-1.0"
    file = (small / "model.safetensors").read_bytes()
    head = 8 + int.from_bytes(file[:8], "little")
    assert len(file) == head + len(packed.pack(model.state_dict()))
    other = registry.create("swishnet_slim")
    hub.save_packed(other, tmp_path / "other", card="", factors={})
    (tmp_path / "other" / "model.safetensors").replace(small / "model.safetensors")
    with pytest.raises(ValueError, match="does not load"):
        hub.load(small)


def test_shared_weights_are_packed_once(tmp_path):
    name = next(n for n in registry.names(tests=True) if n.startswith("mitas") and "test" in n)
    model = registry.create(name).eval()
    small = hub.save_packed(model, tmp_path / "small", card="", factors={})
    plain = hub.save(model, tmp_path / "plain", card="")
    sizes = [(f / "model.safetensors").stat().st_size for f in (small, plain)]
    assert sizes[0] <= sizes[1]
    again = hub.load(small)
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True)
    )


@pytest.mark.parametrize("asked", [{"prune": 0.5, "bits": 3}, {"low_rank": 0.6}])
def test_a_trained_model_becomes_a_smaller_one(folds, tmp_path, asked):
    model = registry.create("esresnet_test", channels=1, seconds=1.0).eval()
    hub.save(model, tmp_path / "whole", card="# Whole\n", architecture="esresnet_test")
    more = [f"data.shelf={tmp_path / 'shelf'}", "optim.steps=2", "optim.valid_every=0"]
    made = compress(
        folds / "recipe.yaml",
        tmp_path / "whole",
        more,
        output=tmp_path / "run",
        quiet=True,
        **asked,
    )
    small, config = hub.load(made), hub.read_config(made)
    assert config["format"] == 2 and config["compressed"] == {**asked, "of": "whole"}
    assert "## Compressed" in (made / "README.md").read_text()
    files = [f / "model.safetensors" for f in (made, tmp_path / "whole")]
    assert files[0].stat().st_size < files[1].stat().st_size
    own = [w for _, w in steps.weights(small)]
    if "bits" in asked:
        assert all(values(w) <= 8 for w in own)
        zeros = sum(int((w == 0).sum()) for w in own)
        assert zeros == round(0.5 * sum(w.numel() for w in own))
    else:
        assert steps.factors(small)
    assert not torch.equal(small.head.bias, hub.load(tmp_path / "whole").head.bias)


def test_the_verb_says_what_is_wrong(folds, tmp_path, capsys):
    asked = ["compress", "esc10", str(folds / "recipe.yaml"), "-o", str(tmp_path)]
    for more, text in (
        ([], "expected one of low_rank"),
        (["--bits", "4"], "expected esresnet_test"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*asked, *more])
        assert stopped.value.code == 2 and text in capsys.readouterr().err


def test_steps_that_do_not_fit_each_other(tmp_path):
    with pytest.raises(ValueError, match="nothing to do"):
        compress("recipe.yaml", "esc10", output=tmp_path)
    with pytest.raises(ValueError, match="expected it alone"):
        compress("recipe.yaml", "esc10", low_rank=0.5, bits=3, output=tmp_path)
