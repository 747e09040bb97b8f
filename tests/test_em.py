"""Mixtures and subspaces: densities against their definitions, EM that never loses."""

import math
from itertools import pairwise

import pytest
import torch

from sepaudio.layers.gmm import GMM, Statistics, Subspace, scatter, statistics
from sepaudio.training.em import MixtureCfg, SubspaceCfg, fit_mixture, fit_subspace

D, C, R = 5, 4, 3
KINDS = ["diagonal", "full"]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(kind, seed=0):
    """Random weights, means and covariances."""
    torch.manual_seed(seed)
    model = GMM(C, D, kind).double()
    a = noise(C, D, D + 3, seed=seed)
    full = a @ a.mT / D
    covariances = full if kind == "full" else full.diagonal(dim1=-2, dim2=-1)
    model.assign(noise(C, seed=seed).softmax(0), 3 * noise(C, D, seed=seed + 1), covariances)
    return model


def drawn(model, n, seed=0):
    """Frames [D, n] of a mixture."""
    torch.manual_seed(seed)
    which = torch.multinomial(model.log_weights.exp(), n, replacement=True)
    covariances = model.covariances()
    if model.covariance == "diagonal":
        covariances = torch.diag_embed(covariances)
    factor = torch.linalg.cholesky(covariances)
    x = model.means[which] + (factor[which] @ torch.randn(n, D, 1).double())[..., 0]
    return x.T


def speakers(model, n=40, length=60, rank=R, seed=0):
    """Recordings [n][D, length] whose means move in a subspace."""
    torch.manual_seed(seed)
    loadings = torch.randn(C, D, rank).double()
    out = []
    for _ in range(n):
        moved = GMM(C, D, model.covariance).double()
        means = model.means + loadings @ torch.randn(rank).double()
        moved.assign(model.log_weights.exp(), means, model.covariances())
        out.append(drawn(moved, length, seed=torch.randint(10**6, ()).item()))
    return out


def collected(model, recordings):
    each = [statistics(model.posteriors(x), x) for x in recordings]
    x = torch.cat(recordings, dim=1)
    of = Statistics(torch.stack([s.counts for s in each]), torch.stack([s.sums for s in each]))
    return of, scatter(model.posteriors(x), x, model.covariance)


def rises(history):
    """No value lies below the one before it, rounding aside."""
    return all(b >= a - 1e-10 * abs(a) for a, b in pairwise(history))


def test_rises_can_fail():
    assert rises([-2.0, -1.0, -1.0])
    assert not rises([-2.0, -1.0, -1.001])


