"""The resolved recipe loads back to the same recipe."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from tests.recipe.recipes import GOOD, RECIPES
from tunesmith.recipe.batches import batches_per_epoch
from tunesmith.recipe.load import load_recipe, recipe_from_mapping
from tunesmith.recipe.resolved import MANY_ROWS, MAX_EPOCHS, SMALL_MODEL_BYTES, resolved_yaml, with_default_epochs, with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.tree import all_keys, section_at
from tunesmith.training.schedule import plan_schedule


def reload(text: str, folder: Path) -> Recipe:
    path = folder / "resolved.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path).recipe


@pytest.mark.parametrize("mapping", GOOD)
def test_good_recipes_come_back(mapping: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_from_mapping(mapping)
    assert reload(resolved_yaml(recipe), tmp_path) == recipe


@settings(deadline=None, max_examples=50)  # a busy machine pauses for longer than an example takes
@given(RECIPES)
def test_any_recipe_comes_back(tmp_path_factory: pytest.TempPathFactory, mapping: dict[str, Any]) -> None:
    recipe = recipe_from_mapping(mapping)
    assert reload(resolved_yaml(recipe), tmp_path_factory.getbasetemp()) == recipe


def test_every_key_is_there_with_its_meaning() -> None:
    mapping = {"data": {"train": "a.csv"}, "adapter": {"method": "lora"}, "train": {"early_stopping": {}}}
    mapping["quantisation"] = {"bnb_4bit_quant_type": "fp4"}
    text = resolved_yaml(recipe_from_mapping(mapping))
    vectors = resolved_yaml(recipe_from_mapping({**mapping, "task": "embedding", "embedding": {"hard_negatives": {}}}))
    stretched = {"task": "sft", "data": {"train": "a.csv"}, "model": {"rope_parameters": {"factor": 2}}}
    language = resolved_yaml(recipe_from_mapping(stretched))
    rounds = resolved_yaml(
        recipe_from_mapping({"task": "preference", "data": {"train": "a.csv"}, "rounds": {"annotate": "file"}})
    )
    for path in all_keys():
        inner = yaml.safe_load({"embedding": vectors, "model": language, "rounds": rounds}.get(path[0], text))
        for part in path:
            assert part in inner, path
            inner = inner[part]
    assert text.count("#") >= len(all_keys())
    assert section_at(("train",)) is not None


def test_keys_out_of_use_are_comments() -> None:
    text = resolved_yaml(recipe_from_mapping({"task": "regression", "data": {"train": "a.csv"}, "train": {"max_steps": 5}}))
    assert "  # num_train_epochs: not used, max_steps sets the length of training\n" in text
    assert "  # tune_threshold: not used, a regression has no threshold to tune\n" in text


@pytest.mark.parametrize(
    "name", ["no", "1e-4", "a: b", "#x", "  y ", "null", "\x85", "é\n", "'\"", "=", "<<", "- a", "2024-01-01", "0x1"]
)
def test_awkward_names_come_back(name: str, tmp_path: Path) -> None:
    mapping = {"data": {"train": "a.csv", "columns": {"label": name}}, "train": {"class_weights": {name: 1}, "run_name": name}}
    recipe = recipe_from_mapping(mapping)
    assert reload(resolved_yaml(recipe), tmp_path) == recipe


def recipe(**train: object) -> Recipe:
    return Recipe.model_validate({"data": {"train": "rows.csv"}, "train": train})


@pytest.mark.parametrize(
    ("model_bytes", "n_rows", "batch_rows", "dropout"),
    [
        (SMALL_MODEL_BYTES - 1, MANY_ROWS, 64, 0.0),
        (SMALL_MODEL_BYTES - 1, MANY_ROWS - 1, 32, 0.0),
        (SMALL_MODEL_BYTES, MANY_ROWS, 32, None),
        (0, MANY_ROWS, 32, None),
    ],
)
def test_small_models_and_many_rows(model_bytes, n_rows, batch_rows, dropout):
    train = with_defaults(recipe(), model_bytes, n_rows).train
    assert (train.batch_rows, train.dropout) == (batch_rows, dropout)


def test_given_keys_stay():
    train = with_defaults(recipe(dropout=0.2, per_device_train_batch_size=8), 1000, MANY_ROWS).train
    assert (train.batch_rows, train.dropout) == (8, 0.2)


@pytest.mark.parametrize(
    ("task", "few_rows", "many_rows"), [("regression", 32, 64), ("embedding", 32, 64), ("pretraining", 32, 64), ("sft", 8, 8)]
)
def test_batches_by_task(task: str, few_rows: int, many_rows: int) -> None:
    plain = Recipe.model_validate({"task": task, "data": {"train": "rows.csv"}})
    assert with_defaults(plain, 1000, MANY_ROWS - 1).train.batch_rows == few_rows
    assert with_defaults(plain, 1000, MANY_ROWS).train.batch_rows == many_rows


@pytest.mark.parametrize(
    ("n_rows", "train", "epochs"),
    [
        (85, {}, MAX_EPOCHS),
        (20, {}, MAX_EPOCHS),
        (450, {}, 20.0),
        (3_999, {}, 3.0),
        (450, {"per_device_train_batch_size": 8}, 6.0),
        (450, {"gradient_accumulation_steps": 2}, 38.0),
        (450, {"num_train_epochs": 1.0}, 1.0),
        (450, {"max_steps": 10}, None),
    ],
)
def test_default_epochs_of_few_rows_reach_the_floor_of_optimizer_steps(
    n_rows: int, train: dict[str, float], epochs: float
) -> None:
    assert with_defaults(recipe(**train), 1000, n_rows).train.num_train_epochs == epochs


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("train", [{}, {"per_device_train_batch_size": 7, "gradient_accumulation_steps": 3}])
def test_the_floor_counts_the_steps_that_the_training_takes(drops: bool, train: dict[str, float]) -> None:
    for n_rows in (40, 95, 450, 1_001):
        plain = recipe(**train).model_copy(update={"upstream": {"dataloader_drop_last": drops}})
        settled = with_defaults(plain, 1000, n_rows)
        schedule = plan_schedule(batches_per_epoch(n_rows, settled), settled.train)
        assert settled.train.num_train_epochs is not None
        if settled.train.num_train_epochs < MAX_EPOCHS:
            assert 300 <= schedule.total_steps < 300 + schedule.steps_per_epoch


@pytest.mark.parametrize("task", ["embedding", "sft", "pretraining"])
def test_tasks_without_labels_train_for_three_epochs(task: str) -> None:
    plain = Recipe.model_validate({"task": task, "data": {"train": "rows.csv"}})
    assert with_defaults(plain, 1000, 85).train.num_train_epochs == 3.0


def test_a_recipe_without_a_length_can_be_given_three_epochs_whatever_its_rows() -> None:
    assert with_defaults(with_default_epochs(recipe()), 1000, 85).train.num_train_epochs == 3.0
    assert with_default_epochs(recipe(num_train_epochs=7)).train.num_train_epochs == 7.0
    assert with_default_epochs(recipe(max_steps=7)).train.num_train_epochs is None
