"""Fisher vectors by their laws and an oracle; classical classifiers found, saved, used."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
import torch
from test_cli import call
from test_em import mixture

from sepaudio import hub, io, registry
from sepaudio.frontends import mel_cfg
from sepaudio.layers import GMM, fisher_size, fisher_vector
from sepaudio.models.classical import ClassicalCfg
from sepaudio.training.classical import (
    ClassicalRecipe,
    Example,
    fit_classical,
    summaries,
    support_vectors,
)
from sepaudio.training.classify import best_temperature
from sepaudio.training.em import MixtureCfg, fit_mixture
from sepaudio.training.recipe import RecipeCfg
from sepaudio.training.start import model_of
from sepaudio.verbs.classify import classify, probabilities

RATE = 8000
LABELS = ("tone", "hiss", "click")
learned = pytest.mark.skipif(find_spec("sklearn") is None, reason="needs scikit-learn")


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sound(kind, seed, seconds=0.5):
    """One of three kinds, at some level."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    x = {
        "tone": np.sin(2 * np.pi * random.uniform(200, 800) * t) * (1 + 0.3 * np.sin(20 * t)),
        "hiss": random.standard_normal(len(t)),
        "click": random.standard_normal(len(t)) * (random.random(len(t)) < 0.01),
    }[kind]
    x = x + 0.01 * random.standard_normal(len(t))
    return (random.uniform(0.01, 0.1) * x).astype(np.float32)


def cfg(method, /, **changes):
    features = mel_cfg("psf", RATE, n_mels=16, n_mfcc=6)
    return ClassicalCfg(
        **{"labels": LABELS, "features": features, "components": 4, "method": method, **changes}
    )


def examples(of, n=8):
    frontend = registry.build(of).frontend
    return [
        Example(
            features=frontend(torch.from_numpy(sound(kind, 10 * i + k))[None])[0],
            label=k,
            held_out=i >= n // 2,
        )
        for i in range(n)
        for k, kind in enumerate(LABELS)
    ]


@pytest.fixture(scope="module", params=["votes", "likelihood", "fisher"])
def fitted(request):
    if request.param == "fisher" and find_spec("sklearn") is None:
        pytest.skip("needs scikit-learn")
    of = cfg(request.param)
    return fit_classical(of, examples(of), ClassicalRecipe(frames=500, steps=4, seed=1))


def test_a_fisher_vector_is_the_whitened_gradient_of_the_likelihood():
    model, x = mixture("diagonal"), 2 * noise(2, 5, 30)
    weights = model.log_weights.exp()
    logits = model.log_weights.clone().requires_grad_()
    means = model.means.clone().requires_grad_()
    variances = model.covariances().clone().requires_grad_()
    found = []
    for frames in x:
        normal = torch.distributions.Normal(means, variances.sqrt())
        each = normal.log_prob(frames.T[:, None]).sum(-1) + logits.log_softmax(0)  # [L, C]
        mean = each.logsumexp(1).mean()
        a, b, c = torch.autograd.grad(mean, (logits, means, variances))
        root = weights.sqrt()[:, None]
        whitened = (a / weights.sqrt(), b * variances.sqrt() / root, c * 2**0.5 * variances / root)
        found.append(torch.cat([part.flatten() for part in whitened]))
    vectors = fisher_vector(model, x, improved=False)
    torch.testing.assert_close(vectors, torch.stack(found))
    assert vectors.shape == (2, fisher_size(4, 5)) == (2, 44)


@pytest.mark.oracle
@pytest.mark.parametrize("improved", [False, True])
def test_fisher_vectors_equal_scikit_images_but_for_a_sign(improved):
    feature = pytest.importorskip("skimage.feature")
    model, x = mixture("diagonal"), 2 * noise(5, 40)
    theirs = feature.fisher_vector(x.T.numpy(), scikit(model), improved=improved)
    theirs[-20:] *= -1  # the variances
    found = fisher_vector(model, x[None], improved=improved)[0]
    assert found.numpy() == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_likelihood_equals_scikit_learns(kind):
    pytest.importorskip("sklearn")
    model, x = mixture(kind), 2 * noise(5, 40)
    theirs = scikit(model)
    assert model.log_likelihood(x).numpy() == pytest.approx(theirs.score_samples(x.T.numpy()))
    assert model.posteriors(x).T.numpy() == pytest.approx(theirs.predict_proba(x.T.numpy()))


