"""Means of a value per row: the interval covers, equal systems are seldom told apart, clear differences are seen."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from tunesmith.evaluation.metrics.means import TokenSums, mean_metric, mean_verdict, token_mean_metrics, token_mean_verdict
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.results import Verdict

N, RESAMPLES = 80, Resampling(500)


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


N_LOSSES, LOSS_RESAMPLES, TRIALS = 60, Resampling(400), 800
Draw = np.random.Generator


def losses(draw: Draw, n: int = N_LOSSES, shift: float = 0.0, of: tuple[np.ndarray, np.ndarray] | None = None) -> TokenSums:
    """Rows of 1 to a hundred or so tokens; long rows are easier, and every row has a difficulty that all systems share."""
    counts, hard = of if of is not None else rows(draw, n)
    own = draw.gamma(4.0, 0.05, len(counts)) * draw.choice([0.2, 1.0, 3.0], len(counts))
    return (hard + own + shift) * counts, counts


def rows(draw: Draw, n: int = N_LOSSES) -> tuple[np.ndarray, np.ndarray]:
    counts = 1 + draw.geometric(0.04, n)
    return counts, draw.gamma(6.0, 0.4, n) / (1 + 0.01 * counts)


def truth(draw: Draw) -> float:
    sums, counts = losses(draw, 400_000)
    return float(sums.sum() / counts.sum())


def test_the_interval_of_the_loss_holds_it_in_about_95_of_100() -> None:
    draw = np.random.default_rng(0)
    wanted, held = truth(draw), []
    for _ in range(TRIALS):
        loss, perplexity = token_mean_metrics([losses(draw)], None, "test", LOSS_RESAMPLES)
        held.append((loss.low or 9) <= wanted <= (loss.high or 0))
        assert held[-1] == ((perplexity.low or 9) <= exp(wanted) <= (perplexity.high or 0))
    assert 0.93 <= np.mean(held) <= 0.97


def compared(draw: Draw, shift: float, metric: str) -> Verdict:
    of = rows(draw)
    return token_mean_verdict(
        [losses(draw, shift=shift, of=of)], [losses(draw, of=of)], "other", "test", metric, None, LOSS_RESAMPLES
    )


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_equal_token_losses_are_called_different_in_at_most_5_of_100(metric: str) -> None:
    draw = np.random.default_rng(1)
    assert np.mean([compared(draw, 0.0, metric).word != "cannot tell" for _ in range(TRIALS)]) <= 0.05


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_the_interval_of_a_difference_holds_it_in_about_95_of_100(metric: str) -> None:
    draw = np.random.default_rng(2)
    loss = truth(draw)
    wanted = -0.1 if metric == "loss" else exp(loss - 0.1) - exp(loss)
    found = [compared(draw, -0.1, metric) for _ in range(TRIALS)]
    assert 0.93 <= np.mean([(one.low or -9) <= wanted <= (one.high or 9) for one in found]) <= 0.97


def test_a_row_weighs_as_its_tokens_do() -> None:
    loss, perplexity, bits = token_mean_metrics(
        [(np.array([2.0, 30.0, 0.0]), np.array([1, 9, 0]))], np.array([8, 40, 5]), "test", LOSS_RESAMPLES
    )
    assert loss.value == pytest.approx(3.2)
    assert perplexity.value == pytest.approx(exp(3.2))
    assert bits.value == pytest.approx(32 / log(2) / 48)
    assert (loss.n, loss.higher_is_better, bits.n) == (2, False, 2)


def test_lower_is_better_and_the_perplexity_gives_the_same_verdict() -> None:
    draw = np.random.default_rng(3)
    for shift, word in ((-0.3, "better"), (0.3, "worse"), (0.0, "cannot tell")):
        found, as_perplexity = (
            compared(np.random.default_rng(4), shift, "loss"),
            compared(np.random.default_rng(4), shift, "perplexity"),
        )
        assert found.word == as_perplexity.word == word
        assert found.difference == pytest.approx(shift, abs=0.1)
        assert (found.low or 0) < (found.difference or 0) < (found.high or 0)
        assert found.smallest_detectable is not None
        assert 0.1 < found.smallest_detectable < 0.4
    of = rows(draw)
    ours, other = losses(draw, shift=-0.3, of=of), losses(draw, of=of)
    metrics = [token_mean_metrics([system], None, "test", LOSS_RESAMPLES)[1].value or 0.0 for system in (ours, other)]
    result = token_mean_verdict([ours], [other], "other", "test", "perplexity", None, LOSS_RESAMPLES)
    assert result.difference == pytest.approx(metrics[0] - metrics[1])


def test_bits_per_byte_compares_other_tokenizers_and_the_loss_does_not() -> None:
    draw = np.random.default_rng(5)
    sums, counts = losses(draw)
    n_bytes = 4 * counts
    finer = (sums * 0.9, counts * 2)
    result = token_mean_verdict([finer], [(sums, counts)], "other", "test", "bits_per_byte", n_bytes, LOSS_RESAMPLES)
    assert result.word == "better"
    assert result.difference == pytest.approx(-0.1 * sums.sum() / n_bytes.sum() / log(2))
    with pytest.raises(ValueError, match="count different tokens"):
        token_mean_verdict([finer], [(sums, counts)], "other", "test", "loss", None, LOSS_RESAMPLES)


def test_seeds_widen_the_interval_of_token_losses() -> None:
    draw = np.random.default_rng(6)
    sums, counts = losses(draw)
    steady, unsteady = ([(sums + shift * counts, counts) for shift in shifts] for shifts in ((0, 0, 0), (-0.5, 0, 0.5)))
    near, far = (token_mean_metrics(systems, None, "test", LOSS_RESAMPLES)[0] for systems in (steady, unsteady))
    assert near.value == pytest.approx(far.value)
    assert (far.high or 0) - (far.low or 0) > 1.5 * ((near.high or 0) - (near.low or 0))
    result = token_mean_verdict(unsteady, [(sums + 0.2 * counts, counts)], "base", "test", "loss", None, LOSS_RESAMPLES)
    assert result.word == "cannot tell"
    assert "3 + 1 seeds" in result.interval


def test_undefined_verdicts_are_left_out() -> None:
    one = (np.array([2.0, 0.0]), np.array([3, 0]))
    assert token_mean_metrics([one], None, "test")[0].note == "too few rows for an interval"
    assert token_mean_verdict([one], [one], "other", "test").word == "cannot tell"
    none = (np.zeros(3), np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="no token is counted"):
        token_mean_metrics([none], None, "test")
    with pytest.raises(ValueError, match="same rows"):
        token_mean_verdict([one], [(np.ones(3), np.ones(3))], "other", "test")
    with pytest.raises(ValueError, match="'speed' is none of loss"):
        token_mean_verdict([one], [one], "other", "test", "speed")


# --- numbers without ends, such as rewards --------------------------------------------------------------------------------------


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Rewards that are mostly small, sometimes large, and sometimes a penalty."""
    return rng.choice([0.0, 1.0, 2.0, 20.0, -10.0], size=n, p=[0.3, 0.3, 0.25, 0.08, 0.05 + 0.02])


