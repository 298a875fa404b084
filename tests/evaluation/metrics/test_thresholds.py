"""The sweep finds what trying every threshold finds, and small validation sets are not believed too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.metrics.made import multi, regression, single
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.evaluation.metrics import thresholds as module
from tunesmith.evaluation.metrics.predictions import Predictions, from_scores
from tunesmith.evaluation.metrics.table import metric_kind, metric_value
from tunesmith.evaluation.metrics.thresholds import tune

OF_DECISIONS = ("accuracy", "macro_f1", "micro_f1", "mcc")


def binary(n: int, prior: float, shift: float, seed: int) -> Predictions:
    """Two classes whose probabilities are calibrated, then moved down by that many logits."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < prior
    evidence = 1.8 * (rng.normal(size=n) + 1.8 * labels) - 1.62
    chance = 1 / (1 + np.exp(-(np.log(prior / (1 - prior)) + evidence - shift)))
    return from_scores(SINGLE, labels.astype(int), np.stack([1 - chance, chance], axis=1))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), metric=st.sampled_from(OF_DECISIONS), n=st.integers(4, 30))
def test_the_sweep_is_the_metric_at_every_cut(seed: int, metric: str, n: int) -> None:
    predictions = single(n, 2, seed, digits=1)
    sweep = module._binary(predictions.labels == 1, predictions.scores[:, 1], metric, both_classes=True)
    kind = metric_kind(SINGLE, metric)
    expected = [metric_value(kind, predictions.decided(SINGLE, [cut])) for cut in sweep.cuts]
    found = sweep.objective(np.ones((1, n)))[0]
    assert 0.5 in sweep.cuts
    # The metric leaves a class that does not occur out of its mean; the sweep counts it as 0. Only there they differ.
    occurs = [
        metric != "macro_f1" or len({*predictions.labels, *predictions.decided(SINGLE, [cut]).decisions}) == 2
        for cut in sweep.cuts
    ]
    np.testing.assert_allclose(found[occurs], np.array(expected)[occurs], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), metric=st.sampled_from(("accuracy", "micro_f1")))
def test_the_shared_sweep_of_several_labels_is_the_metric_at_every_cut(seed: int, metric: str) -> None:
    predictions = multi(25, 3, seed, digits=1)
    sweep = module._pooled(predictions) if metric == "micro_f1" else module._exact_match(predictions)
    expected = [metric_value(metric_kind(MULTI, metric), predictions.decided(MULTI, [cut] * 3)) for cut in sweep.cuts]
    np.testing.assert_allclose(sweep.objective(np.ones((1, 25)))[0], np.array(expected, dtype=float), atol=1e-12)


@pytest.mark.parametrize("metric", OF_DECISIONS)
def test_a_shifted_model_is_put_right(metric: str) -> None:
    validation, test = binary(800, 0.3, 1.5, 0), binary(20_000, 0.3, 1.5, 1)
    tuned = tune(validation, metric)
    assert tuned is not None
    assert tuned.values[0] < 0.4
    assert tuned.after is not None
    assert tuned.before is not None
    assert tuned.after > tuned.before
    kind = metric_kind(SINGLE, metric)
    assert metric_value(kind, test.decided(SINGLE, tuned.values)) > metric_value(kind, test) + 0.02


@pytest.mark.parametrize("metric", ["accuracy", "mcc"])
def test_a_calibrated_model_loses_little(metric: str) -> None:
    """On 40 small validation sets the mean loss on new rows stays under 1.5 points."""
    test = binary(20_000, 0.5, 0.0, 99)
    kind = metric_kind(SINGLE, metric)
    usual = metric_value(kind, test)
    after = [metric_value(kind, test.decided(SINGLE, tune(binary(100, 0.5, 0.0, seed), metric).values)) for seed in range(40)]
    assert np.mean(after) > usual - 0.015


def test_of_equally_good_thresholds_the_nearest_to_one_half_is_taken() -> None:
    cuts = np.array([0.1, 0.2, 0.5, 0.9])
    assert module._best(np.array([0.7, 0.7, 0.3, 0.7]), cuts) == 1
    assert module._best(np.array([0.7, 0.7, 0.7, 0.7]), cuts) == 2


def test_no_gain_keeps_one_half() -> None:
    labels = np.arange(40) % 2
    perfect = from_scores(SINGLE, labels, np.eye(2)[labels] * 0.6 + 0.2)
    tuned = tune(perfect, "macro_f1")
    assert tuned is not None
    assert tuned.values == (0.5,)
    assert (tuned.before, tuned.after) == (1, 1)
    assert "0.5 kept" in tuned.note


@pytest.mark.parametrize("metric", OF_DECISIONS)
def test_every_label_has_a_threshold_and_rare_ones_keep_theirs(metric: str) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((400, 3)) < [0.3, 0.4, 0.01]).astype(int)
    scores = np.clip(0.1 + 0.25 * labels + 0.05 * rng.normal(size=labels.shape), 0.001, 0.999)
    tuned = tune(from_scores(MULTI, labels, scores), metric)
    assert tuned is not None
    assert len(tuned.values) == 3
    assert 0.15 < tuned.values[0] < 0.35
    if metric in ("macro_f1", "mcc"):
        assert tuned.values[2] == 0.5
    assert tuned.after > tuned.before


def test_where_there_is_no_threshold() -> None:
    assert tune(single(60, 3, 0), "macro_f1") is None
    assert tune(single(60, 2, 0), "auroc") is None
    assert tune(regression(60, 0), "spearman") is None


def test_tuning_is_the_same_by_seed() -> None:
    predictions = binary(200, 0.3, 1.0, 0)
    assert tune(predictions, "mcc", 3) == tune(predictions, "mcc", 3)
