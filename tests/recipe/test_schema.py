"""The JSON Schema and the reference page."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from tests.recipe.recipes import GOOD, RECIPES
from tunesmith.errors import RecipeError
from tunesmith.recipe.load import load_recipe, recipe_from_mapping
from tunesmith.recipe.tree import all_keys, sections
from write_reference import json_schema, reference_page

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
ROOT = Path(__file__).resolve().parents[2]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["title"] == "tunesmith recipe"


@pytest.mark.parametrize("mapping", GOOD)
def test_accepts_what_the_loader_accepts(mapping: dict[str, Any], tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(mapping))
    assert not list(VALIDATOR.iter_errors(load_recipe(path).given))


@given(RECIPES)
def test_accepts_any_good_recipe(mapping: dict[str, Any]) -> None:
    recipe_from_mapping(mapping)
    assert not list(VALIDATOR.iter_errors(mapping))


@pytest.mark.parametrize(
    "extra",
    [
        {"trian": {}},
        {"train": {"epochs": 3}},
        {"train": {"early_stopping": {"x": 1}}},
        {"data": {"train": "a", "x": 1}},
        {"data": {"train": "a", "columns": {"x": "y"}}},
        {"evaluate": {"metric": 3}},
        {"upstream": {"output_dir": "x"}},
        {"upstream": {"evaluation_strategy": "x"}},
        {"adapter": {"r": 8}},
        {"train": {"seed": -1}},
        {"train": {"optim": "adamw"}},
        {"data": {}},
        {"task": "poetry"},
    ],
)
def test_refuses_what_the_loader_refuses(extra: dict[str, Any]) -> None:
    mapping = {"data": {"train": "a.csv"}} | extra
    assert not VALIDATOR.is_valid(mapping)
    with pytest.raises(RecipeError):
        recipe_from_mapping(mapping)


def test_every_key_is_described() -> None:
    for _, section in sections():
        assert section.__doc__
        assert all(field.description for field in section.model_fields.values())


def test_the_page_has_every_key_in_a_whole_table() -> None:
    page = reference_page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} >= {path[-1] for path in all_keys()}
    bars = [row.replace("\\|", "").count("|") for row in rows]
    assert set(bars[: len(all_keys())]) == {5}


def test_the_written_files_are_up_to_date(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
