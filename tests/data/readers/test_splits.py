from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.tables import table
from tunesmith.data.readers.splits import apply_split_column, find_split_column, read_splits
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, DataSection

ROWS = {"text": ["a", "b", "c"], "label": ["x", "y", "x"]}


def test_problems_of_all_sources_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_splits(DataSection(train="none.csv", test="no.csv"), tmp_path, {"validation": ROWS}, [])
    assert [problem.where for problem in caught.value.problems] == ["none.csv", "no.csv"]
    with pytest.raises(DataError, match="Tables were given for dev"):
        read_splits(DataSection(train="none.csv"), tmp_path, {"dev": ROWS}, [])


def test_a_split_beside_train_is_used_unless_the_recipe_sets_it(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text("text,label\na good one,x\nanother one,y\n", encoding="utf-8")
    notes: list[str] = []
    assert set(read_splits(DataSection(train="."), tmp_path, {}, notes)) == {"train", "validation"}
    assert notes == ["dev.csv is used for validation."]
    data = DataSection.model_validate({"train": ".", "validation": 0.2})
    assert set(read_splits(data, tmp_path, {}, notes)) == {"train"}
    assert notes[-1] == "dev.csv is not used: the recipe sets data.validation."


def test_a_split_column_divides_train_but_replaces_no_given_split() -> None:
    rows = table(text=["a", "b", "c"], fold=["train", "dev", "test"])
    assert find_split_column(rows, ColumnsSection()) == "fold"
    assert find_split_column(table(text=["a"], fold=["north"]), ColumnsSection()) is None
    tables, notes = {"train": rows}, list[str]()
    apply_split_column(tables, "fold", DataSection.model_validate({"train": "t.csv", "test": 0.5}), notes)
    assert {name: part.columns["text"] for name, part in tables.items()} == {"train": ["a"], "validation": ["b"]}
    assert any("marks them as test, which is given otherwise" in note for note in notes)
