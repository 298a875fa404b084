"""Means over tokens: the interval covers, equal systems are seldom told apart, tokenizers are compared in bits per byte."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from tunesmith.evaluation.metrics.language import TokenSums, token_mean_metrics, token_mean_verdict
from tunesmith.results import Verdict

N, RESAMPLES, TRIALS = 60, 400, 800
Draw = np.random.Generator


def losses(draw: Draw, n: int = N, shift: float = 0.0, of: tuple[np.ndarray, np.ndarray] | None = None) -> TokenSums:
    """Rows of 1 to a hundred or so tokens; long rows are easier, and every row has a difficulty that all systems share."""
    counts, hard = of if of is not None else rows(draw, n)
    own = draw.gamma(4.0, 0.05, len(counts)) * draw.choice([0.2, 1.0, 3.0], len(counts))
    return (hard + own + shift) * counts, counts


def rows(draw: Draw, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    counts = 1 + draw.geometric(0.04, n)
    return counts, draw.gamma(6.0, 0.4, n) / (1 + 0.01 * counts)


def truth(draw: Draw) -> float:
    sums, counts = losses(draw, 400_000)
    return float(sums.sum() / counts.sum())


def test_the_interval_of_the_loss_holds_it_in_about_95_of_100() -> None:
    draw = np.random.default_rng(0)
    wanted, held = truth(draw), []
    for _ in range(TRIALS):
        loss, perplexity = token_mean_metrics([losses(draw)], None, "test", RESAMPLES)
        held.append((loss.low or 9) <= wanted <= (loss.high or 0))
        assert held[-1] == ((perplexity.low or 9) <= exp(wanted) <= (perplexity.high or 0))
    assert 0.93 <= np.mean(held) <= 0.97


def compared(draw: Draw, shift: float, metric: str) -> Verdict:
    of = rows(draw)
    return token_mean_verdict([losses(draw, shift=shift, of=of)], [losses(draw, of=of)], "other", "test", metric, None, RESAMPLES)


@pytest.mark.parametrize("metric", ["loss", "perplexity"])
def test_equal_systems_are_called_different_in_at_most_5_of_100(metric: str) -> None:
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
        [(np.array([2.0, 30.0, 0.0]), np.array([1, 9, 0]))], np.array([8, 40, 5]), "test", RESAMPLES
    )
    assert loss.value == pytest.approx(3.2)
    assert perplexity.value == pytest.approx(exp(3.2))
    assert bits.value == pytest.approx(32 / log(2) / 48)
    assert (loss.n, loss.higher_is_better, bits.n) == (2, False, 2)


def test_lower_is_better_and_the_perplexity_says_the_same_word() -> None:
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
    metrics = [token_mean_metrics([system], None, "test", RESAMPLES)[1].value or 0.0 for system in (ours, other)]
    said = token_mean_verdict([ours], [other], "other", "test", "perplexity", None, RESAMPLES)
    assert said.difference == pytest.approx(metrics[0] - metrics[1])


def test_bits_per_byte_compares_other_tokenizers_and_the_loss_does_not() -> None:
    draw = np.random.default_rng(5)
    sums, counts = losses(draw)
    n_bytes = 4 * counts
    finer = (sums * 0.9, counts * 2)
    said = token_mean_verdict([finer], [(sums, counts)], "other", "test", "bits_per_byte", n_bytes, RESAMPLES)
    assert said.word == "better"
    assert said.difference == pytest.approx(-0.1 * sums.sum() / n_bytes.sum() / log(2))
    with pytest.raises(ValueError, match="count different tokens"):
        token_mean_verdict([finer], [(sums, counts)], "other", "test", "loss", None, RESAMPLES)


def test_seeds_widen_the_interval() -> None:
    draw = np.random.default_rng(6)
    sums, counts = losses(draw)
    steady, unsteady = ([(sums + shift * counts, counts) for shift in shifts] for shifts in ((0, 0, 0), (-0.5, 0, 0.5)))
    near, far = (token_mean_metrics(systems, None, "test", RESAMPLES)[0] for systems in (steady, unsteady))
    assert near.value == pytest.approx(far.value)
    assert (far.high or 0) - (far.low or 0) > 1.5 * ((near.high or 0) - (near.low or 0))
    said = token_mean_verdict(unsteady, [(sums + 0.2 * counts, counts)], "base", "test", "loss", None, RESAMPLES)
    assert said.word == "cannot tell"
    assert "3 + 1 seeds" in said.interval


def test_what_cannot_be_said_is_not_said() -> None:
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
