from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.cli.recipes import is_data, load
from tunesmith.errors import RecipeError


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("recipe.yaml", False),
        ("recipe.yml", False),
        ("recipe", False),
        ("tickets.csv", True),
        ("TICKETS.CSV", True),
        ("t.jsonl.gz", True),
        ("t.parquet", True),
        ("builtin:support_train", True),
        ("hub:imdb", True),
        (".", True),
    ],
)
def test_what_is_data(source: str, expected: bool) -> None:
    assert is_data(source) is expected


def test_a_data_file_is_a_recipe_with_every_default() -> None:
    Path("tickets.csv.gz").touch()
    loaded = load("tickets.csv.gz", ["train.seed=3"])
    assert loaded.recipe.data.train == "tickets.csv.gz"
    assert loaded.recipe.output == "runs/tickets"
    assert loaded.recipe.train.seed == 3
    assert loaded.recipe.train.epochs == 3
    Path("again.yaml").write_text(loaded.text, encoding="utf-8")
    assert load("again.yaml", []).recipe == loaded.recipe


@pytest.mark.parametrize(("override", "message"), [("seed", "is not an override"), ("train.sede=1", "Did you mean")])
def test_wrong_overrides_of_a_data_file(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load("tickets.csv", [override])
