"""Every registered model obeys the laws of its kind."""

import json

import laws
import pytest
import torch
from conftest import OTHER

from sepaudio import hub, registry
from sepaudio.streaming import Streamer

TINY = [name for name in registry.names(tests=True) if name.endswith("_test")]
REAL = registry.names()


def on_meta(name):
    with torch.device("meta"):
        return registry.create(name)


CAUSAL = [name for name in TINY if on_meta(name).causal]
FINITE = [name for name in CAUSAL if on_meta(name).receptive_field is not None]
LARGE = 50_000_000  # parameters; larger models are built but not run


def tiny(name, dtype=torch.float64, device="cpu"):
    torch.manual_seed(0)
    return registry.create(name).to(device, dtype).eval()


def audio(model, batch, samples, seed=0):
    """Noise that the model takes: [B, T], or [B, C, T] where it declares channels."""
    like = next(model.parameters())
    shape = (batch, samples) if model.channels is None else (batch, model.channels, samples)
    return laws.noise(*shape, dtype=like.dtype, device=like.device, seed=seed)


def given(model, batch):
    """What it takes besides: an extractor's embedding [B, E]."""
    if model.task != "extraction":
        return ()
    like = next(model.parameters())
    shape = (batch, model.embedding_size)
    return (laws.noise(*shape, dtype=like.dtype, device=like.device, seed=9),)


def expected_shape(model, batch, samples):
    if model.task == "separation":
        inner = () if model.channels is None else (model.channels,)
        return (batch, model.cfg.n_src, *inner, samples)
    if model.task == "extraction":
        return (batch, samples)
    if model.task == "speaker":
        return (batch, model.cfg.size)
    frames = (model.frontend.frames(samples),) if model.causal else ()
    return (batch, len(model.labels), *frames)


def step(model):
    """Samples from one output to the next."""
    return model.hop if model.task == "classification" else 1


def test_how_many_models_are_under_the_laws():
    assert (len(TINY), len(CAUSAL), len(FINITE), len(REAL)) == (29, 10, 6, 40)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("length", [1, 3, 24, 25, 159, 801])
def test_shapes_of_odd_lengths(name, length, device):
    model = tiny(name, device=device)
    with torch.no_grad():
        y = model(audio(model, 2, length), *given(model, 2))
    assert y.shape == expected_shape(model, 2, length)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", REAL)
def test_every_real_model_runs(name, device):
    if sum(p.numel() for p in on_meta(name).parameters()) > LARGE:
        return
    model = registry.create(name).to(device).eval()
    samples = model.sample_rate // 10 + 1
    with torch.no_grad():
        y = model(audio(model, 1, samples), *given(model, 1))
    assert y.shape == expected_shape(model, 1, samples)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", REAL)
def test_cfgs_pass_through_json_unchanged(name):
    cfg = registry.config(name)
    assert registry.from_dict(json.loads(json.dumps(registry.to_dict(cfg)))) == cfg


@pytest.mark.parametrize("name", [*TINY, "swishnet_wide", "spectrogram_mobilenet"])
@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 1.0, 1e3])
def test_silence_and_loudness_stay_finite(name, level):
    model = tiny(name, torch.float32)
    x, more = audio(model, 1, 3000), given(model, 1)
    for signal in (level * x, torch.full_like(x, level)):
        with torch.no_grad():
            assert torch.isfinite(model(signal, *more)).all()
            if model.task == "classification":
                assert torch.isfinite(model.clip(signal)).all()


@pytest.mark.parametrize("name", TINY)
def test_gradients_reach_every_parameter(name):
    model = tiny(name)  # a batch norm in training would hide the biases before it
    more = given(model, 3)
    if getattr(model, "speaker", None) is not None:
        more = (model.speaker(laws.noise(3, 2000, seed=4)),)
    laws.every_parameter_learns(model, model(audio(model, 3, 3000), *more), model.dead_parameters)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("how", ["forward", "clip"])
