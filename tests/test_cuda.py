"""A CUDA device gives what the CPU gives: networks, gradients, streams, losses, mixtures.

`OTHER_DEVICE=cpu` tries these laws without a card.
"""

import mixed_voices
import pytest
import torch
from conftest import OTHER
from laws import close, noise, streams_like_whole
from test_models import CAUSAL, TINY, audio, given, tiny

from sepaudio import registry
from sepaudio.data import batched
from sepaudio.data.batched import Batched, to
from sepaudio.losses import LOSSES, absent, contrast, level_error, pit
from sepaudio.training.mixtures import extraction, separation

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")


def gradients(model):
    return {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TINY)
def test_outputs_and_gradients_are_those_of_the_cpu(name):
    """In float64, so that only what is computed can differ, not how it is rounded."""
    found = []
    for device in (CPU, OTHER):
        model = tiny(name, torch.float64, device)
        y = model(audio(model, 2, 1500), *given(model, 2))
        assert y.device.type == torch.device(device).type
        y.square().mean().backward()
        found.append((y.detach().cpu(), gradients(model)))
    (wanted, theirs), (made, ours) = found
    # an order of zero, with which wavelets begin, makes sines of a billion of them
    worse = 1e5 if name.startswith("esresnext") else 1.0
    close(made, wanted, 1e-9 * worse)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert (ours[key] - value).norm() <= 1e-8 * worse * value.norm() + 1e-14, key


@pytest.mark.parametrize("name", CAUSAL)
def test_streams_are_the_whole(name):
    model = tiny(name, torch.float64, OTHER)
    sizes, more = [7, 1, 130, 0, 26], given(model, 2)
    streams_like_whole(model, audio(model, 2, 1500), sizes, 1e-9, given=more)


def pairs_of(kind, n_src=2):
    """Estimates, sources [B, S, T], and lengths [B]."""
    x, y = noise(3, n_src, 2000, seed=1), noise(3, n_src, 2000, seed=2)
    estimates, lengths = x + 0.3 * y, torch.tensor([2000, 1500, 700 if kind == "padded" else 1])
    if kind == "silent sources":
        x = x * torch.tensor([1.0, 0.0, 0.0]).double()[:, None, None]
    if kind == "silent estimates":
        estimates = estimates * torch.tensor([0.0, 1.0, 0.0]).double()[:, None, None]
    if kind == "perfect":
        estimates = x.flip(1)
    return estimates.float(), x.float(), None if kind == "unpadded" else lengths


@pytest.mark.parametrize("kind", ["padded", "unpadded", "silent sources", "silent estimates"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_cpu(name, kind):
    found = []
    for device in (CPU, OTHER):
        estimates, sources, lengths = (
            None if x is None else x.to(device) for x in pairs_of(kind, n_src=3)
        )
        estimates.requires_grad_()
        loss, order = pit(estimates, sources, lengths, LOSSES[name])
        loss.sum().backward()
        assert loss.device == order.device == estimates.device
        found.append([x.detach().cpu() for x in (loss, estimates.grad, order)])
    (wanted, slope, order), (made, ours, other) = found
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-3)  # dB
    assert torch.isfinite(ours).all()
    allowed = 1e-2 if name == "multi_resolution_stft" else 1e-3  # logs of faint bins are steep
    assert (ours - slope).norm() <= allowed * slope.norm() + 1e-7
    assert torch.equal(order, other) or kind != "padded"  # elsewhere several are as good


@pytest.mark.parametrize("n_src", [2, 5])
def test_the_best_order_is_found(n_src):
    estimates, sources, _ = pairs_of("perfect", n_src)
    loss, order = pit(estimates.to(OTHER), sources.to(OTHER))
    assert order.tolist() == [list(range(n_src))[::-1]] * 3
    assert (loss < -100).all()


def test_what_extractors_learn_by_beside_is_that_of_the_cpu():
    estimates, sources, lengths = pairs_of("padded")
    vectors, match = noise(4, 6, seed=3), torch.tensor([2, -1, 0, 1])
    found = []
    for device in (CPU, OTHER):
        a, b, n = (x.to(device) for x in (estimates[:, 0], sources[:, 0], lengths))
        voices = contrast(*(x.to(device) for x in (vectors, vectors.flip(0), match)))
        found.append([x.cpu() for x in (absent(a, b, n), level_error(a, b, n), voices)])
    for wanted, made in zip(*found, strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return mixed_voices.rows(tmp_path_factory.mktemp("voices"))


CASES = {**mixed_voices.CASES, "all in rooms": {**mixed_voices.EVERYTHING, "room": 1.0}}


@pytest.mark.parametrize("name", CASES)
def test_mixtures_are_those_of_the_cpu(rows, name):
    """Of the same draws: rooms, speeds, noise and music, absent speakers, overlap."""
    source = Batched(mixed_voices.mixer(rows, **CASES[name]))
    packed = source.drawn(1, 2, range(24))
    wanted, made = (source(to(packed, torch.device(device))) for device in (CPU, OTHER))
    for key, value in wanted.items():
        assert made[key].device.type == torch.device(OTHER).type
        x = made[key].cpu()
        assert (x.shape, x.dtype) == (value.shape, value.dtype), key
        if value.is_floating_point() and value.numel():
            assert (x - value).abs().max() <= 2e-5 * value.abs().max(), key
        else:
            assert torch.equal(x, value), key


def test_longer_recordings_reach_the_card_in_pieces(rows, monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 1000)
    shelf = mixed_voices.mixer(rows).speech
    assert torch.equal(batched._copy(shelf, torch.device(OTHER)).cpu(), torch.tensor(shelf.samples))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["mitas_test", "tsenet_test"])
def test_an_objective_of_drawn_mixtures_is_that_of_the_cpu(rows, name):
    """From the draws to the gradient, in float32: voices, level and absent speakers too."""
    changes = {"sample_rate": mixed_voices.RATE} if name == "mitas_test" else {}
    n_src = (2, 2) if name == "mitas_test" else (1, 3)
    options = {**mixed_voices.EVERYTHING, "n_src": n_src}
    options["absent"] = 0.0 if name == "mitas_test" else 0.3
    source = Batched(mixed_voices.mixer(rows, **options))
    objective = separation("si_snr") if name == "mitas_test" else extraction("snr", 0.2, 0.1, 0.1)
    packed, found = source.drawn(1, 2, range(8)), []
    for device in (CPU, OTHER):
        torch.manual_seed(0)
        model = registry.create(name, **changes).to(device)
        loss = objective(model, source(to(packed, torch.device(device))))
        loss.backward()
        found.append((loss.item(), gradients(model)))
    (wanted, theirs), (made, ours) = found
    assert made == pytest.approx(wanted, abs=1e-2)  # dB
    a, b = (torch.cat([x.flatten() for x in one.values()]) for one in (theirs, ours))
    assert (a - b).norm() <= 1e-2 * a.norm()


def test_half_precision_around_a_step_stays_near(rows):
    source = Batched(mixed_voices.mixer(rows, **mixed_voices.EVERYTHING))
    packed = to(source.drawn(1, 2, range(8)), torch.device(OTHER))
    torch.manual_seed(0)
    model = registry.create("tsenet_test").to(OTHER)
    losses = []
    for half in (False, True):
        with torch.autocast(torch.device(OTHER).type, torch.bfloat16, enabled=half):
            losses.append(extraction("snr", 0.2)(model, source(packed)))
        losses[-1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), abs=0.5)  # dB
    assert all(torch.isfinite(x).all() for x in gradients(model).values())
