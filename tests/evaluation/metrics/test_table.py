"""compute: every metric has a value, or none where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.metrics.made import KINDS, of_kind
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics.predictions import from_scores
from tunesmith.evaluation.metrics.table import TABLE, compute, metric_kind


@pytest.mark.parametrize("kind", KINDS)
def test_compute_gives_every_metric_of_the_problem(kind: str) -> None:
    values = compute(kind, of_kind(kind, 80, 0))
    assert list(values) == list(TABLE[kind])
    assert all(isinstance(value, float) and np.isfinite(value) for value in values.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_does_not_matter(kind: str) -> None:
    predictions = of_kind(kind, 70, 1)
    shuffled = predictions.take(np.random.default_rng(0).permutation(70))
    for name, value in compute(kind, predictions).items():
        assert compute(kind, shuffled)[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_no_values(kind: str) -> None:
    none = of_kind(kind, 5, 0).take(np.array([], dtype=int))
    assert set(compute(kind, none).values()) == {None}


def test_a_single_class_leaves_rankings_undefined_with_a_reason() -> None:
    predictions = from_scores(SINGLE, [1, 1, 1], [[0.2, 0.8]] * 3)
    values = compute(SINGLE, predictions)
    assert values["auroc"] is None
    assert values["average_precision"] is None
    assert values["mcc"] == 0
    assert values["accuracy"] == 1
    assert TABLE[SINGLE]["auroc"].undefined == "no class has both positive and negative rows here"


def test_no_positive_at_all_leaves_f1_undefined() -> None:
    predictions = from_scores(MULTI, np.zeros((3, 2)), np.full((3, 2), 0.1))
    assert compute(MULTI, predictions)["micro_f1"] is None
    assert compute(MULTI, predictions)["accuracy"] == 1


def test_constant_regression_is_undefined() -> None:
    predictions = from_scores(REGRESSION, [1.0, 2.0], [3.0, 3.0])
    values = compute(REGRESSION, predictions)
    assert {name for name, value in values.items() if value is None} == {"pearson", "spearman", "pearson_spearman"}


def test_an_unknown_metric_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no metric 'f2'; it has accuracy, macro_f1"):
        metric_kind(SINGLE, "f2")


def test_the_recipe_knows_the_same_metrics_in_the_same_direction() -> None:

    from tunesmith.recipe.metric_names import BINARY_METRICS, higher_is_better
    from tunesmith.recipe.tasks import TASKS

    for task, kinds in {"classification": (SINGLE, MULTI), "regression": (REGRESSION,)}.items():
        for kind in kinds:
            known = {*TASKS[task].metrics, *TASKS[task].named_metrics}
            assert {*TABLE[kind]} == (known - {*BINARY_METRICS} if kind == MULTI else known)
            assert all(metric.higher_is_better == higher_is_better(name) for name, metric in TABLE[kind].items())
