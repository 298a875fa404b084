"""Agreement of clusters and classes: scikit-learn's figures, on whole rows and on resampled ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, v_measure_score

from tunesmith.evaluation.metrics.clustering import adjusted_rand, v_measure
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import CLUSTERING, Predictions
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.verdict import verdicts


def clustered(n: int, seed: int, noise: float) -> Predictions:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, n)
    clusters = np.where(draw.random(n) < noise, draw.integers(0, 5, n), (labels + 2) % 4)
    return Predictions(labels, np.zeros((n, 1)), clusters)


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_scikit_learns(seed: int) -> None:
    rows = clustered(60, seed, 0.4)
    draw = np.random.default_rng(seed).integers(0, 60, 60)
    weights = np.stack([np.ones(60), np.bincount(draw, minlength=60)])
    for statistic, theirs in ((v_measure, v_measure_score), (adjusted_rand, adjusted_rand_score)):
        whole, drawn = statistic(rows)(weights)
        assert whole == pytest.approx(theirs(rows.labels, rows.decisions))
        assert drawn == pytest.approx(theirs(rows.labels[draw], rows.decisions[draw]))


def test_names_of_clusters_do_not_matter_and_one_cluster_tells_nothing() -> None:
    rows = clustered(80, 0, 0.0)
    one = Predictions(rows.labels, rows.scores, np.zeros(80, dtype=int))
    weights = np.ones((1, 80))
    assert v_measure(rows)(weights) == pytest.approx([1.0])
    assert adjusted_rand(rows)(weights) == pytest.approx([1.0])
    assert v_measure(one)(weights) == pytest.approx([0.0])
    assert adjusted_rand(one)(weights) == pytest.approx([0.0])


def test_intervals_and_verdicts_read_them() -> None:
    good, bad = clustered(400, 1, 0.2), clustered(400, 1, 0.7)
    for metric in metric_intervals(CLUSTERING, good, "test", ("v_measure", "adjusted_rand"), Resampling(300)):
        assert metric.low is not None
        assert metric.high is not None
        assert metric.value is not None
        assert metric.low < metric.value < metric.high
    (result,) = verdicts(["v_measure"], [good], [bad], "other", "test", Resampling(300), problem_type=CLUSTERING)
    assert result.word == "better"
