"""Which metric selects the checkpoint and stops early, of recipes that name none, one, or each."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.metric_roles import checkpoint_metric, stopping_metric
from tunesmith.recipe.tasks import primary_metric


@pytest.mark.parametrize(
    ("task", "evaluate", "stopping", "selects", "stops"),
    [
        ("classification", {}, None, "macro_f1", "macro_f1"),
        ("classification", {"metric": "mcc", "checkpoint_metric": "f1"}, None, "f1", "mcc"),
        ("reward", {}, None, "log_loss", "log_loss"),
        ("reward", {"metric": "accuracy"}, None, "accuracy", "accuracy"),
        ("reward", {"checkpoint_metric": "calibration_error"}, None, "calibration_error", "log_loss"),
        ("reward", {}, "accuracy", "log_loss", "accuracy"),
    ],
)
def test_roles(task: str, evaluate: dict[str, Any], stopping: str | None, selects: str, stops: str) -> None:
    train = {} if stopping is None else {"early_stopping": {"metric": stopping}}
    recipe = recipe_from_mapping({"task": task, "data": {"train": "a.csv"}, "evaluate": evaluate, "train": train})
    leading = primary_metric(recipe)
    assert checkpoint_metric(recipe, leading) == selects
    assert stopping_metric(recipe, leading) == stops
