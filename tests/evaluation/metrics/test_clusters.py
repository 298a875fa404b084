"""Rows that depend on each other are drawn together: equal systems are seldom told apart, intervals are as wide as needed."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from tunesmith.data.labelled.labels import SINGLE
from tunesmith.evaluation.metrics.intervals import ONE_CLUSTER, metric_intervals
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict, token_mean_verdict
from tunesmith.evaluation.metrics.predictions import Predictions
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers, effective_number, resampled_sums
from tunesmith.evaluation.metrics.verdict import holm, verdicts
from tunesmith.results import Verdict


def dependent(rng: np.random.Generator, sizes: list[int], correlation: float) -> tuple[Predictions, Predictions, np.ndarray]:
    """Two systems of equal accuracy, and the clusters of their rows."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    labels = rng.integers(0, 2, len(clusters))
    systems = []
    for _ in range(2):
        shared, own = rng.normal(size=len(sizes))[clusters], rng.normal(size=len(clusters))
        latent = correlation**0.5 * shared + (1 - correlation) ** 0.5 * own
        decisions = np.where(latent < NormalDist().inv_cdf(0.75), labels, 1 - labels)
        systems.append(Predictions(labels, np.eye(2)[decisions], decisions))
    return systems[0], systems[1], clusters


@pytest.mark.parametrize(("sizes", "correlation"), [([10] * 50, 0.3), ([5] * 60, 1.0)])
def test_equal_systems_on_dependent_rows_are_seldom_told_apart(sizes: list[int], correlation: float) -> None:
    rng, words, ignored, held = np.random.default_rng(5), [0, 0], 0, 0
    n = 150
    for simulation in range(n):
        ours, other, clusters = dependent(rng, sizes, correlation)
        known = Resampling(200, simulation, clusters)
        (verdict,) = verdicts(["macro_f1"], [ours], [other], "other", "test", known)
        right = [(system.labels == system.decisions).astype(float) for system in (ours, other)]
        mean = mean_verdict("exact_match", right[:1], right[1:], "other", "test", known)
        words[0] += verdict.word != "cannot tell"
        words[1] += mean.word != "cannot tell"
        ignored += verdicts(["macro_f1"], [ours], [other], "other", "test", Resampling(200))[0].word != "cannot tell"
        (accuracy,) = metric_intervals(SINGLE, ours, "test", ["accuracy"], known)
        assert accuracy.low is not None
        assert accuracy.high is not None
        held += accuracy.low <= 0.75 <= accuracy.high
        assert (verdict.n, verdict.n_clusters, accuracy.n_clusters, mean.n_clusters) == (sum(sizes), *[len(sizes)] * 3)
    assert max(words) / n <= 0.09
    assert ignored / n > 0.12  # what the clusters prevent
    assert held / n > 0.89


def test_clusters_of_one_row_change_nothing() -> None:
    ours, other, _ = dependent(np.random.default_rng(1), [1] * 80, 0.0)
    assert cluster_numbers(np.arange(80)) is None
    plain, single = Resampling(300), Resampling(300, clusters=cluster_numbers(np.arange(80)))
    assert verdicts(["mcc"], [ours], [other], "b", "test", plain) == verdicts(["mcc"], [ours], [other], "b", "test", single)


def test_repeating_every_row_changes_no_interval_when_the_clusters_are_known() -> None:
    ours, _, _ = dependent(np.random.default_rng(2), [1] * 100, 0.0)
    five = ours.take(np.repeat(np.arange(100), 5))
    once = metric_intervals(SINGLE, ours, "test", ["mcc"], Resampling(4000))[0]
    known = metric_intervals(SINGLE, five, "test", ["mcc"], Resampling(4000, clusters=np.repeat(np.arange(100), 5)))[0]
    assert known.value == pytest.approx(once.value)
    assert once.low is not None
    assert known.low == pytest.approx(once.low, abs=0.02)


def test_token_losses_of_one_conversation_are_drawn_together() -> None:
    rng, words = np.random.default_rng(3), 0
    for simulation in range(100):
        effect, clusters = rng.normal(size=(2, 30)), np.repeat(np.arange(30), 6)
        ours, other = ((effect[k][clusters] + rng.normal(size=180)) * 5 + 20 for k in range(2))
        counts = np.full(180, 5)
        known = Resampling(200, simulation, clusters)
        found = token_mean_verdict([(ours, counts)], [(other, counts)], "b", "test", "loss", None, known)
        words += found.word != "cannot tell"
    assert words <= 10


