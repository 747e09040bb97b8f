"""ESResNet: published counts, stereo, attention, clips of unequal length, converters."""

import re

import laws
import pytest
import torch
from golden import make_esresnet as authors

from sepaudio import hub, registry
from sepaudio.convert import esresnet
from sepaudio.layers import PoolAttention2d
from sepaudio.models.esresnet import ESC50, ESResNetCfg

TINY = ["esresnet_test", "esresnext_test"]


def tiny(name, **changes):
    torch.manual_seed(0)
    model = registry.create(name, **changes).double().eval()
    for key, value in model.named_buffers():  # statistics that training would have found
        if key.endswith(("running_mean", "running_var")):
            value += 0.5 * torch.rand_like(value)
    return model


def count(module):
    return sum(p.numel() for p in module.parameters())


def on_meta(name, n_classes=50, **changes):
    with torch.device("meta"):
        labels = tuple(str(i) for i in range(n_classes))
        return registry.create(name, labels=labels, **changes)


@pytest.mark.parametrize(
    "name, n_classes, changes, expected",
    [
        ("esresnet", 50, {}, 23610482),
        ("esresnet", 10, {}, 23528522),
        ("esresnet_attention", 50, {}, 30634098),
        ("esresnet_attention", 10, {}, 30552138),
        ("esresnext_fbsp", 50, {}, 30109045),
        ("esresnext_fbsp", 10, {}, 30027085),
        ("esresnext_fbsp", 527, {}, 31086418),
        ("esresnext_fbsp", 50, {"attention": False}, 23085429),
        ("esresnet_separable", 50, {}, 974922),
    ],
)
def test_counts(name, n_classes, changes, expected):
    assert count(on_meta(name, n_classes, **changes)) == expected


def test_counts_of_attention():
    blocks = on_meta("esresnet_attention").attention
    assert [count(block) for block in blocks] == [17408, 134144, 529408, 2109440, 4233216]
    dead = blocks[4].depthwise.weight[:, 0].numel() * 14 // 15
    lean = on_meta("esresnet_attention", last_kernel=(1, 1)).attention
    assert count(blocks) - count(lean) == dead == 28672


def test_pictures_shrink_as_published():
    model = on_meta("esresnet_attention").eval()
    sizes = []
    for module in (model.backbone.stem, *model.backbone.stages):
        module.register_forward_hook(lambda module, args, y: sizes.append(tuple(y.shape[1:])))
    assert model(torch.zeros(1, 220500, device="meta")).shape == (1, 50)
    assert sizes == [(64, 86, 99), (256, 86, 99), (512, 43, 50), (1024, 22, 25), (2048, 11, 13)]


