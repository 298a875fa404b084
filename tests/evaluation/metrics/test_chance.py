"""Expected metrics of random decisions equal their simulated means; a coin and a constant are never above chance."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.evaluation.metrics.chance import chance_verdict, expected_metrics, permuted, permuted_tables
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.metrics.table import compute, metric_kind

SHARES = np.array([0.6, 0.3, 0.1])


def decided(labels: np.ndarray, decisions: np.ndarray, k: int = 3) -> Predictions:
    return Predictions(labels, np.eye(k)[decisions], decisions)


def test_the_expectations_equal_the_means_of_random_decisions() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [25, 20, 5])
    expected = expected_metrics(SINGLE, labels, SHARES)
    drawn = []
    for _ in range(600):
        scores = rng.random((50, 3))
        decisions = rng.choice(3, 50, p=SHARES)
        drawn.append(compute(SINGLE, Predictions(labels, scores / scores.sum(axis=1, keepdims=True), decisions)))
    for name in ("accuracy", "macro_f1", "micro_f1", "mcc", "auroc", "average_precision"):
        assert expected[name] == pytest.approx(np.mean([found[name] for found in drawn]), abs=0.02), name


def test_the_expectations_of_several_labels() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random((60, 3)) < 0.3).astype(int)
    expected = expected_metrics(MULTI, labels, SHARES)
    drawn = [compute(MULTI, Predictions(labels, (d := (rng.random((60, 3)) < SHARES).astype(int)) * 1.0, d)) for _ in range(600)]
    for name in ("accuracy", "macro_f1", "micro_f1", "mcc"):
        assert expected[name] == pytest.approx(np.mean([found[name] for found in drawn]), abs=0.02), name


@pytest.mark.parametrize("guess", ["coin", "shares", "constant"])
@pytest.mark.parametrize("metric", ["macro_f1", "mcc"])
def test_a_system_that_ignores_the_text_is_seldom_better(guess: str, metric: str) -> None:
    """The same coin is "better than the majority class" in macro F1 in 98 of 100."""
    rng, better = np.random.default_rng(3), 0
    for simulation in range(120):
        labels = rng.choice(3, 120, p=SHARES)
        expected = expected_metrics(SINGLE, labels, SHARES)
        chosen = {"coin": rng.integers(0, 3, 120), "shares": rng.choice(3, 120, p=SHARES), "constant": np.zeros(120, dtype=int)}
        verdict = chance_verdict(metric, [decided(labels, chosen[guess])], expected, SINGLE, "test", Resampling(200, simulation))
        better += verdict.word == "better"
    assert better / 120 <= 0.06


def test_a_model_that_knows_something_is_better() -> None:
    rng = np.random.default_rng(4)
    labels = rng.choice(3, 200, p=SHARES)
    decisions = np.where(rng.random(200) < 0.5, labels, rng.choice(3, 200, p=SHARES))
    expected = expected_metrics(SINGLE, labels, SHARES)
    found = chance_verdict("mcc", [decided(labels, decisions)], expected, SINGLE, "test", Resampling(500))
    assert (found.word, found.against, found.n) == ("better", "chance", 200)
    assert found.low is not None
    assert found.low > 0
    clustered = Resampling(500, clusters=np.arange(200) // 50)
    assert chance_verdict("mcc", [decided(labels, decisions)], expected, SINGLE, "test", clustered).n_clusters == 4


def test_tables_with_fixed_margins_are_permutations() -> None:
    rng = np.random.default_rng(5)
    system = decided(rng.choice(3, 60, p=SHARES), rng.choice(3, 60, p=SHARES))
    kind = metric_kind(SINGLE, "macro_f1")
    fast, slow = permuted_tables(kind, system, 0), permuted(kind, system, 0)
    assert np.quantile(fast, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(slow, [0.1, 0.5, 0.9]), abs=0.015)


def test_an_undefined_metric_is_no_verdict() -> None:
    labels = np.zeros(20, dtype=int)
    one = from_scores(SINGLE, labels, np.tile([0.7, 0.3], (20, 1)))
    found = chance_verdict("auroc", [one], {"auroc": 0.5}, SINGLE, "test", Resampling(100))
    assert (found.word, found.difference) == ("cannot tell", None)
