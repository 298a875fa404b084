from __future__ import annotations

from typing import Any

import pytest

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.labelled.rows import make_examples
from tunesmith.data.table import Columns, Labels
from tunesmith.errors import DataError

LABELS = Labels(SINGLE, ("a", "b"))


def test_each_row_is_used_or_has_a_reason() -> None:
    found = table(text=["one two", "", "  ", None, 42, "six", "seven"], label=["a", "b", "a", "b", "a", "", "z"])
    made = make_examples(found, TEXT_LABEL, LABELS)
    assert (made.row_ids, made.texts, made.labels) == ([0, 4], ["one two", "42"], [0, 0])
    assert {row.row_id: (row.reason, row.dropped) for row in made.bad_rows} == {
        1: ("text is empty", True),
        2: ("text is empty", True),
        3: ("text is missing", True),
        4: ("text was a number", False),
        5: ("label is empty", True),
        6: ("label is not among those of train", True),
    }
    assert made.rows_read == len(made) + sum(row.dropped for row in made.bad_rows)


def test_rows_without_a_label_are_kept_where_they_are_wanted_and_no_others() -> None:
    cells = ["a", "", "-", None, "-1", "NA", "z", ["a", "b"], ""]
    found = table(text=[*"ABCDEFGH", " "], label=cells)
    made = make_examples(found, TEXT_LABEL, LABELS, keep_unlabelled=True)
    assert (made.row_ids, made.labels) == ([0, 1, 2, 3, 4, 5], [0, None, None, None, None, None])
    assert [row.reason for row in made.bad_rows] == [
        "label is not among those of train", "not exactly one label", "text is empty",
    ]  # fmt: skip
    assert make_examples(found, TEXT_LABEL, LABELS).row_ids == [0]


def test_pairs_ids_and_groups() -> None:
    found = table(
        s1=["one a", "two b", "three"], s2=["x y", "", "z w"], label=["a", "b", "b"], key=[7, 8, None], user=["u", "u", None]
    )
    columns = Columns(text="s1", pair="s2", label=("label",), id="key", group="user")
    made = make_examples(found, columns, LABELS)
    assert (made.pairs, made.ids) == (["x y", "z w"], ["7", ""])
    assert made.groups == ["u", "row 2 without a group"]
    assert [row.reason for row in made.bad_rows] == ["second text is empty"]


def test_rows_to_predict_keep_all_texts() -> None:
    made = make_examples(table(text=["one", "two"]), Columns(text="text"))
    assert made.labels == [None, None]


def test_a_megabyte_is_kept_whole() -> None:
    long = "word " * 200_000
    assert make_examples(table(text=[long, "short"], label=["a", "b"]), TEXT_LABEL, LABELS).texts == [long, "short"]


REFUSED: dict[str, tuple[list[Any], str]] = {
    "numbers": (
        [1.5, 2, "3", "four"],
        "table: The text column 'text' holds numbers (3 of 4 cells, for instance '1.5'). "
        "Name the column that holds the text: columns: {text: NAME}.",
    ),
    "lists": (
        ["a b", ["c", "d"], "e", "f"],
        "table, row 1: The column 'text' holds no text there: the cell is a list, \"['c', 'd']\". "
        "Write one string a cell, or name another text column.",
    ),
    "objects": (
        ["a b", {"c": 1}, "e", "f"],
        "table, row 1: The column 'text' holds no text there: the cell is an object, \"{'c': 1}\". "
        "Write one string a cell, or name another text column.",
    ),
    "nothing usable": (
        ["", None, " ", ""],
        "table: None of the 4 rows can be used (text is empty: 3, text is missing: 1). Check the columns.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_are_no_text(case: str) -> None:
    texts, message = REFUSED[case]
    with pytest.raises(DataError) as caught:
        make_examples(table(text=texts, label=["a", "b", "a", "b"]), TEXT_LABEL, LABELS)
    assert str(caught.value) == message
