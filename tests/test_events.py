"""Segments and events: sed_eval's counts, and the definition on cases by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from sepaudio import metrics
from sepaudio.metrics.events import _pairs

GOLDEN = json.loads((Path(__file__).parent / "golden" / "sed_eval.json").read_text())
LABELS = ("dog", "car", "bell", "wind")
CASES = [name for name in GOLDEN if name.startswith(("segments", "events"))]


def spans(events):
    return [[(a, b) for a, b, label in events if label == name] for name in LABELS]


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES)
def test_counts_and_figures_are_those_of_sed_eval(case):
    kind, size = case.split()
    count = metrics.segment_counts if kind == "segments" else metrics.event_counts
    found = sum(count(*map(spans, pair), float(size)) for pair in GOLDEN["files"])
    assert found.tolist() == GOLDEN[case]["counts"]
    assert metrics.f1_of(found.sum(axis=0)) == pytest.approx(GOLDEN[case]["micro"])
    assert metrics.f1_of(found)[-1] == 0  # occurs, is never predicted
    if kind == "events":
        assert metrics.f1_of(found).mean() == pytest.approx(GOLDEN[case]["macro"])


def test_the_golden_cases_differ():
    assert len(CASES) == 5
    assert len({json.dumps(GOLDEN[case]["counts"]) for case in CASES}) == 5


@pytest.mark.parametrize(
    ("estimate", "found"),
    [
        ((1.0, 3.0), 1),
        ((1.2, 3.0), 1),  # on the collar
        ((1.200001, 3.0), 0),
        ((1.0, 4.0), 1),  # half of two seconds
        ((1.0, 4.000001), 0),
        ((0.8, 2.0), 1),
        ((0.799999, 2.0), 0),
    ],
)
def test_an_event_is_found_by_its_ends(estimate, found):
    assert metrics.event_counts([[(1, 3)]], [[estimate]]).tolist() == [[found, 1, 1]]


def test_a_short_event_has_the_collar_at_its_end_too():
    for end, found in ((1.3, 1), (1.300001, 0)):
        assert metrics.event_counts([[(1, 1.1)]], [[(1, end)]])[0, 0] == found


def test_as_many_events_are_matched_as_possible():
    """The first estimate fits both references, the second only the first."""
    there, said = [(1.0, 2.0), (1.3, 2.3)], [(1.15, 2.15), (0.9, 1.9)]
    assert metrics.event_counts([there], [said])[0, 0] == 2
    assert metrics.event_counts([there[::-1]], [said[::-1]])[0, 0] == 2


@pytest.mark.oracle
def test_matching_is_largest():
    sparse = pytest.importorskip("scipy.sparse")
    from scipy.sparse.csgraph import maximum_bipartite_matching

    random = np.random.default_rng(0)
    for _ in range(100):
        near = random.random(random.integers(1, 12, 2)) < random.random() / 2
        wanted = maximum_bipartite_matching(sparse.csr_matrix(near), perm_type="column")
        assert _pairs([np.flatnonzero(row).tolist() for row in near]) == (wanted >= 0).sum()


def test_long_chains_of_matches_need_no_recursion():
    near = [[i, i + 1] for i in range(3000)]
    assert _pairs([*near[1:], [1], [0]]) == 3001


def test_a_class_is_active_in_a_segment_that_it_touches():
    counts = metrics.segment_counts([[(0.5, 2.0)]], [[(1.999999, 3.000001)]])
    assert counts.tolist() == [[1, 2, 3]]
    counts = metrics.segment_counts([[(0.1, 0.2)]], [[]], length=0.1)
    assert counts.tolist() == [[0, 1, 0]]  # 0.2 / 0.1 is more than 2 in floats elsewhere


def test_active_excludes_ends_and_joins_overlaps():
    times = [0.0, 0.5, 1.0, 1.5, 2.0]
    found = metrics.active([(0.5, 1.5), (1.0, 2.0)], times)
    assert found.tolist() == [False, True, True, True, False]
    assert not metrics.active([], times).any()


def test_nothing_to_find_has_no_f1():
    assert np.isnan(metrics.f1_of(metrics.event_counts([[]], [[]]))).all()
    assert metrics.f1_of([0, 0, 3]) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.segment_counts([], [], 0), "length=0: expected seconds"),
        (lambda: metrics.event_counts([], [], -1), "collar=-1, share=0.5: expected 0 or more"),
    ],
)
def test_impossible_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