def test_padding_in_a_batch_changes_nothing(name, how, device):
    model = tiny(name, device=device)
    if how == "clip" and model.task != "classification":
        return
    lengths = torch.tensor([3000, 2345, 333, 7, 1], device=device)
    x, more = audio(model, 5, 3000), given(model, 5)
    run = model if how == "forward" else model.clip
    with torch.no_grad():
        together = run(x, *more, lengths=lengths)  # what lies in the padding must not matter
        for row, length in enumerate(lengths):
            alone = run(x[row : row + 1, ..., :length], *(m[row : row + 1] for m in more))[0]
            timed = alone.ndim > 1 or model.task == "extraction"
            mine = together[row][..., : alone.shape[-1]] if timed else together[row]
            if length == 1 and timed:  # one sample has no deviation to be relative to
                assert (mine - alone).abs().max() <= 1e-12
                continue
            laws.close(mine, alone)
            if timed:
                assert not together[row][..., alone.shape[-1] :].any()


@pytest.mark.parametrize("name", TINY)
def test_items_of_a_batch_do_not_mix(name):
    model = tiny(name)
    x, more = audio(model, 3, 2000), given(model, 3)
    with torch.no_grad():
        before = model(x, *more)
        x[1] = audio(model, 1, 2000, seed=5)[0]
        after = model(x, *more)
    laws.close(after[[0, 2]], before[[0, 2]])
    assert not torch.equal(after[1], before[1])


@pytest.mark.parametrize("name", CAUSAL)
def test_latency_is_exact(name):
    """Over all phases of the hop, the earliest output that moves is just so far ahead."""
    model = tiny(name)
    more = given(model, 1)
    ahead = []
    for now in range(1000, 1000 + model.hop):
        moved = laws.changed_frames(lambda x: model(x, *more), audio(model, 1, 2000), now)
        ahead.append(now - moved[0] * step(model))
    assert max(ahead) == model.latency


