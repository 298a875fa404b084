"""Names, directions and aliases of metrics."""

import pytest

from tunesmith.recipe.metric_names import ALIASES, DIRECTIONS, STANDARD_ERROR, higher_is_better, is_search_metric
from tunesmith.recipe.tasks import TASKS


def test_every_metric_of_a_task_has_a_direction_and_every_direction_a_task() -> None:
    logged = {name for name in DIRECTIONS if name.endswith(STANDARD_ERROR)}
    assert {name for task in TASKS.values() for name in (*task.metrics, *task.named_metrics)} == DIRECTIONS.keys() - logged


def test_aliases_lead_to_metrics_and_are_none() -> None:
    assert {name for targets in ALIASES.values() for name in targets} <= DIRECTIONS.keys()
    for alias, targets in ALIASES.items():
        assert not any({alias, *targets} <= {*TASKS[task].metrics} for task in ("classification", "regression", "embedding"))


def test_directions() -> None:
    assert higher_is_better("mcc")
    assert not higher_is_better("log_loss")
    with pytest.raises(KeyError):
        higher_is_better("f_one")


@pytest.mark.parametrize(
    ("name", "expected"), [("ndcg@20", True), ("recall@1", True), ("ndcg@0", False), ("ndcg", False), ("ndcg@10x", False)]
)
def test_search_metrics_have_a_cut_off(name: str, expected: bool) -> None:
    assert is_search_metric(name) == expected
