from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tunesmith.report import counts

NAMES = ["a", "b", "c"]
CELLS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=60)


@given(CELLS)
def test_confusion_and_class_scores_equal_the_reference(cells: list[tuple[str, str]]) -> None:
    given_, predicted = [a for a, _ in cells], [b for _, b in cells]
    matrix = counts.confusion(given_, predicted, NAMES)
    assert np.array_equal(matrix, confusion_matrix(given_, predicted, labels=NAMES))
    scores = counts.class_scores(NAMES, np.diag(matrix), matrix.sum(1), matrix.sum(0))
    reference = precision_recall_fscore_support(given_, predicted, labels=NAMES, zero_division=0)
    for i, score in enumerate(scores):
        assert (score.precision.value or 0) == pytest.approx(reference[0][i])
        assert (score.recall.value or 0) == pytest.approx(reference[1][i])
        assert (score.f1.value or 0) == pytest.approx(reference[2][i])
        assert score.support == reference[3][i]


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_in_zero_to_one(case: tuple[int, int]) -> None:
    hits, n = case
    rate = counts.wilson(hits, n)
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    assert rate.low < rate.high


def test_wilson_against_known_figures() -> None:
    rate = counts.wilson(81, 263)  # Newcombe 1998, table I, method 3
    assert (rate.low, rate.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert counts.wilson(0, 0) == counts.Rate(None)


def test_f1_interval_covers_the_truth_about_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    chances = np.array([0.25, 0.06, 0.04, 0.65])  # TP, FN, FP, TN
    truth = 2 * 0.25 / (2 * 0.25 + 0.1)
    drawn = rng.multinomial(300, chances, 2_000)
    rates = [counts.f1_rate(int(tp), int(fn), int(fp)) for tp, fn, fp, _ in drawn]
    covered = np.mean([rate.low is not None and rate.high is not None and rate.low <= truth <= rate.high for rate in rates])
    assert 0.93 <= covered <= 0.97


def test_rows_without_a_label_are_not_counted_and_unknown_labels_get_a_class() -> None:
    names = counts.class_names(["a"], ["a", None, "z"], ["a", "a", "b"])
    assert names == ["a", "b", "z"]
    matrix = counts.confusion(["a", None, "z"], ["a", "a", "b"], names)
    assert matrix.sum() == 2
    assert matrix[2, 1] == 1


def test_top_confusions_are_the_largest_cells_off_the_diagonal() -> None:
    matrix = np.array([[5, 3, 0], [1, 9, 0], [0, 7, 0]])
    assert counts.top_confusions(matrix, NAMES) == [("c", "b", 7, 1.0), ("a", "b", 3, 3 / 8), ("b", "a", 1, 0.1)]


@given(st.lists(st.tuples(st.floats(0, 1) | st.just(float("nan")), st.booleans()), max_size=50))
def test_reliability_bins_hold_every_finite_confidence_once(rows: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([a for a, _ in rows], float), np.array([b for _, b in rows], bool)
    bins = counts.reliability(confidence, right)
    assert sum(step.n for step in bins) == np.isfinite(confidence).sum()
    for step in bins:
        assert 0 <= step.confidence <= 1


def test_probabilities_that_do_not_fit_the_classes_are_not_used() -> None:
    assert counts.probabilities([[0.1, 0.9], [0.5]], 2) is None
    found = counts.probabilities([[0.1, 0.9], None], 2)
    assert found is not None
    assert np.isnan(found[1]).all()


def test_indicators() -> None:
    assert counts.indicators([["a", "c"], [], None], NAMES).tolist() == [[True, False, True], [False] * 3, [False] * 3]
