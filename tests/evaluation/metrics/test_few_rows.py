"""Intervals hold where resamples show no uncertainty: classes with hardly a row, few positives, errors that one row dominates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tunesmith.data.labelled.labels import REGRESSION, SINGLE
from tunesmith.evaluation.metrics.few_rows import of_correlation, of_mean_f1, of_ranks, unseen_squares
from tunesmith.evaluation.metrics.intervals import metric_intervals
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import compute

Draw = Callable[[np.random.Generator, int], Predictions]


def hardly_predicted(rng: np.random.Generator, n: int) -> Predictions:
    labels = (rng.random(n) < 0.05).astype(int)
    decisions = np.where(labels == 1, rng.random(n) < 0.05, rng.random(n) < 0.002).astype(int)
    return Predictions(labels, np.eye(2)[decisions], decisions)


def few_positives(rng: np.random.Generator, n: int) -> Predictions:
    labels = (rng.random(n) < 0.05).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * labels - 1)))
    return from_scores(SINGLE, labels, np.stack([1 - scores, scores], axis=1))


def heavy_errors(rng: np.random.Generator, n: int) -> Predictions:
    labels = 3 * rng.normal(size=n)
    return from_scores(REGRESSION, labels, labels + rng.standard_t(2.5, n))


@pytest.mark.parametrize(
    ("draw", "problem", "metric", "n"),
    [
        (hardly_predicted, SINGLE, "macro_f1", 100),
        (hardly_predicted, SINGLE, "mcc", 100),
        (few_positives, SINGLE, "auroc", 150),
        (heavy_errors, REGRESSION, "rmse", 100),
        (heavy_errors, REGRESSION, "pearson", 100),
        (heavy_errors, REGRESSION, "r2", 100),
    ],
)
def test_intervals_hold_in_85_of_100(draw: Draw, problem: str, metric: str, n: int) -> None:
    """Without the corrections they hold in 11 to 89."""
    truth = compute(problem, draw(np.random.default_rng(1), 200_000))[metric] or 0.0
    rng, held, given = np.random.default_rng(0), 0, 0
    for simulation in range(150):
        (found,) = metric_intervals(problem, draw(rng, n), "test", [metric], Resampling(200, simulation))
        if found.low is not None and found.high is not None:
            given += 1
            held += found.low <= truth <= found.high
    assert given > 100
    assert held / given > 0.85


def test_usual_rows_need_no_correction() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    decisions = np.where(rng.random(300) < 0.8, labels, (labels + 1) % 3)
    system = Predictions(labels, np.eye(3)[decisions], decisions)
    assert of_mean_f1(system).variance == 0
    assert of_correlation(system).variance == 0
    assert of_ranks(system).variance == 0
    assert of_ranks(system).n_units == pytest.approx(3 * 100 - 2, rel=0.05)  # three classes of a hundred rows


def test_the_rarest_class_limits_what_is_known_of_a_ranking() -> None:
    def units(*sizes: int) -> tuple[int | None, float]:
        labels = np.repeat(np.arange(len(sizes)), sizes)
        found = of_ranks(Predictions(labels, np.eye(len(sizes))[labels], labels))
        return found.n_units, found.variance

    assert units(70, 3) == (3, 0)
    assert units(40, 30, 3) == (4, 0)
    assert units(300, 200, 200) > (400, 0)
    assert units(40, 30, 1) == (60, pytest.approx((1 / 3 / 1.96) ** 2))  # its value may be anything


def test_an_absent_class_could_have_any_f1() -> None:
    system = Predictions(np.array([0, 0, 1, 1]), np.eye(3)[[0, 0, 1, 0]], np.array([0, 0, 1, 0]))
    assert of_mean_f1(system).variance == pytest.approx((1 / 3 / 1.96) ** 2)


def test_no_interval_where_one_row_has_the_whole_error() -> None:
    labels = np.zeros(30)
    scores = np.full(30, 0.1)
    scores[7] = 50.0
    few, _ = unseen_squares(from_scores(REGRESSION, labels, scores))
    assert few.reason.startswith("no interval: one row has 100% of the squared error")
    shifted = from_scores(REGRESSION, labels + np.arange(30), scores + np.arange(30))
    (found,) = metric_intervals(REGRESSION, shifted, "test", ["rmse"])
    assert (found.low, found.high, found.note) == (None, None, few.reason)


def test_perfect_predictions_have_no_error_to_count() -> None:
    few, unseen = unseen_squares(from_scores(REGRESSION, np.arange(5.0), np.arange(5.0)))
    assert (few.reason, unseen) == ("", 0.0)


def test_a_constant_system_finds_no_other_class() -> None:
    """The majority class of 13 has a macro F1 of at most 1/13; without the exception the interval ended at 0.715."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 13, 70)
    shares = np.bincount(labels, minlength=13) / 70
    constant = from_scores(SINGLE, labels, np.tile(shares, (70, 1)))
    (found,) = metric_intervals(SINGLE, constant, "test", ["macro_f1"])
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.high <= 1 / 13
    assert of_mean_f1(constant).variance == 0
    assert of_mean_f1(replace(constant, scores=np.eye(13)[constant.decisions])).variance > 0
