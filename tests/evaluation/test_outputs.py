"""Metrics and verdicts of every kind of output: predictions, token losses, row scores, figures, truncated embeddings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, SINGLE, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.outputs import (
    COMPUTED_AS,
    BaselineOutputs,
    Outputs,
    SplitMetrics,
    TokenLosses,
    all_verdicts,
    baseline_result,
    metric_values,
    metrics_of_outputs,
    verdicts_of_outputs,
)

N_ROWS = 40
FEW = Resampling(200, 0)
TRUTH = np.arange(N_ROWS) % 2
HALF = np.full(N_ROWS, 0.5)


def classes(n_wrong: int) -> Outputs:
    """Predictions of two classes of which the first rows are wrong."""
    decisions = np.where(np.arange(N_ROWS) < n_wrong, 1 - TRUTH, TRUTH)
    return Outputs(SINGLE, from_scores(SINGLE, TRUTH, 0.1 + 0.8 * np.eye(2)[decisions]))


def losses(loss: float) -> Outputs:
    """Rows of ten tokens with about this loss each, and twenty bytes."""
    sums = 10 * (loss + 0.01 * np.sin(np.arange(N_ROWS)))
    return Outputs(token_losses=TokenLosses(sums, np.full(N_ROWS, 10)), n_bytes=np.full(N_ROWS, 20))


def scores(value: float) -> Outputs:
    return Outputs(row_scores={"ndcg@10": HALF * 2 * value, "mrr@10": HALF})


CLASSES = SplitMetrics("test", ("accuracy", "mcc"), ("accuracy",), "accuracy")
CASES: dict[str, tuple[Outputs, Outputs, SplitMetrics, dict[str, float], str]] = {
    "classes": (classes(0), classes(20), CLASSES, {"accuracy": 1.0, "mcc": 1.0}, "accuracy"),
    "tokens": (losses(1.0), losses(2.0), SplitMetrics("test"), {"loss": 1.0, "perplexity": math.e}, "loss"),
    "bits": (losses(1.0), losses(2.0), SplitMetrics("test", requested="bits_per_byte"), {"bits_per_byte": 0.5 / math.log(2)},
             "bits_per_byte"),
    "rows": (scores(0.9), scores(0.2), SplitMetrics("test"), {"ndcg@10": 0.9, "mrr@10": 0.5}, "ndcg@10"),
}  # fmt: skip


@pytest.mark.parametrize(("skill", "word"), [(0.9, "better"), (0.0, "cannot tell")])
@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_a_correlation_is_compared_with_a_constant_which_has_none(metric: str, skill: float, word: str) -> None:
    noise = np.random.default_rng(0).normal(size=(2, N_ROWS))
    ours, constant = skill * noise[0] + (1 - skill) * noise[1], np.full(N_ROWS, 0.3)
    mine, mean = (Outputs(REGRESSION, from_scores(REGRESSION, noise[0], values)) for values in (ours, constant))
    split = SplitMetrics("test", (metric, "rmse"), (metric, "rmse"), metric)
    found, of_errors = verdicts_of_outputs([mine], BaselineOutputs("majority", {"test": mean}, 0.0), split, FEW)
    assert (found.against, found.metric, found.word) == ("majority", metric, word)
    assert found.difference == pytest.approx(metrics_of_outputs([mine], split, FEW)[0].value)
    assert of_errors.metric == "rmse"
    assert found.low is not None
    undefined, _ = verdicts_of_outputs([mean], BaselineOutputs("majority", {"test": mean}, 0.0), split, FEW)
    assert (undefined.word, undefined.difference) == ("cannot tell", None)


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_output_has_its_metrics_and_one_verdict(name: str) -> None:
    ours, theirs, metrics, values, verdict_on = CASES[name]
    computed = {metric.name: metric for metric in metrics_of_outputs([ours], metrics, FEW)}
    for metric, value in values.items():
        assert computed[metric].value == pytest.approx(value, abs=0.02)
        assert metric_values(ours, metrics)[metric] == computed[metric].value
        assert computed[metric].n == N_ROWS
    (verdict,) = verdicts_of_outputs([ours], BaselineOutputs("base", {"test": theirs}), metrics, FEW)
    assert (verdict.metric, verdict.split, verdict.against, verdict.word) == (verdict_on, "test", "base", "better")


def test_the_value_of_several_seeds_is_their_mean() -> None:
    (accuracy,) = metrics_of_outputs([classes(0), classes(20)], SplitMetrics("test", ("accuracy",)), FEW)
    assert accuracy.value == 0.75


def test_numbers_and_label_sets_are_predictions_as_well() -> None:
    numbers = Outputs(REGRESSION, from_scores(REGRESSION, TRUTH, TRUTH + 0.5))
    assert metric_values(numbers, SplitMetrics("test", ("rmse",))) == {"rmse": 0.5}
    sets = Outputs(MULTI, from_scores(MULTI, [(1, 0), (0, 1)], [[0.9, 0.1], [0.1, 0.9]]))
    assert metric_values(sets, SplitMetrics("test", ("accuracy",))) == {"accuracy": 1.0}


def test_truncated_embeddings_are_compared_at_equal_dimensions() -> None:
    ours = replace(scores(0.9), truncated={8: scores(0.8), 4: scores(0.7)})
    theirs = replace(scores(0.2), truncated={8: scores(0.1)})
    values = {metric.name: metric.value for metric in metrics_of_outputs([ours], SplitMetrics("test"), FEW)}
    named = {"ndcg@10": 0.9, "ndcg@10 dim=8": 0.8, "ndcg@10 dim=4": 0.7}
    assert {name: values[name] for name in named} == pytest.approx(named)
    found = verdicts_of_outputs([ours], BaselineOutputs("base", {"test": theirs}), SplitMetrics("test"), FEW)
    assert [(verdict.metric, verdict.difference) for verdict in found] == [
        ("ndcg@10", pytest.approx(0.7)), ("ndcg@10 dim=8", pytest.approx(0.7)),
    ]  # fmt: skip


def test_a_figure_is_the_mean_of_the_seeds_without_an_interval() -> None:
    seeds = [replace(scores(0.9), figures={"mined": value}) for value in (0.2, 0.4)]
    figure = metrics_of_outputs(seeds, SplitMetrics("test"), FEW)[-1]
    assert (figure.name, figure.value, figure.low, figure.n) == ("mined", pytest.approx(0.3), None, N_ROWS)
    assert "no interval" in figure.note


@pytest.mark.parametrize(("name", "computed"), [("best_f1", "macro_f1")])
def test_a_metric_with_another_name_is_reported_by_its_own(name: str, computed: str) -> None:
    assert COMPUTED_AS[name] == computed
    metrics, other = SplitMetrics("test", (name,), (name,)), SplitMetrics("test", (computed,), (computed,))
    ours, base = classes(4), BaselineOutputs("base", {"test": classes(20)})
    (reported,), (whole,) = metrics_of_outputs([ours], metrics, FEW), metrics_of_outputs([ours], other, FEW)
    assert reported == replace(whole, name=name)
    assert metric_values(ours, metrics) == {name: whole.value}
    (verdict,), (plain,) = (verdicts_of_outputs([ours], base, wanted, FEW) for wanted in (metrics, other))
    assert verdict == replace(plain, metric=name)


def test_an_undefined_metric_is_nan_during_training_and_none_in_the_result() -> None:
    one_class = Outputs(SINGLE, from_scores(SINGLE, [0] * 12, [[0.9, 0.1]] * 12))
    metrics = SplitMetrics("test", ("auroc",))
    assert math.isnan(metric_values(one_class, metrics)["auroc"])
    assert metrics_of_outputs([one_class], metrics, FEW)[0].value is None


def test_a_loss_beyond_the_range_of_exp_has_a_finite_perplexity() -> None:
    assert math.isfinite(metric_values(losses(1e4), SplitMetrics("test"))["perplexity"])


@pytest.mark.parametrize(
    ("baseline", "metrics"),
    [
        ({}, SplitMetrics("test")), ({"test": scores(0.2)}, SplitMetrics("test", has_verdicts=False)),
        ({"test": Outputs()}, CLASSES),
    ],
)  # fmt: skip
def test_there_is_no_verdict_without_outputs_or_need(baseline: dict[str, Outputs], metrics: SplitMetrics) -> None:
    assert verdicts_of_outputs([scores(0.9)], BaselineOutputs("base", baseline), metrics, FEW) == []


def test_the_requested_row_score_is_compared_where_there_is_one() -> None:
    base = BaselineOutputs("base", {"test": scores(0.2)})
    wanted = [SplitMetrics("test", requested=name) for name in ("mrr@10", "recall@10")]
    assert [verdicts_of_outputs([scores(0.9)], base, metrics, FEW)[0].metric for metrics in wanted] == ["mrr@10", "ndcg@10"]


def test_verdicts_come_with_the_last_split_first_and_one_metric_after_the_other() -> None:
    both = SplitMetrics("test", ("accuracy", "mcc"), ("accuracy", "mcc"))
    splits = [SplitMetrics("validation", ("accuracy",), ("accuracy",)), both]
    seeds: dict[str, Any] = {"validation": [classes(0)], "test": [classes(0)]}
    baselines = [BaselineOutputs(name, {"validation": classes(9), "test": classes(9)}) for name in ("a", "b")]
    order = [(verdict.split, verdict.metric, verdict.against) for verdict in all_verdicts(seeds, baselines, splits, FEW)]
    assert order == [
        ("test", "accuracy", "a"), ("test", "accuracy", "b"), ("test", "mcc", "a"), ("test", "mcc", "b"),
        ("validation", "accuracy", "a"), ("validation", "accuracy", "b"),
    ]  # fmt: skip


def test_a_baseline_is_reported_on_the_splits_that_it_has() -> None:
    result = baseline_result(
        BaselineOutputs("base", {"test": classes(20)}, 1.23456, "note"), [SplitMetrics("validation"), CLASSES], FEW
    )
    assert (result.name, result.seconds, result.note) == ("base", 1.235, "note")
    assert [(metric.name, metric.split, metric.value) for metric in result.metrics][:1] == [("accuracy", "test", 0.5)]


def test_the_mean_of_token_losses_is_over_tokens_and_needs_one() -> None:
    rows = TokenLosses(np.array([2.0, 6.0, 0.0]), np.array([1, 3, 0]))
    assert rows.mean == 2.0
    with pytest.raises(ValueError, match="no token is counted"):
        _ = TokenLosses(np.array([0.0]), np.array([0])).mean
