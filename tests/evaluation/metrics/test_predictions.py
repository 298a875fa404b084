"""Decisions follow from scores, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics.predictions import decide, from_scores, infer_problem_type

SCORES = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])


def test_decisions_of_each_problem() -> None:
    assert decide(SINGLE, SCORES).tolist() == [0, 0, 1]
    assert decide(SINGLE, SCORES, [0.3]).tolist() == [1, 1, 1]
    assert decide(SINGLE, SCORES, [0.9]).tolist() == [0, 0, 0]
    assert decide(MULTI, SCORES).tolist() == [[1, 0], [1, 1], [0, 1]]
    assert decide(MULTI, SCORES, [0.6, 0.9]).tolist() == [[1, 0], [0, 0], [0, 0]]
    assert decide(REGRESSION, SCORES[:, 0]).tolist() == [0.7, 0.5, 0.2]


def test_one_threshold_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="two classes"):
        decide(SINGLE, np.ones((2, 3)) / 3, [0.5])


def test_the_problem_type_is_seen_from_the_shapes() -> None:
    assert infer_problem_type(from_scores(SINGLE, [0, 1, 1], SCORES)) == SINGLE
    assert infer_problem_type(from_scores(MULTI, [(0, 1)] * 3, SCORES)) == MULTI
    assert infer_problem_type(from_scores(REGRESSION, [0.5, 1, 1], SCORES[:, 0])) == REGRESSION


@pytest.mark.parametrize(
    ("kind", "labels", "scores", "message"),
    [
        ("ranking", [0], [[0.5, 0.5]], "unknown problem type"),
        (SINGLE, [0, 1], SCORES, "do not fit"),
        (SINGLE, [0, 1, 2], SCORES, "labels run from 0 to 2"),
        (SINGLE, [-1, 1, 1], SCORES, "labels run from -1"),
        (SINGLE, [0, 1, 1], SCORES * 3, "probabilities in"),
        (SINGLE, [0, 1, 1], SCORES * np.nan, "not finite"),
        (MULTI, [0, 1, 1], SCORES, "do not fit"),
        (REGRESSION, [0, 1, 1], SCORES, "do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, labels: list[int], scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_scores(kind, labels, scores)
