"""Every regression metric against scipy and scikit-learn, on repeated rows too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from tests.evaluation.metrics.made import regression
from tunesmith.data.labelled.labels import REGRESSION
from tunesmith.evaluation.metrics import regression as r
from tunesmith.evaluation.metrics.predictions import from_scores


@pytest.mark.parametrize("seed", range(5))
def test_regression_metrics_equal_the_libraries_on_resamples(seed: int) -> None:
    predictions = regression(50, seed)
    rng = np.random.default_rng(seed)
    counts = np.stack([np.ones(50, dtype=int), np.bincount(rng.integers(0, 50, 50), minlength=50)])
    found = {name: getattr(r, name)(predictions)(counts.astype(float)) for name in ("pearson", "spearman", "rmse", "mae", "r2")}
    for row, repeats in enumerate(counts):
        p = predictions.take(np.repeat(np.arange(50), repeats))
        expected = {
            "pearson": stats.pearsonr(p.scores, p.labels).statistic,
            "spearman": stats.spearmanr(p.scores, p.labels).statistic,
            "rmse": sk.root_mean_squared_error(p.labels, p.scores),
            "mae": sk.mean_absolute_error(p.labels, p.scores),
            "r2": sk.r2_score(p.labels, p.scores),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][row], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_far_from_zero_loses_no_digits() -> None:
    near = regression(40, 3)
    far = from_scores(REGRESSION, near.labels + 1e6, near.scores + 1e6)
    ones = np.ones((1, 40))
    for name in ("pearson", "spearman", "r2"):
        np.testing.assert_allclose(getattr(r, name)(far)(ones), getattr(r, name)(near)(ones), rtol=1e-8)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_constant_scores_have_no_correlation(name: str) -> None:
    predictions = from_scores(REGRESSION, [1.0, 2.0, 3.3], [0.1, 0.1, 0.1])
    assert np.isnan(getattr(r, name)(predictions)(np.ones((1, 3)))[0])


def test_constant_labels_have_no_r2() -> None:
    predictions = from_scores(REGRESSION, [0.1, 0.1, 0.1], [1.0, 2.0, 3.3])
    assert np.isnan(r.r2(predictions)(np.ones((1, 3)))[0])
    assert r.rmse(predictions)(np.ones((1, 3)))[0] > 0