def scikit(model):
    """The same mixture in scikit-learn."""
    from sklearn.mixture import GaussianMixture

    diagonal = model.covariance == "diagonal"
    found = GaussianMixture(len(model.means), covariance_type="diag" if diagonal else "full")
    found.weights_ = model.log_weights.exp().numpy()
    found.means_, found.covariances_ = model.means.numpy(), model.covariances().numpy()
    # what it keeps besides, precision = factor factorᵀ
    found.precisions_cholesky_ = model.roots.numpy() if diagonal else model.roots.mT.numpy()
    return found


def test_the_mean_over_what_a_mixture_was_fitted_to_is_zero():
    frames = torch.cat([noise(3, 400), noise(3, 400, seed=1) * 2 + 3], dim=1)
    steps = MixtureCfg(components=3, covariance="diagonal", diagonal_steps=300)
    model, _ = fit_mixture(frames, steps)
    parts = torch.stack(frames.split(100, dim=1))
    vectors = fisher_vector(model, parts, improved=False)
    assert vectors.mean(dim=0).abs().max() < 1e-3 < 0.05 < vectors.abs().mean()


def test_order_of_frames_changes_nothing_and_length_is_one():
    model, x = mixture("diagonal"), noise(2, 5, 30)
    shuffled = x[..., torch.randperm(30, generator=torch.Generator().manual_seed(0))]
    found = fisher_vector(model, x)
    torch.testing.assert_close(fisher_vector(model, shuffled), found)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2).double())
    assert not torch.allclose(fisher_vector(model, x + 0.1), found)


def test_frames_that_do_not_count_change_nothing():
    model, x = mixture("diagonal"), noise(2, 5, 30)
    counted = torch.arange(30)[None] < torch.tensor([[20], [30]])
    found = fisher_vector(model, x, counted)
    torch.testing.assert_close(found[0], fisher_vector(model, x[:1, :, :20])[0])
    x[0, :, 20:] = 1e3
    torch.testing.assert_close(fisher_vector(model, x, counted), found)


def test_a_full_mixture_is_refused():
    with pytest.raises(ValueError, match="covariance='full': expected 'diagonal'"):
        fisher_vector(GMM(2, 3, "full"), noise(1, 3, 4))


def test_fitting_never_loses_likelihood_and_tells_kinds_apart(fitted):
    assert len(fitted.histories) == (1 if fitted.cost else 3)
    for history in fitted.histories:
        assert min(b - a for a, b in pairwise(history)) >= -1e-9
        assert history[-1] > history[0]
    assert fitted.valid_accuracy > 0.9
    for seed in (1001, 1002):
        for kind in LABELS:
            found = classify(sound(kind, seed), RATE, model=fitted.model)
            assert found.label == kind
            assert sum(found.probabilities.values()) == pytest.approx(1)


def test_how_loud_a_recording_is_changes_next_to_nothing(fitted):
    for kind in LABELS:
        x = sound(kind, 5)
        loud, soft = (probabilities(fitted.model, [gain * x])[0] for gain in (1.0, 0.03))
        assert loud == pytest.approx(soft, abs=2e-3)


def test_lengths_of_a_batch_change_nothing(fitted):
    sounds = [sound("tone", 1, 0.5), sound("hiss", 2, 0.31), sound("click", 3, 0.02)]
    together = probabilities(fitted.model, sounds)
    for row, x in zip(together, sounds, strict=True):
        assert row == pytest.approx(probabilities(fitted.model, [x])[0], abs=1e-5)


