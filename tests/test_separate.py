"""`separate` and `extract` on arrays: rates, levels, windows, and what they refuse."""

import numpy as np
import pytest
import torch

import sepaudio
from sepaudio import registry
from sepaudio.data.presence import silenced, windows
from sepaudio.frontends import Embedding, fingerprint
from sepaudio.verbs.presence import each_window
from sepaudio.verbs.separate import same_order


def noise(seconds, rate=1000, seed=0):
    return np.random.default_rng(seed).standard_normal(round(seconds * rate)).astype(np.float32)


@pytest.fixture
def separator():
    torch.manual_seed(0)
    return registry.create("mitas_test").eval()


def test_estimates_are_what_the_model_says(separator):
    x = noise(1.2)
    estimates, rate = sepaudio.separate(x, 1000, model=separator)
    assert rate == 1000
    with torch.no_grad():
        whole = separator(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_array_equal(estimates, whole)


def test_the_rate_becomes_the_models_and_channels_are_averaged(separator):
    x = np.stack([noise(1, 4000), noise(1, 4000, seed=1)])
    estimates, rate = sepaudio.separate(x, 4000, model=separator)
    assert (estimates.shape, rate) == ((2, 1000), 1000)
    again, _ = sepaudio.separate(x.mean(axis=0), 4000, model=separator)
    np.testing.assert_array_equal(estimates, again)


def test_a_causal_model_hears_a_stream_of_any_length():
    model = registry.create("mitas_causal_test").double().eval()
    x = noise(3.456)
    estimates, _ = sepaudio.separate(x, 1000, model=model, whole=1.0)
    with torch.no_grad():
        whole = model(torch.from_numpy(x).double()[None])[0].numpy()
    np.testing.assert_allclose(estimates, whole, atol=1e-6 * whole.std())


def test_long_recordings_go_through_windows_that_fit_together():
    """A model without a global norm says the same in windows, away from their edges."""
    model = registry.create("convtasnet_test", tcn={"norm": "channel"}).eval()
    x = noise(5.0)
    windowed, _ = sepaudio.separate(x, 1000, model=model, whole=1.0)
    whole, _ = sepaudio.separate(x, 1000, model=model, whole=10.0)
    assert windowed.shape == whole.shape
    inside = np.ones(5000, bool)
    for edge in range(752, 5000, 752):
        inside[edge - 40 : edge + 290] = False
    assert np.abs(windowed - whole)[:, inside].max() < 1e-5
    assert np.abs(windowed - whole).max() < np.abs(whole).max()  # nothing is lost at the seams


def test_sources_keep_their_order_from_window_to_window():
    a = np.stack([noise(0.5, seed=i) for i in range(4)])
    for order in ([2, 0, 3, 1], [3, 2, 1, 0]):
        shuffled = a[order] + 0.1 * noise(0.5, seed=9)
        np.testing.assert_array_equal(np.array(order)[list(same_order(a, shuffled))], range(4))
    many = np.stack([noise(0.5, seed=i) for i in range(8)])
    order = np.random.default_rng(0).permutation(8)
    np.testing.assert_array_equal(order[list(same_order(many, many[order]))], range(8))


def test_extract_follows_the_embedding():
    torch.manual_seed(0)
    model = registry.create("tsenet_test").eval()
    x = noise(1.0)
    embedding = model.enroll(torch.from_numpy(noise(1.0, seed=1))[None])
    estimate, rate = sepaudio.extract(x, 1000, embedding, model=model)
    assert (estimate.shape, rate) == ((1000,), 1000)
    with torch.no_grad():
        whole = model(torch.from_numpy(x)[None], embedding)[0].numpy()
    np.testing.assert_array_equal(estimate, whole)
    with pytest.raises(ValueError, match="made by something else"):
        sepaudio.extract(x, 1000, np.ones(4, np.float32), model=model)
    bare = registry.create("tsenet_test", speaker=None).eval()
    assert sepaudio.extract(x, 1000, np.ones(4, np.float32), model=bare)[0].shape == (1000,)


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_estimates_of_silence_and_faint_sound_are_finite(separator, level):
    estimates, _ = sepaudio.separate(level * noise(0.3), 1000, model=separator)
    assert np.isfinite(estimates).all()


@pytest.mark.parametrize(
    ("x", "rate", "message"),
    [
        (np.zeros((0,), np.float32), 1000, "x has no samples"),
        (np.full(100, np.nan, np.float32), 1000, "x has NaN or infinite samples"),
        (np.zeros((100, 2), np.float32), 1000, r"x has shape \[100, 2\]: expected \[C, T\]"),
        (np.zeros(100, np.int16), 1000, "x has dtype int16: expected floats"),
        (np.zeros(100, np.float32), 0, "sample_rate=0: expected Hz"),
    ],
)
def test_bad_input_is_refused(separator, x, rate, message):
    with pytest.raises(ValueError, match=message):
        sepaudio.separate(x, rate, model=separator)


def test_models_of_another_job_are_refused(separator):
    with pytest.raises(
        ValueError, match="ConvTasNet does separation: expected extraction; use `se"
    ):
        sepaudio.extract(noise(1), 1000, np.ones(4), model=separator)
    with pytest.raises(ValueError, match="SwishNet does classification: expected separation; use"):
        sepaudio.separate(noise(1), 1000, model=registry.create("swishnet_test"))
    with pytest.raises(ValueError, match="'mitas' is an untrained architecture"):
        sepaudio.separate(noise(1), 1000, model="mitas")
    with pytest.raises(ValueError, match="does separation: expected classification; use `separate"):
        sepaudio.classify(noise(1), 1000, model=separator)


@pytest.mark.parametrize(("n", "size"), [(1, 1), (10, 10), (11, 10), (29, 10), (30, 10), (7, 3)])
def test_windows_cover_everything(n, size):
    starts = windows(n, size)
    heard = np.zeros(n)
    for start in starts:
        assert start + size <= n
        heard[start : start + size] += 1
    assert heard.min() >= 1
    assert max(np.diff(starts), default=0) <= max(size // 2, 1)


def test_stretches_without_the_speaker_become_silence():
    model = registry.create("tsenet_fourier_test").eval()  # windows of half a second
    told = Embedding(torch.zeros(1, 4), fingerprint(model.speaker))
    x, estimate = noise(4.0), noise(4.0, seed=5)
    found = each_window(model, x, told)
    assert len(found) == len(windows(4000, 500))
    assert np.all((found >= 0) & (found <= 1))
    for number, start in enumerate(windows(4000, 500)):  # each window by itself
        alone = model.presence(torch.from_numpy(x[None, start : start + 500]), told)
        assert abs(found[number] - alone.item()) < 1e-5
    found = np.array([not 1000 <= start < 2501 for start in windows(4000, 500)], np.float32)
    y = silenced(estimate, found, 500, 1000, 0.5)
    assert not y[1550:2450].any()
    np.testing.assert_array_equal(y[:900], estimate[:900])
    assert np.all(np.abs(y) <= np.abs(estimate))
    np.testing.assert_array_equal(silenced(estimate, found, 500, 1000, 0.0), estimate)


def test_extract_silences_only_when_asked():
    model = registry.create("tsenet_fourier_test").eval()
    with torch.no_grad():
        model.evidence.weight.zero_()
        model.evidence.bias.fill_(-3.0)  # the speaker is hardly ever there
    x, told = noise(2.0), Embedding(torch.ones(1, 4), fingerprint(model.speaker))
    assert not sepaudio.extract(x, 1000, told, model=model)[0].any()
    assert sepaudio.extract(x, 1000, told, model=model, least=0.0)[0].any()
    short, _ = sepaudio.extract(x[:1], 1000, told, model=model)
    assert short.shape == (1,)
