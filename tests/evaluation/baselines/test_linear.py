"""Linear models: the fitted weights compute what scikit-learn's own models predict."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression, Ridge

from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.baselines.linear import ITERATIONS, Strengths, fit_linear

STRENGTHS = Strengths(inverse=(0.1, 1.0), ridge=(10.0, 1.0), usual=1)
ROWS = np.random.default_rng(0).normal(size=(60, 5))


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("present", [[0, 1], [0, 2], [0, 1, 2]])
def test_probabilities_are_scikit_learns_and_absent_classes_have_none(present: list[int], is_sparse: bool) -> None:
    labels = np.array(present)[np.arange(60) % len(present)]
    rows = csr_matrix(ROWS) if is_sparse else ROWS
    linear, strength = fit_linear(SINGLE, 3, rows, labels, None, STRENGTHS)
    theirs = LogisticRegression(C=1.0, max_iter=ITERATIONS["few classes"]).fit(rows, labels).predict_proba(rows)
    assert strength == 1.0
    assert np.allclose(linear.scores(rows)[:, present], theirs, atol=1e-6)
    assert np.allclose(linear.scores(rows).sum(axis=1), 1)
    assert (linear.scores(rows)[:, [k for k in range(3) if k not in present]] == 0).all()


def test_of_several_labels_one_that_every_row_has_is_certain() -> None:
    labels = np.stack([np.arange(60) % 2, np.ones(60, int), np.zeros(60, int)], axis=1)
    linear, _ = fit_linear(MULTI, 3, ROWS, labels, None, STRENGTHS)
    theirs = LogisticRegression(C=1.0, max_iter=ITERATIONS["few classes"]).fit(ROWS, labels[:, 0]).predict_proba(ROWS)
    assert np.allclose(linear.scores(ROWS)[:, 0], theirs[:, 1], atol=1e-6)
    assert (linear.scores(ROWS)[:, 1:] == [1.0, 0.0]).all()


def test_a_regression_is_a_ridge() -> None:
    targets = ROWS @ np.arange(5) + 3
    linear, _ = fit_linear(REGRESSION, 1, ROWS, targets, None, STRENGTHS)
    assert np.allclose(linear.scores(ROWS), Ridge(alpha=1.0, tol=1e-3).fit(ROWS, targets).predict(ROWS))


def test_validation_selects_the_strength() -> None:
    labels = (ROWS[:, 0] > 0).astype(int)
    assert fit_linear(SINGLE, 2, ROWS, labels, (ROWS, labels), STRENGTHS)[1] == 1.0
    assert fit_linear(SINGLE, 2, ROWS, labels, (ROWS, 1 - labels), STRENGTHS)[1] == 0.1
    few = Strengths(inverse=(0.1, 1.0), ridge=(10.0, 1.0), usual=1, many_classes=1)
    assert fit_linear(SINGLE, 2, ROWS, labels, (ROWS, 1 - labels), few)[1] == 1.0
