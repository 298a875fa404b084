"""Values of drafted recipes are quoted where YAML would read them as something else."""

from __future__ import annotations

import pytest
import yaml

from tunesmith.recipe.draft import scalar


@pytest.mark.parametrize(
    "value", ["plain", "which is better?", "a, b", "x}", "[y", "- z", "a: b", "true", "it's", "7", 'say "no"', " "]
)
def test_values_come_back_on_a_line_of_their_own_and_in_a_map(value: str) -> None:
    assert yaml.safe_load(f"key: {scalar(value)}") == {"key": value}
    assert yaml.safe_load(f"columns: {{text: customer, label: {scalar(value, in_map=True)}}}")["columns"]["label"] == value
