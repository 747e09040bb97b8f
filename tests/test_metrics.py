"""Figures against scikit-learn's and against their definitions."""

import numpy as np
import pytest

from sepaudio import metrics

RANDOM = np.random.default_rng(0)
LABELS, SAID = RANDOM.integers(0, 3, 500), RANDOM.integers(0, 3, 500)


@pytest.mark.oracle
def test_figures_equal_scikit_learn():
    from sklearn import metrics as sk

    table = metrics.confusion(LABELS, SAID, 3)
    assert np.array_equal(table, sk.confusion_matrix(LABELS, SAID))
    assert metrics.accuracy(table) == pytest.approx(sk.accuracy_score(LABELS, SAID))
    balanced = sk.balanced_accuracy_score(LABELS, SAID)
    assert metrics.balanced_accuracy(table) == pytest.approx(balanced)
    assert metrics.f1_scores(table) == pytest.approx(sk.f1_score(LABELS, SAID, average=None))
    assert metrics.precisions(table) == pytest.approx(
        sk.precision_score(LABELS, SAID, average=None)
    )
    assert metrics.macro_f1(table) == pytest.approx(sk.f1_score(LABELS, SAID, average="macro"))


@pytest.mark.oracle
@pytest.mark.parametrize("digits", [1, 8])  # with many equal scores, and hardly any
def test_average_precision_equals_scikit_learn(digits):
    from sklearn.metrics import average_precision_score

    hits = np.eye(4)[RANDOM.integers(0, 4, 300)]
    scores = np.round(RANDOM.random((300, 4)), digits)
    weights = RANDOM.integers(0, 4, 300).astype(float)
    found = metrics.ranked(hits, scores)
    assert found(None) == pytest.approx(average_precision_score(hits, scores, average=None))
    wanted = average_precision_score(hits, scores, average=None, sample_weight=weights)
    assert found(weights) == pytest.approx(wanted)
    twice = np.repeat(np.arange(300), weights.astype(int))  # a weight is so many items
    assert found(weights) == pytest.approx(metrics.ranked(hits[twice], scores[twice])(None))


def test_average_precision_of_a_class_without_items_is_none():
    found = metrics.ranked([[1, 0], [0, 0], [1, 0]], [[0.9, 0.1], [0.5, 0.2], [0.1, 0.3]])(None)
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(found[1])
    assert np.isnan(metrics.ranked(np.zeros((0, 1)), np.zeros((0, 1)))(None)).all()


@pytest.mark.oracle
@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 3), (10, 3), (0, 5), (700, 640)])
def test_mcnemar_is_the_binomial_test_of_what_one_alone_has_right(one, other):
    binomtest = pytest.importorskip("scipy.stats").binomtest
    ours = [True] * one + [False] * other + [True] * 50
    theirs = [False] * one + [True] * other + [True] * 50
    wanted = binomtest(one, one + other).pvalue if one + other else 1.0
    assert metrics.mcnemar(ours, theirs) == pytest.approx(wanted)


def test_redrawn_figures_are_those_of_the_files_drawn():
    values = RANDOM.random(30)
    drawn = metrics.redrawn(30, lambda counts: [counts.sum(), counts @ values / 30], 500)
    assert (drawn[:, 0] == 30).all()
    assert drawn[:, 1].mean() == pytest.approx(values.mean(), abs=0.02)
    assert drawn[:, 1].std() == pytest.approx(values.std() / 30**0.5, rel=0.15)


def test_p_of_redrawn_differences():
    assert metrics.redrawn_p(np.zeros(100)) == 1
    assert metrics.redrawn_p(np.full(999, 0.1)) == pytest.approx(0.002)
    assert metrics.redrawn_p([-1, 1] * 50) == 1
    assert metrics.redrawn_p([np.nan] * 3) == 1


def test_an_interval_of_nothing_is_none():
    assert np.isnan(metrics.spread(np.full(5, np.nan))).all()
    assert metrics.spread(np.array([np.nan, 2.0, 2.0])) == (2, 2)


def test_a_class_that_does_not_occur_is_left_out_of_the_balance():
    assert metrics.balanced_accuracy([[3, 1, 0], [0, 0, 0], [0, 0, 5]]) == pytest.approx(0.875)
    assert metrics.f1_scores([[3, 1, 0], [0, 0, 0], [0, 0, 5]])[1] == 0


def test_calibration_of_a_sure_and_right_model_is_perfect():
    assert metrics.calibration_error(np.array([0, 1]), np.eye(2)) == 0


def test_calibration_error_is_the_gap_of_confidence_and_accuracy():
    chances = np.tile([0.9, 0.1], (10, 1))
    assert metrics.calibration_error(np.array([0] * 5 + [1] * 5), chances) == pytest.approx(0.4)


def test_bootstrap_holds_the_figure_and_widens_with_fewer_tracks():
    hits = RANDOM.random(200) < 0.8
    tables = np.stack([np.diag([1.0, 0]) if h else np.array([[0, 1.0], [0, 0]]) for h in hits])
    low, high = metrics.bootstrap(tables, metrics.accuracy)
    few_low, few_high = metrics.bootstrap(tables[:20], metrics.accuracy)
    assert low < hits.mean() < high
    assert few_high - few_low > 2 * (high - low)