@pytest.mark.parametrize("kind", KINDS)
def test_log_densities_equal_torchs(kind, device):
    model, x = mixture(kind).to(device), 4 * noise(2, D, 7).to(device) + 100
    covariances = model.covariances()
    if kind == "diagonal":
        covariances = torch.diag_embed(covariances)
    normal = torch.distributions.MultivariateNormal(model.means, covariances)
    wanted = normal.log_prob(x.mT[..., None, :]).mT + model.log_weights[:, None]
    torch.testing.assert_close(model.log_densities(x), wanted)
    torch.testing.assert_close(model.log_likelihood(x), wanted.logsumexp(-2))
    torch.testing.assert_close(model.posteriors(x), wanted.softmax(-2))
    assert model.log_densities(x[..., :0]).shape == (2, C, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_far_from_the_origin_keeps_its_digits(kind):
    model, x = mixture(kind), 4 * noise(D, 50)
    wanted = model.log_densities(x)
    model.means += 1000
    found = model.float().log_densities(x.float() + 1000)
    assert (found.double() - wanted).abs().max() < 1e-3 * wanted.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_change_nothing(kind, monkeypatch):
    model, x = mixture(kind), noise(3, D, 50)
    before, squares = model.log_densities(x), scatter(model.posteriors(x[0]), x[0], kind)
    monkeypatch.setattr("sepaudio.layers.gmm.TILE", 3 * C * D)
    torch.testing.assert_close(model.log_densities(x), before)
    torch.testing.assert_close(scatter(model.posteriors(x[0]), x[0], kind), squares)


def test_statistics_are_sums():
    model, x = mixture("full"), noise(2, D, 20)
    p = model.posteriors(x)
    of = statistics(p, x)
    torch.testing.assert_close(of.counts.sum(-1), torch.full((2,), 20.0).double())
    torch.testing.assert_close(of.sums.sum(1), x.sum(-1))
    wanted = torch.einsum("cl,dl,el->cde", p[0], x[0], x[0])
    torch.testing.assert_close(scatter(p[0], x[0]), wanted)
    diagonal = wanted.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(scatter(p[0], x[0], "diagonal"), diagonal)


def test_top_and_prune():
    model, x = mixture("full"), 2 * noise(D, 200)
    p = model.posteriors(x)
    top = model.posteriors(x, top=2)
    assert ((top > 0).sum(0) <= 2).all()
    kept = torch.where(p >= p.topk(2, dim=0).values[-1:], p, 0)
    torch.testing.assert_close(top, kept / kept.sum(0))
    pruned = model.posteriors(x, prune=0.3)
    kept = torch.where((p >= 0.3) | (p == p.amax(0)), p, 0)
    torch.testing.assert_close(pruned, kept / kept.sum(0))
    assert (pruned == 0).any()
    assert model.posteriors(x, prune=0.9).count_nonzero() == 200
    with pytest.raises(ValueError, match="top=0: expected at least 1"):
        model.posteriors(x, top=0)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match=r"covariance='round': expected one of diagonal, full"):
        GMM(2, 3, "round")
    with pytest.raises(ValueError, match="components=0"):
        GMM(0, 3)
    with pytest.raises(ValueError, match=r"expected \[..., 5, L\], time last"):
        mixture("full").log_densities(noise(7, D))
    with pytest.raises(ValueError, match="rank=0"):
        Subspace(mixture("full"), 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("components", [1, 3, 8])
def test_mixture_likelihood_never_falls(kind, seed, components):
    x = drawn(mixture("full", seed), 800, seed)
    cfg = MixtureCfg(components=components, covariance=kind, seed=seed)
    fitted, history = fit_mixture(x, cfg)
    assert rises(history)
    assert history[-1] > history[0]
    assert fitted.components == components
    assert history[-1] == pytest.approx(fitted.log_likelihood(x).mean().item(), abs=1e-9)


def test_more_of_a_mixture_explains_more_and_the_truth_is_found():
    truth = mixture("full")
    x = drawn(truth, 6000)
    one = fit_mixture(x, MixtureCfg(components=1))[1][-1]
    cfgs = [MixtureCfg(components=C, full_steps=40, seed=seed) for seed in range(4)]
    fitted, history = max((fit_mixture(x, cfg) for cfg in cfgs), key=lambda fit: fit[1][-1])
    assert one < history[-1]
    assert history[-1] >= truth.log_likelihood(x).mean().item()
    normal = torch.distributions.MultivariateNormal(x.mean(1), x.cov(correction=0))
    assert one == pytest.approx(normal.log_prob(x.T).mean().item(), abs=1e-9)
    order = fitted.log_weights.argsort(), truth.log_weights.argsort()
    assert (fitted.means[order[0]] - truth.means[order[1]]).abs().max() < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_stands_single_frames_and_frames_in_a_plane(kind):
    x = noise(D, 100)
    x[:, :40] = x[:, :1]  # the same frame forty times
    x[1] = x[0]
    x[:, 99] = 1e3
    fitted, history = fit_mixture(x, MixtureCfg(components=16, covariance=kind))
    assert rises(history)
    assert all(torch.isfinite(value).all() for value in fitted.state_dict().values())
    variances = fitted.covariances()
    if kind == "full":
        floor = 0.01 * x.var(dim=1, correction=0)
        white = variances / (floor.sqrt()[:, None] * floor.sqrt())
        assert torch.linalg.eigvalsh(white).min() > 0.999


def test_fits_repeat_bit_for_bit_with_a_seed():
    x = drawn(mixture("full"), 400)
    again = [fit_mixture(x, MixtureCfg(components=4, seed=s))[0].means for s in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_fits_on_any_device(device):
    model = mixture("full")
    recordings = [x.to(device) for x in speakers(model, n=4)]
    fitted, history = fit_mixture(torch.cat(recordings, dim=1), MixtureCfg(components=2))
    assert rises(history)
    found = fit_subspace(fitted, *collected(fitted, recordings), SubspaceCfg(rank=2, steps=3))
    assert rises(found[1])
    assert found[0].loadings.device.type == device.type


def test_frames_that_no_mixture_fits_are_refused():
    cfg = MixtureCfg(components=8)
    with pytest.raises(ValueError, match="5 frames for components=8: expected at least as many"):
        fit_mixture(noise(D, 5), cfg)
    with pytest.raises(ValueError, match="NaN or infinity"):
        fit_mixture(torch.full((D, 50), math.nan), cfg)
    with pytest.raises(ValueError, match="the same in all frames"):
        fit_mixture(torch.ones(D, 50), cfg)


def test_the_order_of_gaussians_is_not_left_to_a_library(monkeypatch):
    """Which of two directions an axis has differs between libraries of linear algebra."""
    frames = drawn(mixture("diagonal"), 400)
    right, found = torch.linalg.eigh, []
    for sign in (1, -1):
        monkeypatch.setattr(
            torch.linalg, "eigh", lambda x, sign=sign: (right(x)[0], sign * right(x)[1])
        )
        found.append(fit_mixture(frames, MixtureCfg(components=4))[0].means)
    assert torch.equal(*found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 7])
def test_subspace_likelihood_never_falls(kind, update, rank):
    model = mixture(kind)
    cfg = SubspaceCfg(rank=rank, steps=12, update_covariance=update)
    fitted, history = fit_subspace(model, *collected(model, speakers(model)), cfg)
    assert len(history) == 13
    assert rises(history)
    assert history[-1] > history[0] + 0.01
    assert fitted.loadings.shape == (C, D, rank)


def marginal(model, fitted, of, squares):
    """Log-likelihood per frame from the definition: one large Gaussian per recording."""
    total = 0.0
    roots = fitted.roots if fitted.roots.ndim == 3 else torch.diag_embed(fitted.roots)
    loadings = torch.linalg.solve(roots, fitted.loadings)
    for counts, sums in zip(of.counts, of.sums, strict=True):
        n = counts[:, None, None]
        sigma = torch.block_diag(*torch.linalg.inv(roots.mT @ roots) / n)  # of the frames' mean
        t = loadings.flatten(0, 1)
        mean = (sums / counts[:, None] - fitted.centres).flatten()
        full = torch.distributions.MultivariateNormal(torch.zeros_like(mean), sigma + t @ t.T)
        alone = torch.distributions.MultivariateNormal(torch.zeros_like(mean), sigma)
        total += (full.log_prob(mean) - alone.log_prob(mean)).item()
    precision = roots.mT @ roots
    square = squares if squares.ndim == 3 else torch.diag_embed(squares)
    all_counts, all_sums, m = of.counts.sum(0), of.sums.sum(0), fitted.centres
    cross = all_sums[:, :, None] * m[:, None]
    about = square - cross - cross.mT + all_counts[:, None, None] * m[:, :, None] * m[:, None]
    trace = (precision * about).sum()
    logs = torch.linalg.slogdet(precision / (2 * math.pi)).logabsdet
    total += ((all_counts * logs).sum() - trace).item() / 2
    return total / all_counts.sum().item()


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_is_that_of_the_definition(kind):
    model = mixture(kind)
    of, squares = collected(model, speakers(model, n=10))
    if kind == "diagonal":  # off-diagonal squares do not enter
        squares = scatter_diagonal(squares)
    fitted, history = fit_subspace(model, of, squares, SubspaceCfg(rank=2, steps=3))
    assert history[-1] == pytest.approx(marginal(model, fitted, of, squares), abs=1e-9)


def scatter_diagonal(squares):
    return squares if squares.ndim == 2 else squares.diagonal(dim1=-2, dim2=-1)


def test_the_subspace_ends_above_the_truth():
    """More likely than the parameters that made the recordings: it was fitted to them."""
    model = mixture("full")
    recordings = speakers(model, n=80)
    of, squares = collected(model, recordings)
    _, history = fit_subspace(model, of, squares, SubspaceCfg(rank=R, steps=60))
    truth = Subspace(model, R).double()
    torch.manual_seed(0)
    truth.loadings.copy_(model.roots @ torch.randn(C, D, R).double())  # as `speakers` draws them
    assert history[-1] > marginal(model, truth, of, squares) > history[0]


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    model = mixture(request.param)
    of, squares = collected(model, speakers(model))
    return model, fit_subspace(model, of, squares, SubspaceCfg(rank=R))[0], of, squares


def test_without_frames_the_vector_is_zero_and_grows_with_them(fitted):
    _, subspace, of, _ = fitted
    sizes = []
    for share in (0.0, 1e-9, 1e-3, 1.0):
        mean, _ = subspace.posterior(Statistics(of.counts * share, of.sums * share))
        sizes.append(mean.norm(dim=1).max().item())
    assert sizes[0] == 0
    assert sizes[1] < 1e-5 < sizes[2] < sizes[3]


def test_hearing_only_makes_surer(fitted):
    _, subspace, of, _ = fitted
    _, factor = subspace.posterior(of)
    covariance = torch.cholesky_inverse(factor)
    assert torch.linalg.eigvalsh(covariance).max() <= 1 + 1e-12
    more = Statistics(2 * of.counts, 2 * of.sums)
    surer = torch.cholesky_inverse(subspace.posterior(more)[1])
    assert torch.linalg.eigvalsh(covariance - surer).min() > -1e-12


def test_rotating_loadings_and_vector_together_changes_nothing(fitted):
    model, subspace, of, squares = fitted
    before, _ = subspace.posterior(of)
    value = marginal(model, subspace, of, squares)
    rotation = torch.linalg.qr(noise(R, R))[0]
    subspace.loadings.copy_(subspace.loadings @ rotation)
    after, _ = subspace.posterior(of)
    torch.testing.assert_close(after, before @ rotation)
    assert marginal(model, subspace, of, squares) == pytest.approx(value, abs=1e-10)


def test_posterior_is_that_of_the_definition(fitted):
    _, subspace, of, _ = fitted
    mean, factor = subspace.posterior(of)
    roots = subspace.roots if subspace.roots.ndim == 3 else torch.diag_embed(subspace.roots)
    t, inverse = torch.linalg.solve(roots, subspace.loadings), roots.mT @ roots
    for u in range(3):
        n = of.counts[u]
        precision = torch.eye(R).double() + torch.einsum("c,cdr,cde,ces->rs", n, t, inverse, t)
        centred = of.sums[u] - n[:, None] * subspace.centres
        wanted = torch.linalg.solve(precision, torch.einsum("cdr,cde,ce->r", t, inverse, centred))
        torch.testing.assert_close(mean[u], wanted)
        torch.testing.assert_close(factor[u] @ factor[u].T, precision)


def test_after_minimum_divergence_the_vectors_are_standard_normal():
    """Mean zero; mean of the second moments the identity, when EM has settled."""
    model = mixture("full")
    of, squares = collected(model, speakers(model))
    subspace, _ = fit_subspace(model, of, squares, SubspaceCfg(rank=R, steps=200))
    w, factor = subspace.posterior(of)
    moment = (torch.cholesky_inverse(factor) + w[:, :, None] * w[:, None]).mean(0)
    assert w.mean(0).abs().max() < 1e-2
    assert (moment - torch.eye(R)).abs().max() < 1e-2


def test_a_gaussian_without_frames_stays_and_one_recording_is_too_few():
    model = mixture("full")
    model.log_weights[0], model.means[0] = -1e4, 1e3
    of, squares = collected(model, speakers(model, n=5))
    subspace, history = fit_subspace(model, of, squares, SubspaceCfg(rank=2))
    assert rises(history)
    assert all(torch.isfinite(value).all() for value in subspace.state_dict().values())
    with pytest.raises(ValueError, match="1 recordings: expected at least 2"):
        fit_subspace(model, Statistics(of.counts[:1], of.sums[:1]), squares, SubspaceCfg())
