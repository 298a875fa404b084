"""The turn of a gold reward in simulated runs, and the recovery of planted laws."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.best_of_n import best_of_n_kl
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.over_optimisation import before_half_is_lost, find_turn, fit_law, fit_law_of_best, peak

ERROR = 0.015


def test_a_gold_reward_that_stays_seldom_seems_to_turn() -> None:
    """False alarms while the trained reward rises for ever: at most about 5 of 100 runs of any length."""
    rng = np.random.default_rng(0)
    for n_evaluations, n_runs in ((10, 400), (40, 300), (100, 100)):
        rising = np.linspace(0.1, 9.0, n_evaluations).tolist()
        runs = (rng.normal(0.2, ERROR, n_evaluations).tolist() for _ in range(n_runs))
        found = sum(find_turn(gold, [ERROR] * n_evaluations, rising) is not None for gold in runs)
        assert found / n_runs < 0.08


def gold_and_proxy() -> tuple[list[float], list[float]]:
    """Gold rises to .24 at evaluation 16 and then falls to -.08 in eight more, as measured (``docs/how-to``)."""
    gold = [0.02 + 0.22 * i / 16 for i in range(17)] + [0.22, 0.195, 0.15, 0.094, 0.05, 0.016, -0.03, -0.08]
    return gold, np.linspace(0.1, 16.0, len(gold)).tolist()


def test_a_turn_is_seen_before_half_of_the_gain_is_lost() -> None:
    gold, proxy = gold_and_proxy()
    rng, half, late = np.random.default_rng(1), (gold[0] + max(gold)) / 2, 0
    for _ in range(200):
        turn = find_turn((np.array(gold) + rng.normal(0, ERROR, len(gold))).tolist(), [ERROR] * len(gold), proxy)
        assert turn is not None
        late += gold[turn.seen] < half
    assert late / 200 < 0.5
    exact = find_turn(gold, [ERROR] * len(gold), proxy)
    assert exact is not None
    assert exact.best == 16
    assert gold[exact.seen] > half


def test_gold_that_falls_together_with_the_reward_is_no_over_optimisation() -> None:
    gold, proxy = gold_and_proxy()
    assert find_turn(gold, [ERROR] * len(gold), gold) is None
    assert find_turn(gold, [ERROR] * len(gold), proxy) is not None


def test_nothing_turns_within_two_evaluations() -> None:
    assert find_turn([1.0], [0.01], [0.0]) is None
    assert find_turn([], [], []) is None


@pytest.mark.parametrize("law", ["reinforcement", "best_of_n"])
def test_planted_coefficients_are_within_their_intervals(law) -> None:
    """Coverage of the 95 % intervals over runs of a dozen noisy evaluations up to the turn and half of the way down."""
    a, b = (0.09, 0.03) if law == "reinforcement" else (0.08, 0.007)
    kl = np.linspace(0.5, 60.0, 14)
    d = np.sqrt(kl)
    true = d * (a - b * (np.log(d) if law == "reinforcement" else d))
    rng, hits = np.random.default_rng(2), np.zeros(2)
    n_runs = 150
    for run in range(n_runs):
        fit = fit_law(law, kl.tolist(), (true + rng.normal(0, ERROR, len(kl))).tolist(), seed=run)
        assert fit is not None
        hits += [low <= planted <= high for planted, (_, low, high) in ((a, fit.a), (b, fit.b))]
    assert (hits / n_runs > 0.88).all()


KL_OF_BEST = [best_of_n_kl(n) for n in (1, 2, 4, 8, 16)]


@pytest.mark.parametrize(("n_prompts", "in_pairs"), [(40, False), (200, False), (80, True)])
def test_the_planted_law_of_the_best_of_n_is_within_its_intervals(n_prompts: int, in_pairs: bool) -> None:
    """Coverage where the points of a prompt share their error, prompts differ, and two prompts may be one cluster."""
    d, rng, hits = np.sqrt(KL_OF_BEST), np.random.default_rng(3), np.zeros(2)
    clusters = np.arange(n_prompts) // 2 if in_pairs else None
    n_runs = 150
    for run in range(n_runs):
        shift = rng.normal(0, [0.2, 0.1], (n_prompts, 2))
        shift = shift[clusters] if clusters is not None else shift
        a, b = 0.3 + shift[:, :1], 0.12 + shift[:, 1:]
        noise = rng.normal(0, 0.1, (n_prompts, len(d))).cumsum(axis=1)
        fit = fit_law_of_best(KL_OF_BEST, d * (a - b * d) + noise, Resampling(400, run, clusters))
        assert fit is not None
        hits += [low <= planted <= high for planted, (_, low, high) in ((0.3, fit.a), (0.12, fit.b))]
    assert (hits / n_runs > 0.88).all()


def test_the_law_of_the_best_of_n_is_exact_without_noise_and_needs_three_points() -> None:
    d = np.sqrt(KL_OF_BEST)
    scores = np.tile(0.1 + d * (0.3 - 0.05 * d), (8, 1))
    fit = fit_law_of_best(KL_OF_BEST, scores, Resampling(100))
    assert fit is not None
    assert (fit.a[0], fit.b[0], fit.n_points) == (pytest.approx(0.3), pytest.approx(0.05), 4)
    assert fit_law_of_best(KL_OF_BEST[:3], scores[:, :3], Resampling(100)) is None


def test_without_noise_the_coefficients_are_exact() -> None:
    kl = np.linspace(1, 40, 8)
    d = np.sqrt(kl)
    fit = fit_law("reinforcement", kl.tolist(), (d * (0.3 - 0.1 * np.log(d))).tolist())
    assert fit is not None
    assert (fit.a[0], fit.b[0]) == pytest.approx((0.3, 0.1))
    assert fit.peak_kl == pytest.approx(np.exp(2 * (0.3 / 0.1 - 1)))


def test_a_law_without_a_maximum_has_no_peak_and_few_points_no_fit() -> None:
    assert peak("reinforcement", 0.1, -0.1) is None
    assert peak("best_of_n", 0.08, 0.01) == pytest.approx(16.0)
    assert fit_law("reinforcement", [0.0, 1.0, 2.0, 3.0], [0.0, 0.1, 0.2, 0.3]) is None


def test_points_beyond_the_loss_of_half_of_the_gain_are_left_out() -> None:
    assert before_half_is_lost([0, 1, 2, 4, 8, 16], [0.0, 0.1, 0.3, 0.2, 0.1, 0.3]) == [0, 1, 2, 3]
    assert before_half_is_lost([0, 2, 1], [0.0, 0.2, 0.1]) == [0, 2, 1]
