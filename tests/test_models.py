"""Every registered model obeys the laws of its kind."""

import laws
import pytest
import torch

from sepaudio import hub, registry
from sepaudio.streaming import Streamer

TINY = [name for name in registry.names(tests=True) if name.endswith("_test")]
REAL = registry.names()
CAUSAL = [name for name in TINY if registry.create(name).causal]


def tiny(name, dtype=torch.float64, device="cpu"):
    torch.manual_seed(0)
    return registry.create(name).to(device, dtype).eval()


def test_how_many_models_are_under_the_laws():
    assert (len(TINY), len(CAUSAL), len(REAL)) == (2, 1, 3)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("length", [1, 159, 400, 16001])
def test_shapes_of_odd_lengths(name, length, device):
    model = registry.create(name).to(device).eval()
    x = laws.noise(2, length, dtype=torch.float32, device=device)
    assert model.clip(x).shape == (2, len(model.labels))
    frames = model.frontend.frames(length)
    expected = (2, len(model.labels), frames) if model.causal else (2, len(model.labels))
    assert model(x).shape == expected
    assert torch.isfinite(model(x)).all()


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 1.0, 1e3])
def test_silence_and_loudness_stay_finite(name, level):
    model = registry.create(name).eval()
    x = level * laws.noise(1, 3000, dtype=torch.float32)
    assert torch.isfinite(model.clip(x)).all()
    constant = torch.full((1, 3000), level)
    assert torch.isfinite(model.clip(constant)).all()


@pytest.mark.parametrize("name", TINY)
def test_gradients_reach_every_parameter(name):
    model = tiny(name)
    model.train()
    laws.every_parameter_learns(model, model(laws.noise(3, 3000)), model.dead_parameters)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("how", ["forward", "clip"])
def test_padding_in_a_batch_changes_nothing(name, how, device):
    model = tiny(name, device=device)
    lengths = torch.tensor([3000, 2345, 333, 7, 1], device=device)
    x = laws.noise(5, 3000, device=device)
    x = x * (torch.arange(3000, device=device) < lengths[:, None])
    run = model if how == "forward" else model.clip
    with torch.no_grad():
        together = run(x, lengths=lengths)
        for row, length in enumerate(lengths):
            alone = run(x[row : row + 1, :length])[0]
            mine = together[row] if alone.ndim == 1 else together[row][..., : alone.shape[-1]]
            laws.close(mine, alone)
            if alone.ndim == 2:
                assert not together[row][..., alone.shape[-1] :].any()


@pytest.mark.parametrize("name", TINY)
def test_items_of_a_batch_do_not_mix(name):
    model = tiny(name)
    x = laws.noise(3, 2000)
    with torch.no_grad():
        before = model(x)
        x[1] = laws.noise(2000, seed=5)
        after = model(x)
    laws.close(after[[0, 2]], before[[0, 2]])
    assert not torch.equal(after[1], before[1])


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("phase", [0, 1, 5, 9])
def test_latency_is_exact(name, phase):
    """The earliest sample whose output moves is the declared look-ahead away, at worst."""
    model = tiny(name)
    now = 1000 + phase
    moved = laws.changed_frames(model, laws.noise(1, 2000), now)
    first = moved[0] * model.hop
    window = model.frontend.window
    assert moved[0] == -(-(now - window + 1) // model.hop)
    assert now - first <= model.latency
    worst = max(
        laws.changed_frames(model, laws.noise(1, 2000), 1000 + p)[0] * -model.hop + 1000 + p
        for p in range(model.hop)
    )
    assert worst == model.latency


@pytest.mark.parametrize("name", CAUSAL)
def test_receptive_field_is_exact(name):
    model = tiny(name)
    frame = 220
    first, last = laws.reaches(model, laws.noise(1, 3000), frame)
    assert last - first + 1 == model.receptive_field
    assert last == frame * model.hop + model.latency


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
    waveform = laws.noise(2, length, dtype=dtype, device=device)
    laws.streams_like_whole(model, waveform, sizes)


def test_the_real_network_streams_like_whole():
    model = tiny("swishnet_wide")
    laws.streams_like_whole(model, laws.noise(1, 48000), [1600, 1, 4001, 370])


@pytest.mark.parametrize("name", CAUSAL)
def test_two_streams_through_one_model_do_not_mix(name):
    model = tiny(name)
    a, b = laws.noise(1, 900, seed=1), laws.noise(1, 900, seed=2)
    first, second = Streamer(model), Streamer(model)
    heard = []
    for x, y in zip(a.split(90, -1), b.split(90, -1), strict=True):
        heard.append(first.feed(x))
        second.feed(y)
    heard.append(first.flush())
    with torch.no_grad():
        laws.close(torch.cat(heard, -1), model(a))


@pytest.mark.parametrize("name", CAUSAL)
def test_state_moves_to_another_streamer_bit_for_bit(name):
    model, x = tiny(name, torch.float32), laws.noise(1, 900, dtype=torch.float32)
    through = Streamer(model)
    through.feed(x[:, :433])
    moved = Streamer(model)
    moved.restore(through.state())
    again, on = moved.feed(x[:, 433:]), through.feed(x[:, 433:])
    assert torch.equal(again, on)
    assert torch.equal(moved.flush(), through.flush())


@pytest.mark.parametrize("name", CAUSAL)
def test_a_stream_keeps_no_view_of_a_chunk(name):
    model, x = tiny(name), laws.noise(1, 900)
    stream, buffer, heard = Streamer(model), torch.empty(1, 100, dtype=torch.float64), []
    for chunk in x.split(100, -1):
        buffer.copy_(chunk)
        heard.append(stream.feed(buffer).clone())
        buffer.fill_(float("nan"))
    heard.append(stream.flush())
    with torch.no_grad():
        laws.close(torch.cat(heard, -1), model(x))


@pytest.mark.parametrize("name", [name for name in TINY if name not in CAUSAL])
def test_what_is_not_causal_refuses_to_stream(name):
    with pytest.raises(ValueError, match="not causal, so it cannot stream; use a causal model"):
        Streamer(registry.create(name))


@pytest.mark.parametrize("name", [*TINY, *REAL])
def test_saved_and_loaded_is_the_same_to_the_bit(name, tmp_path):
    model = registry.create(name).eval()
    for value in model.state_dict().values():  # buffers too are not what `create` gives
        if value.is_floating_point():
            value.add_(torch.rand_like(value))
    hub.save(model, tmp_path / "model", card="# test\n", license="CC0-1.0")
    again = hub.load(tmp_path / "model")
    x = laws.noise(1, 2000, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(model(x), again(x))
    assert again.cfg == model.cfg
    assert not again.training


@pytest.mark.gpu
@pytest.mark.parametrize("name", REAL)
def test_cuda_agrees_with_cpu(name):
    model, x = tiny(name, torch.float32), laws.noise(2, 16000, dtype=torch.float32)
    with torch.no_grad():
        here = model(x)
        laws.close(model.to("cuda")(x.to("cuda")).cpu(), here, 1e-4)


@pytest.mark.parametrize("name", TINY)
def test_bfloat16_autocast_stays_finite(name, device):
    model = tiny(name, torch.float32, device)
    x = laws.noise(2, 2000, dtype=torch.float32, device=device)
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
        assert torch.isfinite(model(x).float()).all()