@pytest.mark.parametrize("name", FINITE)
def test_receptive_field_is_exact(name):
    model = tiny(name)
    more = given(model, 1)
    phases = 1 if step(model) > 1 else model.hop
    outputs = range(220, 220 + phases) if step(model) > 1 else range(1500, 1500 + phases)
    spans, aheads = [], []
    for n in outputs:
        run = lambda x: model(x, *more)  # noqa: E731
        first, last = laws.reaches(run, audio(model, 1, 3000), n)
        spans.append(last - first + 1)
        aheads.append(last - n * step(model))
    assert max(spans) == model.receptive_field
    assert max(aheads) == model.latency


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize(
    ("sizes", "length"),
    [
        ([1], 1), ([1], 24), ([1], 25), ([1], 26), ([1], 300),
        ([7, 1, 130, 0, 26], 2500), ([10], 800), ([1000, 1], 2500), ([3000], 2500),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_stream_equals_whole(name, sizes, length, dtype, device):
    model = tiny(name, dtype, device)
    # Chunks of other lengths take other ways through a card, which round otherwise.
    allowed = 1e-4 if device.type == "cuda" and dtype == torch.float32 else None
    laws.streams_like_whole(model, audio(model, 2, length), sizes, allowed, given(model, 2))


@pytest.mark.parametrize("name", ["swishnet_wide", "mitas_causal", "tsenet_mitas_causal"])
def test_real_networks_stream_like_whole(name):
    model = tiny(name)
    samples = model.sample_rate // 2
    sizes = [1600, 1, 4001, 370]
    laws.streams_like_whole(model, audio(model, 1, samples), sizes, given=given(model, 1))


@pytest.mark.parametrize("name", CAUSAL)
def test_two_streams_through_one_model_do_not_mix(name):
    model = tiny(name)
    a, b, more = audio(model, 1, 900, seed=1), audio(model, 1, 900, seed=2), given(model, 1)
    first, second = Streamer(model, *more), Streamer(model, *more)
    heard = []
    for x, y in zip(a.split(90, -1), b.split(90, -1), strict=True):
        heard.append(first.feed(x))
        second.feed(y)
    heard.append(first.flush())
    with torch.no_grad():
        laws.close(torch.cat(heard, -1), model(a, *more))


@pytest.mark.parametrize("name", CAUSAL)
def test_state_moves_to_another_streamer_bit_for_bit(name):
    model = tiny(name, torch.float32)
    x, more = audio(model, 1, 900), given(model, 1)
    through = Streamer(model, *more)
    through.feed(x[..., :433])
    moved = Streamer(model, *more)
    moved.restore(through.state())
    again, on = moved.feed(x[..., 433:]), through.feed(x[..., 433:])
    assert torch.equal(again, on)
    assert torch.equal(moved.flush(), through.flush())


@pytest.mark.parametrize("name", CAUSAL)
def test_a_stream_keeps_no_view_of_a_chunk(name):
    model = tiny(name)
    x, more = audio(model, 1, 900), given(model, 1)
    stream, buffer, heard = Streamer(model, *more), torch.empty_like(x[..., :100]), []
    for chunk in x.split(100, -1):
        buffer.copy_(chunk)
        heard.append(stream.feed(buffer).clone())
        buffer.fill_(float("nan"))
    heard.append(stream.flush())
    with torch.no_grad():
        laws.close(torch.cat(heard, -1), model(x, *more))


@pytest.mark.parametrize("name", [name for name in TINY if name not in CAUSAL])
def test_what_is_not_causal_refuses_to_stream(name):
    with pytest.raises(ValueError, match="not causal, so it cannot stream; use a causal model"):
        Streamer(registry.create(name))


@pytest.mark.parametrize("name", CAUSAL)
def test_a_chunk_of_another_shape_is_refused(name):
    model = tiny(name)
    stream = Streamer(model, *given(model, 1))
    with pytest.raises(ValueError, match=r"chunk has shape .*: expected \[B, "):
        stream.feed(audio(model, 1, 100)[None])


@pytest.mark.parametrize("name", TINY)
def test_saved_and_loaded_is_the_same_to_the_bit(name, tmp_path):
    model = registry.create(name).eval()
    with torch.no_grad():
        for value in model.state_dict().values():  # buffers too are not what `create` gives
            if value.is_floating_point():
                value.add_(0.01 * torch.rand_like(value))
    hub.save(model, tmp_path / "model", card="# test\n", license="CC0-1.0")
    again = hub.load(tmp_path / "model")
    x, more = audio(model, 1, 2000), given(model, 1)
    with torch.no_grad():
        y = model(x, *more)
        assert torch.isfinite(y).all()
        assert torch.equal(y, again(x, *more))
    assert again.cfg == model.cfg
    assert not again.training
    weights = (tmp_path / "model" / "model.safetensors").stat().st_size
    unique = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    assert weights < unique + 256 * (1 + len(model.state_dict()))  # every shared weight once


@pytest.mark.gpu
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", [*TINY, *REAL])
def test_cuda_agrees_with_cpu(name):
    """Those with attention over bands or learned windows lose digits on the CPU already."""
    allowed = 5e-3 if name in ("esresnet_attention", "esresnext_fbsp") else 1e-4
    model = tiny(name, torch.float32)
    x, more = audio(model, 2, model.sample_rate // 2), given(model, 2)
    with torch.no_grad():
        here = model(x, *more)
        there = model.to(OTHER)(x.to(OTHER), *(m.to(OTHER) for m in more))
        laws.close(there.cpu(), here, allowed)


@pytest.mark.gpu
@pytest.mark.parametrize("name", REAL)
def test_one_training_step_on_cuda(name):
    model = registry.create(name).to(OTHER).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, more = audio(model, 2, model.sample_rate), given(model, 2)
    with torch.autocast(torch.device(OTHER).type, dtype=torch.bfloat16):
        loss = model(x, *more).float().square().mean()
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_autocast_stays_finite(name, device):
    model = tiny(name, torch.float32, device)
    x, more = audio(model, 2, 2000), given(model, 2)
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
        assert torch.isfinite(model(x, *more).float()).all()


@pytest.mark.parametrize("name", TINY)
def test_no_forward_moves_to_another_device(name):
    """On the meta device any tensor made elsewhere, or any look at a value, would raise."""
    model = on_meta(name)
    like = next(model.parameters())
    shape = (2, 500) if model.channels is None else (2, model.channels, 500)
    more = (like.new_empty(2, model.embedding_size),) if model.task == "extraction" else ()
    assert model(like.new_empty(shape), *more).device.type == "meta"
