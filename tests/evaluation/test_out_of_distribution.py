"""Distances to train equal a direct computation, and scores that know nothing are at a half."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.out_of_distribution import Mahalanobis, detection, energy, ensemble_spread


def test_the_distance_equals_a_direct_computation() -> None:
    draw = np.random.default_rng(0)
    states, others = draw.normal(size=(40, 5)) @ draw.normal(size=(5, 5)), draw.normal(size=(7, 5))
    fitted = Mahalanobis.fit(states)
    expected = [(row - fitted.mean) @ fitted.precision @ (row - fitted.mean) for row in others]
    np.testing.assert_allclose(fitted.scores(others), expected)


def test_shifted_states_are_found_and_others_are_not() -> None:
    draw = np.random.default_rng(1)
    fitted, inside = Mahalanobis.fit(draw.normal(size=(400, 8))), draw.normal(size=(200, 8))
    for shift, expected in ((0.0, 0.5), (3.0, 1.0)):
        found = detection(fitted.scores(inside), fitted.scores(draw.normal(size=(200, 8)) + shift), Resampling(300))
        assert found.value == pytest.approx(expected, abs=0.07)
        assert found.low is not None
        assert found.low <= expected


def test_intervals_of_a_score_that_knows_nothing_hold_a_half() -> None:
    draw, held = np.random.default_rng(2), 0
    for _ in range(60):
        found = detection(draw.normal(size=40), draw.normal(size=40), Resampling(200))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert held >= 53


def test_the_energy_falls_with_the_reward_and_the_spread_is_of_differing_models() -> None:
    assert np.all(np.diff(energy(np.array([-5.0, 0.0, 5.0]))) < 0)
    same = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    np.testing.assert_allclose(ensemble_spread(same), 0, atol=1e-12)
    assert ensemble_spread(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))[0] > 0.5
