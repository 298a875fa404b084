from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.chat.load import load_conversation_data
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.data.preferences.load import load_pairs
from tunesmith.data.records import ids_of_ranges, row_ranges
from tunesmith.errors import DataError, RecipeError
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.recipe.sections import Recipe

HELD = {"test": [3, 4, 17, 30], "validation": [5, 9]}


def write_rows(folder: Path) -> None:
    rows = [
        {"prompt": f"Question number {i} of {i * 7 % 11}?", "chosen": f"Answer {i}.", "rejected": f"No {i}!"} for i in range(40)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def recipe_of(task: str, model: str = "run", **data: Any) -> Recipe:
    data = {"train": "pairs.jsonl", "validation": 0.2, "test": 0.3, **data}
    return recipe_from_mapping({"task": task, "model": {"name": model}, "data": data}, "recipe")


def write_run(folder: Path, sha256: str, *, task: str = "sft", held: Mapping[str, list[int]] = HELD) -> None:
    """Writes what a run records of its splits."""
    (folder / "run").mkdir(exist_ok=True)
    splits = {"train": {"sha256": sha256}, **{name: {"sha256": sha256, "row_ids": row_ranges(ids)} for name, ids in held.items()}}
    record = {"recipe": {"task": task}, "data": {"splits": splits}}
    (folder / "run" / "result.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_rows(tmp_path)
    sha256 = load_pairs(recipe_of("preference", model="other"), tmp_path).train.sha256
    assert sha256
    write_run(tmp_path, sha256)
    return tmp_path


LOADERS: dict[str, Any] = {"preference": load_pairs, "sft": load_conversation_data}


@pytest.mark.parametrize("task", LOADERS)
def test_a_model_of_a_run_is_evaluated_on_the_rows_that_the_run_held_out(run: Path, task: str) -> None:
    data = LOADERS[task](recipe_of(task), run)
    assert {name: list(rows.row_ids) for name, rows in data.named().items() if name != "train"} == HELD
    assert len(data.train) == 34
    assert "The 4 rows of test are those that run held out." in data.notes


@pytest.mark.parametrize("task", LOADERS)
def test_rows_are_drawn_anew_for_another_model_or_if_asked(run: Path, task: str) -> None:
    for recipe in (recipe_of(task, model="other"), recipe_of(task, split_as=None)):
        assert list(LOADERS[task](recipe, run).test.row_ids) != HELD["test"]
        assert len(LOADERS[task](recipe, run).test) == 12


def test_a_run_may_be_named_by_runs_of_other_models(run: Path) -> None:
    assert list(load_pairs(recipe_of("reward", model="other", split_as="run"), run).test.row_ids) == HELD["test"]


def test_labelled_rows_follow_a_run_too(run: Path) -> None:
    rows = [{"text": f"Message {i} about {i * 13 % 7} things", "label": "ab"[i % 2]} for i in range(40)]
    (run / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sha256 = load_labelled_data(recipe_of("classification", model="other"), run).train.sha256
    write_run(run, sha256, task="classification")
    found = load_labelled_data(recipe_of("classification"), run)
    assert found.test is not None
    assert list(found.test.row_ids) == HELD["test"]
    write_run(run, sha256, task="pretraining")  # which read no labels
    found = load_labelled_data(recipe_of("classification"), run)
    assert found.test is not None
    assert len(found.test) == 12


def test_a_file_of_its_own_stays_the_test_file(run: Path) -> None:
    (run / "more.jsonl").write_text(json.dumps({"prompt": "p q", "chosen": "a b", "rejected": "c d"}) + "\n", encoding="utf-8")
    data = load_pairs(recipe_of("preference", test="more.jsonl"), run)
    assert data.test is not None
    assert data.validation is not None
    assert (len(data.test), list(data.validation.row_ids)) == (1, HELD["validation"])


def test_a_run_on_another_file_is_not_followed(run: Path) -> None:
    write_run(run, "another")
    data = load_pairs(recipe_of("preference"), run)
    assert data.test is not None
    assert len(data.test) == 12
    with pytest.raises(RecipeError, match="run held out no rows of this training file"):
        load_pairs(recipe_of("preference", split_as="run"), run)
    with pytest.raises(RecipeError, match="nothing has no result"):
        load_pairs(recipe_of("preference", split_as="nothing"), run)


def test_a_run_that_held_out_every_usable_row_is_one_error(run: Path) -> None:
    lines = (run / "pairs.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "pairs.jsonl").write_text("".join(lines[:3] + lines[:1]), encoding="utf-8")
    write_run(run, load_pairs(recipe_of("reward", "other", validation=None, test=None), run).train.sha256)
    with pytest.raises(DataError, match=r"run held out 0 of \d rows for (test|validation)"):
        load_pairs(recipe_of("preference"), run)


@given(st.lists(st.integers(0, 60)))
def test_ranges_of_rows_are_read_as_they_were_written(ids: list[int]) -> None:
    assert ids_of_ranges(row_ranges(ids)) == set(ids)


def test_ranges_of_rows_are_short() -> None:
    assert row_ranges([9, 0, 1, 2, 3, 4, 7, 10, 11, 12, 9]) == "0-4,7,9-12"
