"""Defaults that depend on the model's size and the rows: set only where they were left open."""

import pytest

from tunesmith.recipe.defaults import MANY_ROWS, SMALL_MODEL_BYTES, with_defaults
from tunesmith.recipe.sections import Recipe


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


def test_what_was_said_stays():
    train = with_defaults(recipe(dropout=0.2, per_device_train_batch_size=8), 1000, MANY_ROWS).train
    assert (train.batch_rows, train.dropout) == (8, 0.2)


@pytest.mark.parametrize(
    ("task", "few_rows", "many_rows"), [("regression", 32, 64), ("embedding", 32, 64), ("pretraining", 32, 64), ("sft", 8, 8)]
)
def test_batches_by_task(task: str, few_rows: int, many_rows: int) -> None:
    plain = Recipe.model_validate({"task": task, "data": {"train": "rows.csv"}})
    assert with_defaults(plain, 1000, MANY_ROWS - 1).train.batch_rows == few_rows
    assert with_defaults(plain, 1000, MANY_ROWS).train.batch_rows == many_rows