def test_silence_around_a_sound_changes_little(fitted):
    """Its frames do not count; those of the edges, which hold some of both, are few."""
    if fitted.model.cfg.method == "likelihood":
        return  # a single frame unlike all others outweighs the rest of a mean of log densities
    x = sound("hiss", 3)
    padded = np.concatenate([np.zeros(4000, np.float32), x, np.zeros(9000, np.float32)])
    found = probabilities(fitted.model, [padded])[0]
    assert found == pytest.approx(probabilities(fitted.model, [x])[0], abs=0.3)
    assert found.argmax() == 1


def test_saved_models_classify_without_scikit_learn(fitted, tmp_path, monkeypatch, capfd):
    for name in ("sklearn", "sklearn.svm", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)
    folder = hub.save(fitted.model, tmp_path / "model", card="#\n", license="CC0-1.0")
    io.write(tmp_path / "a.wav", sound("click", 77), RATE)
    code, out, err = call(capfd, "classify", "-m", folder, tmp_path / "a.wav", "-f", "csv")
    assert code == 0, err
    assert ",click," in out.splitlines()[1]


def test_fitting_repeats_to_the_bit(fitted):
    of = fitted.model.cfg
    again = fit_classical(of, examples(of), ClassicalRecipe(frames=500, steps=4, seed=1))
    for one, other in zip(
        fitted.model.state_dict().values(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_every_class_is_needed_on_both_sides():
    of = cfg("votes")
    given = [e for e in examples(of, 2) if e.label != 1 or not e.held_out]
    with pytest.raises(ValueError, match="no clip held out of hiss: expected one of every class"):
        fit_classical(of, given)


def test_stages_are_reported():
    of, told = cfg("votes"), []
    fit_classical(of, examples(of, 2), report=lambda stage, value: told.append((stage, value)))
    assert {stage.split(":")[0] for stage, _ in told} == set(LABELS)
    assert all(np.isfinite(value) for _, value in told)


@learned
@pytest.mark.oracle
@pytest.mark.parametrize("n", [2, 3])
def test_support_vectors_decide_as_scikit_learn(n):
    from sklearn.svm import LinearSVC

    labels = torch.arange(60) % n
    x = noise(60, 4) + labels[:, None]
    weight, bias = support_vectors(x, labels, 1.0)
    assert weight.shape == (n, 4)
    theirs = LinearSVC(C=1.0, class_weight="balanced", random_state=0, max_iter=20_000)
    said = theirs.fit(x.numpy(), labels.numpy()).predict(x.numpy())
    assert (x @ weight.T + bias).argmax(1).tolist() == said.tolist()


def test_a_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(ImportError, match=r"pip install 'sepaudio\[train\]'"):
        support_vectors(noise(4, 2), torch.tensor([0, 1, 0, 1]), 1.0)


def test_the_best_temperature_is_that_of_the_labels():
    random = torch.Generator().manual_seed(0)
    logits = 2 * noise(4000, 3)
    labels = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    assert best_temperature(5 * logits, labels) == pytest.approx(5, rel=0.1)


def test_summaries_of_many_clips_are_those_of_each(fitted):
    given = examples(fitted.model.cfg, 2)
    given[0] = replace(given[0], features=given[0].features[:, :17])
    with torch.no_grad():
        for row, e in zip(summaries(fitted.model, given), given, strict=True):
            torch.testing.assert_close(row, fitted.model.summary(e.features[None])[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "svm"}, "method='svm': expected one of votes, likelihood, fisher"),
        ({"labels": ("a",)}, "expected two classes or more"),
        ({"quiet_db": 0.0}, "quiet_db=0.0: expected more than 0"),
        ({"features": mel_cfg("psf", RATE, energy=False)}, "features.energy=False: expected True"),
    ],
)
def test_impossible_cfgs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        cfg("fisher", **changes)


def test_training_by_gradient_is_refused():
    with pytest.raises(ValueError, match="gmm is found by expectation maximisation: expected one"):
        model_of(RecipeCfg(architecture="gmm"))
