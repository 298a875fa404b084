"""The best of n answers against all subsets of n, and its divergence against a count."""

from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
import pytest

from tunesmith.evaluation.best_of_n import best_of_n_kl, best_of_n_rewards

REWARDS = np.random.default_rng(0).normal(size=(3, 7))


@pytest.mark.parametrize("n", range(1, 8))
def test_the_estimate_is_the_mean_over_all_subsets(n: int) -> None:
    expected = [np.mean([max(subset) for subset in combinations(row, n)]) for row in REWARDS]
    assert best_of_n_rewards(REWARDS, n).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_another_score_is_that_of_the_chosen_answer_and_ties_are_drawn(n: int) -> None:
    rewards, scores = np.round(REWARDS), REWARDS[::-1]
    expected = []
    for row, of_row in zip(rewards, scores, strict=True):
        chosen = []
        for subset in combinations(range(7), n):
            best = max(row[i] for i in subset)
            chosen.append(np.mean([of_row[i] for i in subset if row[i] == best]))
        expected.append(np.mean(chosen))
    assert best_of_n_rewards(rewards, n, scores).tolist() == pytest.approx(expected, abs=1e-12)


def test_more_answers_than_there_are_cannot_be_estimated() -> None:
    with pytest.raises(ValueError, match="best of 8"):
        best_of_n_rewards(REWARDS, 8)


def test_the_divergence_is_that_of_the_highest_of_n_numbers() -> None:
    assert best_of_n_kl(1) == 0.0
    assert best_of_n_kl(64) == pytest.approx(3.17, abs=0.01)
    grid = (np.arange(200_000) + 0.5) / 200_000  # the density of the largest of n uniform numbers is n u^(n - 1)
    for n in (2, 16):
        density = n * grid ** (n - 1)
        assert best_of_n_kl(n) == pytest.approx(float(np.mean(density * np.log(density))), abs=1e-4)
    assert best_of_n_kl(16) == pytest.approx(log(16) - 15 / 16)
