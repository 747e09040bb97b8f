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
