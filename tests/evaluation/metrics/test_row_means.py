"""Means of a value per row: the interval covers, equal systems are seldom told apart, clear differences are seen."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.metrics.row_means import mean_metric, mean_verdict

N, RESAMPLES = 80, 500


def reciprocal_ranks(draw: np.random.Generator, n: int, skill: float) -> np.ndarray:
    """Values as retrieval gives them: 1, 1/2, 1/3, ... and many zeros."""
    ranks = draw.geometric(skill, n)
    return np.where(ranks > 10, 0.0, 1 / ranks)


def test_the_interval_of_a_mean_holds_it_in_about_95_of_100() -> None:
    draw = np.random.default_rng(0)
    truth = float(reciprocal_ranks(draw, 1_000_000, 0.3).mean())
    held = []
    for _ in range(300):
        metric = mean_metric("mrr@10", "test", [reciprocal_ranks(draw, N, 0.3)], RESAMPLES)
        assert metric.low is not None
        assert metric.high is not None
        held.append(metric.low <= truth <= metric.high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_equal_systems_are_called_different_in_at_most_5_of_100() -> None:
    draw, different = np.random.default_rng(1), []
    for _ in range(300):
        one, two = (reciprocal_ranks(draw, N, 0.3) for _ in range(2))
        different.append(mean_verdict("mrr@10", [one], [two], "other", "test", RESAMPLES).word != "cannot tell")
    assert np.mean(different) <= 0.07


def test_a_difference_on_every_row_is_seen_and_its_sign_is_ours_minus_the_other() -> None:
    draw = np.random.default_rng(2)
    low = draw.random(N) * 0.5
    better = mean_verdict("ndcg@10", [low + 0.3 + 0.1 * draw.random(N)], [low], "base", "test")
    assert better.word == "better"
    assert better.difference == pytest.approx(0.35, abs=0.03)
    assert better.low is not None
    assert better.smallest_detectable is not None
    assert 0 < better.low < better.difference
    worse = mean_verdict("ndcg@10", [low], [low + 0.3], "base", "test")
    assert worse.word == "worse"
    assert worse.difference == pytest.approx(-0.3)


def test_few_rows_that_all_point_one_way_are_not_enough() -> None:
    """Five rows: by chance all five differences have one sign in 1 of 16 cases."""
    verdict = mean_verdict("mrr@10", [np.array([1.0, 0.9, 1.0, 0.8, 1.0])], [np.array([0.1, 0.2, 0.1, 0.1, 0.3])], "base", "test")
    assert verdict.word == "cannot tell"
    assert verdict.low == 0.0


def test_seeds_widen_the_interval() -> None:
    draw = np.random.default_rng(3)
    rows = draw.random(N)
    steady = [rows * 0.8 for _ in range(3)]
    unsteady = [rows * 0.8 + shift for shift in (-0.1, 0.0, 0.1)]
    near, far = (mean_metric("map@10", "test", systems, RESAMPLES) for systems in (steady, unsteady))
    assert near.value == pytest.approx(far.value)
    assert near.high is not None
    assert near.low is not None
    assert far.high is not None
    assert far.low is not None
    assert far.high - far.low > 1.5 * (near.high - near.low)


def test_one_row_has_no_interval_and_equal_answers_no_difference() -> None:
    assert mean_metric("mrr@10", "test", [np.array([1.0])]).note == "too few rows for an interval"
    same = mean_verdict("mrr@10", [np.ones(9)], [np.ones(9)], "base", "test")
    assert (same.word, same.difference, same.low) == ("cannot tell", 0.0, None)
    with pytest.raises(ValueError, match="different numbers"):
        mean_verdict("mrr@10", [np.ones(9)], [np.ones(8)], "base", "test")