def test_attention_by_its_definition():
    block = PoolAttention2d(4, 6, (3, 1), norm_bias=1.0).double()
    given, result = laws.noise(2, 4, 9, 11), laws.noise(2, 6, 5, 6, seed=1)
    rows = [(a * 9 // 5, -(-(a + 1) * 9 // 5)) for a in range(5)]
    frames = [(b * 11 // 6, -(-(b + 1) * 11 // 6)) for b in range(6)]
    parts = [[given[..., t:u, v:w].amax((2, 3)) for v, w in frames] for t, u in rows]
    pooled = torch.stack([torch.stack(row, -1) for row in parts], -2)
    deep = torch.nn.functional.conv2d(
        pooled, block.depthwise.weight, block.depthwise.bias, padding=(1, 0), groups=4
    )
    mixed = torch.einsum("oc,bcfl->bofl", block.pointwise.weight[..., 0, 0], deep)
    mixed = mixed + block.pointwise.bias[:, None, None]
    mean, var = mixed.mean((0, 2, 3), keepdim=True), mixed.var((0, 2, 3), False, keepdim=True)
    laws.close(
        block(given, result), result / (1 + torch.exp(-(mixed - mean) / (var + 1e-5).sqrt() - 1))
    )
    assert block.depthwise.bias is not None


def test_masks_start_near_three_quarters():
    for name, start in (("esresnet_separable", 0.73), ("esresnet_attention", 0.5)):
        bias = registry.config(name).attention_bias
        assert torch.sigmoid(torch.tensor(bias)).item() == pytest.approx(start, abs=2e-3)
    model = registry.create("esresnet_test")
    assert all((block.norm.bias == 1).all() for block in model.attention)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", TINY)
def test_equal_channels_give_twice_the_vector_of_one(name, fold):
    stereo = tiny(name, channels=2, fold_channels=fold)
    mono = tiny(name, channels=1, fold_channels=fold)
    mono.load_state_dict(stereo.state_dict())
    x = laws.noise(2, 1500)
    with torch.no_grad():
        one, two = mono.pooled(x), stereo.pooled(torch.stack([x, x], dim=1))
        laws.close(two, 2 * one, 1e-13)
        assert torch.equal(stereo.pooled(x), two)
        left, right = x, laws.noise(2, 1500, seed=3)
        both = stereo.pooled(torch.stack([left, right], dim=1))
        laws.close(both, one + mono.pooled(right))
        laws.close(both, stereo.pooled(torch.stack([right, left], dim=1)))


def test_folding_changes_training_only():
    folded, looped = tiny("esresnet_test"), tiny("esresnet_test", fold_channels=False)
    looped.load_state_dict(folded.state_dict())
    x = laws.noise(3, 2, 1500)
    with torch.no_grad():
        laws.close(folded(x), looped(x))
        assert not torch.allclose(folded.train()(x), looped.train()(x))


@pytest.mark.parametrize("name", TINY)
def test_clips_of_unequal_length_are_as_if_alone(name):
    model = tiny(name)
    lengths = torch.tensor([1500, 1234, 333, 333, 7, 1])
    x = laws.noise(6, model.cfg.channels, 1500)  # noise beyond the lengths too
    with torch.no_grad():
        together = model(x, lengths)
        assert torch.equal(model.clip(x, lengths), together)
        for row, n in enumerate(lengths.tolist()):
            laws.close(together[row], model(x[row : row + 1, :, :n])[0])


def test_clips_of_unequal_length_learn():
    model = tiny("esresnet_test")
    model(laws.noise(3, 900), torch.tensor([900, 500, 900])).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_every_parameter(name, training):
    model = tiny(name).train(training)
    laws.every_parameter_learns(model, model(laws.noise(3, 1500)), model.dead_parameters)


@pytest.mark.parametrize("name", [*TINY, "esresnet_separable"])
@pytest.mark.parametrize("n", [1, 13, 14, 900])
@pytest.mark.parametrize("level", [0.0, 1e-30, 1.0, 1e3])
def test_any_length_and_level_will_do(name, n, level):
    model = registry.create(name).eval()
    with torch.no_grad():
        y = model(level * laws.noise(2, n, dtype=torch.float32))
    assert y.shape == (2, len(model.labels))
    assert torch.isfinite(y).all()


def test_short_clips_are_filled_with_silence():
    model = tiny("esresnet_test")
    assert model.minimum_length == model.frontend.transform.before + 1 == 14
    assert on_meta("esresnet").minimum_length == 828
    x = laws.noise(1, 5)
    with torch.no_grad():
        laws.close(model(x), model(torch.nn.functional.pad(x, (0, 9))))


@pytest.mark.parametrize("name", TINY)
def test_saved_and_loaded_is_the_same_to_the_bit(name, tmp_path):
    model = registry.create(name).eval()
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(0.01 * torch.rand_like(value))
    hub.save(model, tmp_path / "model", card="# test\n", license="CC0-1.0")
    again, x = hub.load(tmp_path / "model"), laws.noise(1, 2000, dtype=torch.float32)
    assert again.cfg == model.cfg
    with torch.no_grad():
        y = model(x)
        assert torch.isfinite(y).all() and torch.equal(y, again(x))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4)])
@pytest.mark.parametrize("name", TINY)
def test_float32_is_near_float64(name, dtype, tolerance):
    model, x = tiny(name), laws.noise(2, 1500, dtype=torch.float32)
    with torch.no_grad():
        exact = model(x.double())
        laws.close(model.to(dtype)(x).double(), exact, tolerance)


def test_the_fifty_classes():
    assert len(set(ESC50)) == 50
    assert (ESC50[0], ESC50[10], ESC50[49]) == ("dog", "rain", "hand_saw")


def published(model, attention):
    shapes = authors.shapes(model, attention)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize(
    "model, name, convert",
    [
        ("ESResNet", "esresnet", esresnet.esresnet),
        ("ESResNeXt-fbsp", "esresnext_fbsp", esresnet.esresnext_fbsp),
    ],
)
def test_every_published_tensor_finds_its_place(model, name, convert, attention):
    state = convert(published(model, attention))
    ours = on_meta(name, authors.CLASSES, attention=attention).state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in ours.items()}