def test_the_interval_of_a_reward_is_not_cut_at_the_ends_of_a_share() -> None:
    values = np.array([12.0, 15.0, 9.0, 14.0])
    metric = mean_metric("reward", "test", [values])
    assert (metric.value, metric.higher_is_better) == (12.5, True)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < 12.5 < metric.high
    assert metric.high > 1.0
    assert mean_metric("kl", "test", [values]).higher_is_better is False


@pytest.mark.parametrize(("factor", "shift"), [(100.0, 0.0), (0.01, 0.0), (1.0, -50.0)])
def test_the_verdict_on_a_reward_does_not_depend_on_its_unit(factor: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    ours, other = skewed(rng, 40) + 1.5, skewed(rng, 40)
    plain = mean_verdict("reward", [ours], [other], "untuned", "test")
    scaled = mean_verdict("reward", [factor * ours + shift], [factor * other + shift], "untuned", "test")
    assert scaled.word == plain.word
    assert [scaled.low, scaled.high] == pytest.approx([factor * plain.low, factor * plain.high], rel=1e-6)


def test_a_lower_kl_is_better() -> None:
    rng = np.random.default_rng(1)
    high, low = rng.normal(8, 1, 30), rng.normal(2, 1, 30)
    assert mean_verdict("kl", [low], [high], "other", "test").word == "better"
    assert mean_verdict("reward", [low], [high], "other", "test").word == "worse"


def test_two_policies_with_equal_rewards_seldom_differ_and_intervals_hold_the_mean() -> None:
    """Simulation with skewed rewards of few rows: false words at most 5 of 100 (and chance), coverage near 95 of 100."""
    rng, n_runs, false, covered = np.random.default_rng(2), 200, 0, 0
    true = float(np.dot([0.0, 1.0, 2.0, 20.0, -10.0], [0.3, 0.3, 0.25, 0.08, 0.07]))
    resampling = Resampling(400, 0)
    for _ in range(n_runs):
        ours, other = skewed(rng, 30), skewed(rng, 30)
        false += mean_verdict("reward", [ours], [other], "untuned", "test", resampling).word != "cannot tell"
        metric = mean_metric("reward", "test", [ours], resampling)
        covered += metric.low <= true <= metric.high
    assert false / n_runs <= 0.08
    assert covered / n_runs >= 0.85
