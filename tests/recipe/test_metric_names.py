"""The metrics of each task."""

import pytest

from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.metric_names import ALIASES, DEFAULT_METRIC, METRICS, higher_is_better, primary_metric, suggest_metric
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
    assert primary_metric(recipe_from_mapping(data)) == "macro_f1"
    assert primary_metric(recipe_from_mapping(data | {"task": "regression"})) == "spearman"
    assert primary_metric(recipe_from_mapping(data | {"evaluate": {"metric": "mcc"}})) == "mcc"


def test_directions() -> None:
    assert higher_is_better("mcc")
    assert not higher_is_better("log_loss")
    with pytest.raises(KeyError):
        higher_is_better("f1")


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