def test_converters_name_what_does_not_fit():
    state = published("ESResNet", True)
    del state["att3.bn.bias"]
    state["att6.bn.bias"] = state["att5.bn.bias"]
    with pytest.raises(ValueError, match=r"1 \(att6\.bn\.bias\) unknown and 1 \(att3\.bn\.bias\)"):
        esresnet.esresnet(state)
    with pytest.raises(ValueError, match=r"no fc\.bias: expected .* a published esresnext_fbsp"):
        esresnet.esresnext_fbsp(state)
    state = published("ESResNeXt-fbsp", False)
    state["fbsp.bias"] = torch.zeros(1025, 2)
    with pytest.raises(ValueError, match=r"1 \(fbsp\.bias\) unknown and 0 missing"):
        esresnet.esresnext_fbsp(state)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: ESResNetCfg(labels=("one",)), "labels=('one',): expected two classes or more"),
        (lambda: ESResNetCfg(channels=0), "channels=0: expected 1 (mono), 2 (stereo) or more"),
        (lambda: ESResNetCfg(members=0), "turns=1, members=0: expected 1 or more of both"),
        (lambda: ESResNetCfg(last_kernel=(2, 5)), "last_kernel=(2, 5): expected two odd numbers"),
        (
            lambda: on_meta("esresnet_attention", backbone="mobilenet_v1"),
            "backbone='mobilenet_v1' has 5 stages: expected 4 where there is attention; use",
        ),
        (lambda: tiny("esresnet_test")(torch.zeros(9)), "waveform has shape [9]: expected [B, T]"),
        (
            lambda: tiny("esresnet_test")(torch.zeros(1, 3, 9)),
            "waveform has shape [1, 3, 9]: expected [B, T] or [B, 2, T]",
        ),
        (lambda: tiny("esresnet_test")(torch.zeros(1, 0)), "waveform has shape [1, 0]: expected"),
        (
            lambda: tiny("esresnet_test")(laws.noise(2, 9), torch.tensor([9, 0])),
            "lengths=[9, 0]: expected at least 1 sample each",
        ),
    ],
)
def test_errors_name_value_and_remedy(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


@pytest.mark.parametrize("name", TINY)
def test_exports_at_a_fixed_length(name):
    model, x = registry.create(name).eval(), laws.noise(1, 700, dtype=torch.float32)
    program = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        laws.close(program(2 * x), model(2 * x))


def test_dropout_is_of_training_and_depth_of_blocks():
    x = laws.noise(2, 900)
    plain, dropped = (tiny("esresnet_test", dropout=share) for share in (0.0, 0.9))
    laws.close(dropped(x), plain(x))
    dropped.dropout.train()
    logits = [dropped(x) for _ in range(2)]
    assert not torch.equal(*logits)
    shallow, deep = (
        on_meta("esresnet", attention=False, backbone="resnet18", depth=by).backbone
        for by in (1.0, 3.0)
    )
    assert [len(stage) for stage in shallow.stages] == [2, 2, 2, 2]
    assert [len(stage) for stage in deep.stages] == [6, 6, 6, 6]


def test_turns_of_a_clip_are_averaged():
    torch.manual_seed(0)
    once = registry.create("esresnet_test", channels=2).double().eval()
    model = registry.create("esresnet_test", channels=2, turns=3).double().eval()
    model.load_state_dict(once.state_dict())
    picture = torch.randn(2, 2, 3, 5, 51, dtype=torch.float64)
    turned = [picture.roll(shift, -1) for shift in (0, 17, 34)]
    wanted = torch.stack([once.clip_logits(one) for one in turned]).mean(dim=0)
    laws.close(model.clip_logits(picture), wanted)
    laws.close(model.clip_logits(turned[1]), wanted)  # where a clip begins does not matter
    assert not torch.allclose(once.clip_logits(turned[1]), once.clip_logits(picture))
    laws.close(model.train().clip_logits(picture), once.train().clip_logits(picture))
