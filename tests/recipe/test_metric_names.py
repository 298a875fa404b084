"""The metrics of each task."""

import pytest

from tunesmith.evaluation.metrics import answers, language, retrieval
from tunesmith.evaluation.metrics.predictions import CLUSTERING, MULTI, REGRESSION, SINGLE
from tunesmith.evaluation.metrics.table import TABLE
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.metric_names import ALIASES, DEFAULT_METRIC, METRICS, higher_is_better, metric_of, suggest_metric
from tunesmith.recipe.sections import TaskName


def test_defaults_are_metrics_of_their_task() -> None:
    assert all(metric in METRICS[task] for task, metric in DEFAULT_METRIC.items())


def test_aliases_lead_to_metrics_and_are_none() -> None:
    names = {name for metrics in METRICS.values() for name in metrics}
    assert {name for targets in ALIASES.values() for name in targets} <= names
    for alias, targets in ALIASES.items():
        assert not any({alias, *targets} <= METRICS[task].keys() for task in ("classification", "regression", "embedding"))


def test_metric_of_takes_the_recipe_first() -> None:
    data = {"data": {"train": "a.csv"}}
    assert metric_of(recipe_from_mapping(data)) == "macro_f1"
    assert metric_of(recipe_from_mapping(data | {"task": "regression"})) == "spearman"
    assert metric_of(recipe_from_mapping(data | {"evaluate": {"metric": "mcc"}})) == "mcc"


def test_directions() -> None:
    assert higher_is_better("mcc")
    assert not higher_is_better("log_loss")
    with pytest.raises(KeyError):
        higher_is_better("f1")


def measured_directions() -> dict[TaskName, dict[str, bool]]:
    """Whether higher is better, from the tables of the functions that compute the metrics."""
    tables = {kind: {name: metric.higher_is_better for name, metric in table.items()} for kind, table in TABLE.items()}
    scored = {name: True for name in (*answers.METRICS, "function")}
    losses = {name: False for name in language.LOWER_IS_BETTER}
    rankings = {name: True for name in METRICS["embedding"] if name.partition("@")[0] in retrieval.METRICS}
    pairs = {"best_f1": True, "accuracy": tables[MULTI]["accuracy"]}
    ranked = {name: tables[SINGLE][name] for name in ("auroc", "average_precision")}
    correlations = {name: tables[REGRESSION][name] for name in ("spearman", "pearson")}
    labels = {name: tables[SINGLE][name] for name in tables[SINGLE] if name not in ranked}
    return {
        "classification": tables[SINGLE],
        "regression": tables[REGRESSION],
        "embedding": {**rankings, **correlations, **ranked, **pairs, **tables[CLUSTERING]},
        "sft": {**losses, **scored, **labels},
        "pretraining": losses,
    }


def test_directions_are_those_of_the_functions_that_compute_the_metrics() -> None:
    assert {task: dict(metrics) for task, metrics in METRICS.items()} == measured_directions()


def test_a_metric_has_one_direction_in_all_problem_types() -> None:
    directions = {(name, metric.higher_is_better) for table in TABLE.values() for name, metric in table.items()}
    assert len(directions) == len({name for name, _ in directions})


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("f1", "classification", "Did you mean macro_f1 or micro_f1?"),
        ("eval_f1", "classification", "Did you mean macro_f1 or micro_f1?"),
        ("matthews_correlation", "classification", "Did you mean mcc?"),
        ("roc_auc", "classification", "Did you mean auroc?"),
        ("eval_loss", "classification", "Did you mean log_loss?"),
        ("eval_loss", "regression", "Did you mean rmse?"),
        ("MCC", "classification", "Did you mean mcc?"),
        ("accurracy", "classification", "Did you mean accuracy?"),
        (
            "mcc",
            "regression",
            "mcc is a metric of the task classification. Metrics of regression: pearson, spearman, rmse, mae, r2.",
        ),
        ("bleu", "regression", "Metrics of regression: pearson, spearman, rmse, mae, r2."),
    ],
)
def test_suggestions(name: str, task: TaskName, sentence: str) -> None:
    assert suggest_metric(name, task) == sentence