def test_a_cluster_without_counted_tokens_is_left_out() -> None:
    values, counts = np.array([1.0, 2.0, 3.0, 0.0]), np.array([1, 1, 1, 0])
    known, more = Resampling(50, clusters=np.array([0, 0, 1, 2])), values + np.array([0, 1, 0, 0])
    found = token_mean_verdict([(values, counts)], [(more, counts)], "b", "test", "loss", None, known)
    assert (found.n, found.n_clusters) == (3, 2)


def test_one_cluster_has_no_interval() -> None:
    metric = mean_metric("exact_match", "test", [np.array([0.0, 1.0, 1.0])], Resampling(50, clusters=np.zeros(3, dtype=int)))
    assert (metric.value, metric.low, metric.note) == (pytest.approx(2 / 3), None, ONE_CLUSTER)


def test_sums_keep_clusters_whole() -> None:
    drawn = resampled_sums(np.array([1.0, 10.0, 100.0]), Resampling(200, clusters=np.array([0, 0, 1])))
    assert set(np.unique(drawn)) == {22.0, 111.0, 200.0}


def test_the_effective_number_is_that_of_equal_sizes() -> None:
    assert effective_number(np.ones(7)) == 7
    assert effective_number(np.array([100.0, 1.0, 1.0])) == 1


def verdict(p: float | None, word: str = "better") -> Verdict:
    return Verdict("m", "test", "b", 0.1, 0.02, 0.18, word=word, p_two_sided=p, interval="bootstrap")  # type: ignore[arg-type]


def test_words_of_a_table_hold_together() -> None:
    found = holm([verdict(0.001), verdict(0.04), verdict(0.02), verdict(0.3, "cannot tell"), verdict(None, "cannot tell")])
    assert [v.word for v in found] == ["better", "cannot tell", "cannot tell", "cannot tell", "cannot tell"]
    assert [v.p_adjusted for v in found] == [pytest.approx(0.004), pytest.approx(0.08), pytest.approx(0.06), 0.3, None]
    assert found[1].low == 0.0
    assert found[1].interval.endswith("better alone, but not among the 4 comparisons of the table (Holm)")
    assert {v.n_comparisons for v in found[:4]} == {4}


def test_equal_systems_in_one_table_give_a_word_in_5_of_100() -> None:
    rng, tables, alone = np.random.default_rng(6), 0, 0
    for simulation in range(150):
        ours, *others = (dependent(rng, [1] * 150, 0.0)[0].decisions for _ in range(6))
        labels = rng.integers(0, 2, 150)
        system = [Predictions(labels, np.eye(2)[decisions], decisions) for decisions in (ours, *others)]
        given = [verdicts(["accuracy"], system[:1], [other], "b", "test", Resampling(150, simulation))[0] for other in system[1:]]
        alone += any(v.word != "cannot tell" for v in given)
        tables += any(v.word != "cannot tell" for v in holm(given))
    assert tables / 150 <= 0.08
    assert tables < alone


def test_the_best_of_ten_checkpoints_has_a_wider_interval() -> None:
    """Simulated: ten checkpoints of equal accuracy, the best on these rows is evaluated on them."""
    rng, held, naive = np.random.default_rng(7), 0, 0
    for simulation in range(200):
        labels = rng.integers(0, 2, 120)
        shared = rng.random(120) < 0.7
        candidates = []
        for _ in range(10):
            right = np.where(shared, np.arange(120) % 5 != 0, rng.random(120) < 0.8)
            decisions = np.where(right, labels, 1 - labels)
            candidates.append(Predictions(labels, np.eye(2)[decisions], decisions))
        best = max(candidates, key=lambda system: (system.labels == system.decisions).mean())
        for n_candidates in (1, 10):
            few = Resampling(100, simulation, n_candidates=n_candidates)
            (found,) = metric_intervals(SINGLE, best, "validation", ["accuracy"], few)
            assert found.low is not None
            held += n_candidates == 10 and found.low <= 0.8
            naive += n_candidates == 1 and found.low <= 0.8
    assert held / 200 >= 0.95
    assert naive < held
