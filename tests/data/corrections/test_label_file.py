"""Labels of a file at the rows they were given to."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.tables import TEXT_LABEL, examples, table
from tunesmith.data.corrections.label_file import MatchedLabels, find_labels
from tunesmith.data.table import Columns, Examples
from tunesmith.errors import DataError

TEXTS = ["the parcel is late", "the bill is wrong", "I cannot log in"]
NAMED = Columns(text="text", label=("label",), id="id")


def found_in(
    parts: list[Examples] | None = None, columns: Columns = TEXT_LABEL, several: bool = False, **cells: list
) -> MatchedLabels:
    return find_labels(table(**cells), parts or [examples(TEXTS, [0, 1, 0])], columns, several=several)


def test_by_row_id() -> None:
    found = found_in(row_id=["2", "0", "7"], intent=["login", "parcel", "bill"])
    assert found.of_split["train"].names == ["parcel", None, "login"]
    assert (found.by, found.n_labels, found.n_unused, found.n_contradicted) == ("row_id", 3, 1, 0)


def test_by_the_users_own_names_before_the_position() -> None:
    rows = [examples(TEXTS, [0, 1, 0], ids=["x", "y", "z"])]
    found = found_in(rows, NAMED, id=["z", "x"], row_id=[0, 1], label=["login", "parcel"])
    assert (found.of_split["train"].names, found.by) == (["parcel", None, "login"], "the column id")


def test_by_text_with_case_and_punctuation_aside() -> None:
    found = found_in(text=["The parcel is late!", "i cannot log in"], label=["parcel", "login"])
    assert (found.of_split["train"].names, found.by) == (["parcel", None, "login"], "text")


def test_with_several_data_sets_rows_are_matched_by_text_only() -> None:
    found = found_in(several=True, row_id=[1, 2], text=TEXTS[:2], label=["parcel", "bill"])
    assert (found.of_split["train"].names, found.by) == (["parcel", "bill", None], "text")
    with pytest.raises(DataError, match="with several data sets a row id is ambiguous"):
        found_in(several=True, row_id=[1, 2], label=["parcel", "bill"])


def test_a_predictions_file_gives_its_predictions_and_not_the_labels_beside_them() -> None:
    found = found_in(row_id=[0, 1, 2], label=["a", "b", "a"], prediction=["b", "b", "a"], probability=[0.9, 0.6, 0.5])
    labels = found.of_split["train"]
    assert labels.names == ["b", "b", "a"]
    assert labels.confidence == pytest.approx(np.array([0.9, 0.6, 0.5]))


def test_a_split_column_tells_the_files_of_a_recipe_apart() -> None:
    other = Examples("test", "other file", [0, 1], ["one more text", "and another"], [0, 1])
    parts = [examples(TEXTS, [0, 1, 0]), other]
    found = found_in(parts, row_id=[0, 0, 1], split=["validation", "test", "test"], label=["parcel", "bill", "login"])
    assert found.of_split["train"].names == ["parcel", None, None]  # validation was a share of train
    assert found.of_split["test"].names == ["bill", "login"]
    with pytest.raises(DataError, match="does not tell whether the row is of table, other file"):
        found_in(parts, row_id=[0, 1], label=["parcel", "bill"])


def test_two_labels_for_one_text_are_none() -> None:
    found = found_in(text=[TEXTS[0], TEXTS[0], TEXTS[1]], label=["parcel", "bill", "bill"])
    assert (found.of_split["train"].names, found.n_contradicted) == ([None, "bill", None], 1)


def test_an_empty_label_is_no_answer() -> None:
    assert found_in(row_id=[0, 1, 2], label=["parcel", "", None]).of_split["train"].names == ["parcel", None, None]


def test_pairs_are_matched_by_both_texts() -> None:
    rows = [examples(["a man sleeps", "a man sleeps"], [0, 1], pairs=["he rests", "he runs"])]
    columns = Columns(text="premise", pair="hypothesis", label=("label",))
    given = {"premise": ["a man sleeps"] * 2, "hypothesis": ["he runs", "he rests"], "label": ["no", "yes"]}
    assert found_in(rows, columns, **given).of_split["train"].names == ["yes", "no"]
    with pytest.raises(DataError, match="It has single texts, table has pairs of texts"):
        found_in(rows, columns, text=["a man sleeps"], label=["yes"])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"row_id": [0], "first": ["a"], "second": ["b"]}, "No column looks like a label; the columns are row_id, first, second"),
        ({"row_id": ["zero"], "label": ["a"]}, "row_id is 'zero'; the 0-based position"),
        ({"label": ["a", "b"]}, "cannot be matched to rows: no id that the data has, and no texts"),
        ({"row_id": [0], "label": [["a", "b"]]}, "The row has a list of labels"),
    ],
)
def test_what_cannot_be_used_is_an_error(cells: dict[str, list], message: str) -> None:
    with pytest.raises(DataError, match=message):
        found_in(**cells)
