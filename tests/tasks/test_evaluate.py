"""What is reported of several seeds: the best one, the inputs of the alarms, and the decided classes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tunesmith.evaluation.metrics.predictions import MULTI, REGRESSION, SINGLE, from_scores
from tunesmith.evaluation.metrics.resample import Resampling
from tunesmith.evaluation.outputs import BaselineOutputs, Outputs, SplitMetrics
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Verdict
from tunesmith.tasks.evaluate import alarm_inputs, best_seed, class_tables
from tunesmith.tasks.task import Baselines, Evaluation, SeedResult, SplitLengths

METRICS = [SplitMetrics("validation", ("accuracy",)), SplitMetrics("test", ("accuracy",))]


def make_outputs(decisions: list[int], truth: list[int]) -> Outputs:
    return Outputs(SINGLE, from_scores(SINGLE, truth, np.eye(2)[decisions]))


def make_seed(number: int, best_value: float | None, outputs: dict[str, Outputs] | None = None) -> SeedResult:
    fit: Any = SimpleNamespace(
        best_value=best_value, history=[{"step": 1, "loss": 0.5}], learning_rate=1e-3, highest_learning_rate=1e-3
    )
    lengths = {"train": SplitLengths(10, 4, {"max_length": 16}), "test": SplitLengths(0, 0, {"max_length": None})}
    data = SimpleNamespace(recipe=Recipe.model_validate({"data": {"train": "a.csv"}}))
    session = SimpleNamespace(
        data=data, metric="accuracy", checkpoint_metric="accuracy", class_names=("no", "yes"), expected_loss=0.69, lengths=lengths
    )
    return SeedResult(number, fit, session, outputs or {})


def make_evaluation(seed: SeedResult, *systems: BaselineOutputs) -> Evaluation:
    return Evaluation((seed,), seed, (), (), (), (), Baselines(systems))


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [0.7, 0.9, 0.8], 1),
        ("log_loss", [0.7, 0.9, 0.8], 0),
        ("accuracy", [0.9, 0.9], 0),
        ("accuracy", [None, 0.1], 1),
        ("log_loss", [None, 0.1], 1),
        ("accuracy", [None, None], 0),
    ],
)
def test_the_best_seed_is_the_first_with_the_best_value(metric: str, values: list[float | None], best: int) -> None:
    assert (
        best_seed([make_seed(i, value) for i, value in enumerate(values)], higher_is_better=higher_is_better(metric)).seed == best
    )


def test_alarms_read_the_last_split_and_the_lengths_of_all() -> None:
    outputs = {"validation": make_outputs([0, 0], [0, 0]), "test": make_outputs([0, 1, 1, 1], [0, 0, 1, 1])}
    majority = BaselineOutputs("majority", {"validation": outputs["validation"], "test": make_outputs([1] * 4, [0, 0, 1, 1])})
    inputs = alarm_inputs(make_evaluation(make_seed(0, 0.9, outputs), majority), METRICS, Resampling(200, 0))
    assert (inputs.metric, inputs.higher_is_better, inputs.class_names) == ("accuracy", True, ("no", "yes"))
    assert (inputs.ours, inputs.majority) == (0.75, 0.5)
    assert (inputs.history, inputs.requested_learning_rate, inputs.expected_first_loss) == (
        [{"step": 1, "loss": 0.5}],
        1e-3,
        0.69,
    )
    assert (inputs.truncated_share, inputs.max_length) == ({"train": 0.4, "test": 0.0}, 16)


def test_alarms_compare_with_the_majority_on_the_last_split_that_it_has() -> None:
    outputs = {"validation": make_outputs([0, 0], [0, 0]), "test": make_outputs([0, 1, 1, 1], [0, 0, 1, 1])}
    majority = BaselineOutputs("majority", {"validation": make_outputs([1, 1], [0, 0])})
    inputs = alarm_inputs(make_evaluation(make_seed(0, 0.9, outputs), majority), METRICS, Resampling(200, 0))
    assert (inputs.ours, inputs.majority) == (1.0, 0.0)


def test_without_a_majority_or_the_metric_there_is_nothing_to_compare() -> None:
    outputs = {split.split: make_outputs([0, 1], [0, 1]) for split in METRICS}
    seed = make_seed(0, 0.9, outputs)
    inputs = alarm_inputs(make_evaluation(seed, BaselineOutputs("tfidf", outputs)), METRICS, Resampling(200, 0))
    assert (inputs.ours, inputs.majority) == (1.0, None)
    seed.session.metric = "mcc"
    assert alarm_inputs(make_evaluation(seed), METRICS, Resampling(200, 0)).ours is None


def test_decided_classes_come_with_the_last_split_first() -> None:
    several = Outputs(MULTI, from_scores(MULTI, [(1, 0)], [[0.9, 0.2]]))
    seed = make_seed(0, 0.9, {"validation": make_outputs([1, 0], [0, 0]), "test": several})
    decisions = class_tables(seed.session, seed, METRICS, "decisions")
    assert list(decisions) == ["test", "validation"]
    assert decisions["test"].tolist() == [[1, 0]]
    assert decisions["validation"].tolist() == [1, 0]
    assert class_tables(seed.session, seed, METRICS, "labels")["validation"].tolist() == [0, 0]


def test_the_alarm_of_the_majority_reads_its_verdict() -> None:
    outputs = {split.split: make_outputs([0, 1], [0, 1]) for split in METRICS}
    evaluation = make_evaluation(make_seed(0, 0.9, outputs), BaselineOutputs("majority", outputs))
    verdicts = [Verdict("accuracy", "test", name, 0.0, -0.1, 0.1, "cannot tell") for name in ("tfidf", "majority")]
    assert (
        alarm_inputs(replace(evaluation, verdicts=tuple(verdicts)), METRICS, Resampling(200, 0)).majority_verdict == verdicts[1]
    )
    assert alarm_inputs(evaluation, METRICS, Resampling(200, 0)).majority_verdict is None


def test_there_are_no_decided_classes_without_class_names_or_of_numbers() -> None:
    numbers = Outputs(REGRESSION, from_scores(REGRESSION, [1.0], [2.0]))
    seed = make_seed(0, 0.9, {"validation": numbers, "test": Outputs()})
    assert class_tables(seed.session, seed, METRICS, "decisions") == {}
    classes = replace(seed, outputs={split.split: make_outputs([1], [1]) for split in METRICS})
    classes.session.class_names = ()
    assert class_tables(classes.session, classes, METRICS, "decisions") == {}


def test_the_verdict_against_chance_does_not_depend_on_the_baselines() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 200).tolist()
    for decisions, word in ((draw.integers(0, 2, 200).tolist(), "cannot tell"), (truth, "better")):
        outputs = {"validation": make_outputs(decisions, truth), "test": make_outputs(decisions, truth)}
        found = alarm_inputs(make_evaluation(make_seed(0, 0.9, outputs)), METRICS, Resampling(200, 0)).chance
        assert found is not None
        assert (found.word, found.metric, found.split, found.against) == (word, "mcc", "test", "chance")
