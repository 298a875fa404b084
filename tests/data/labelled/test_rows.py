from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.columns import detect_columns
from tunesmith.data.labelled.labels import MULTI, SINGLE
from tunesmith.data.labelled.load import load_labelled_data
from tunesmith.data.labelled.rows import annotation_counts, make_examples
from tunesmith.data.table import Columns, Labels
from tunesmith.diagnosis.evidence import make_evidence
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection, Recipe

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


SPAM_LABELS = Labels(SINGLE, ("ham", "spam"))
COUNTS = {"spam": "n_spam", "ham": "n_ham"}


def counts(annotators: Any, labels: Labels = SPAM_LABELS, **columns: list[Any]) -> list[tuple[int, ...]] | None:
    """The counts of all rows where the recipe's key holds ``annotators``."""
    found = table(text=["one text", "another one", "a third one"], label=["ham", "spam", "ham"], **columns)
    given = ColumnsSection(text="text", label="label", annotators=annotators)
    return annotation_counts(found, detect_columns(found, "classification", given), labels, range(3))


def test_counts_go_to_the_class_they_are_of_whatever_their_order() -> None:
    assert counts(COUNTS, n_spam=["0", "2.0", None], n_ham=[3, 1.0, ""]) == [(3, 0), (1, 2), (0, 0)]


def test_labels_of_single_annotators_are_counted_and_missing_ones_left_out() -> None:
    found = counts(["ann", "ben"], ann=["ham", " spam", "NA"], ben=["spam", "spam", -1])
    assert found == [(1, 1), (0, 2), (0, 0)]


def test_numbered_classes_are_numbers_however_written() -> None:
    assert counts(["ann"], Labels(SINGLE, ("0", "1")), ann=[1.0, "0", 1]) == [(0, 1), (1, 0), (0, 1)]


def test_without_the_key_nothing_is_known() -> None:
    assert counts(None) is None


REFUSED_COUNTS: dict[str, tuple[Any, dict[str, list[Any]], str]] = {
    "no such column": (["an"], {"ann": ["ham"] * 3}, "table: There is no column 'an' for the annotators; the columns are"),
    "unknown class": (
        {"spma": "n_spam", "ham": "n_ham"}, {"n_spam": [1] * 3, "n_ham": [1] * 3},
        "table: data.columns.annotators names 'spma', which the label column does not hold and has no column for 'spam'."
        " Write {class: column} with every class of the label column: ham, spam.",
    ),
    "class without a column": (
        {"ham": "n_ham"}, {"n_ham": [1] * 3}, "table: data.columns.annotators has no column for 'spam'. Write {class: column}",
    ),
    "no counts": (
        COUNTS, {"n_spam": [1, "two", -1], "n_ham": [1, None, 0.5]},
        "table: 4 cells hold no count of annotators: 'None' in n_ham, row 1, 'two' in n_spam, row 1, '0.5' in n_ham, row 2,"
        " '-1' in n_spam, row 2. Write a whole number from 0 on; leave all of them empty in rows that nobody annotated.",
    ),
    "no class": (
        ["ann"], {"ann": ["ham", "spma", ["ham"]]},
        "table: 2 cells of annotators hold no class: 'spma' in ann, row 1, \"['ham']\" in ann, row 2. The classes are ham, spam."
        " Correct them; if the columns hold counts, write data.columns.annotators as {class: column}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_COUNTS)
def test_what_cannot_be_counted_is_one_clear_message(case: str) -> None:
    annotators, columns, message = REFUSED_COUNTS[case]
    with pytest.raises(DataError) as caught:
        counts(annotators, **columns)
    assert str(caught.value).startswith(message)


def test_several_labels_a_row_have_no_annotators() -> None:
    with pytest.raises(DataError, match="Annotators are compared where each row has one class"):
        counts(["ann"], Labels(MULTI, ("ham", "spam")), ann=["ham"] * 3)


def test_a_bad_cell_of_a_row_that_is_not_used_is_no_problem() -> None:
    found = table(ann=["?", "spam"])
    assert annotation_counts(found, Columns("text", annotators=("ann",)), SPAM_LABELS, [1]) == [(0, 1)]


def rows(n: int) -> dict[str, list[Any]]:
    """Rows whose annotators number as the row does, so that each can be told by them."""
    return {
        "text": [f"message number {i} about things" for i in range(n)], "label": ["ham", "spam"] * (n // 2),
        "n_ham": list(range(n)), "n_spam": [1] * n,
    }  # fmt: skip


def splits(validation: Any, frames: dict[str, Any], **data: Any) -> Any:
    columns = {"text": "text", "label": "label", "annotators": COUNTS}
    recipe = Recipe(data={"train": "t.csv", "validation": validation, "columns": columns, **data})  # type: ignore[arg-type]
    return load_labelled_data(recipe, base=Path(), frames=frames)


def test_shares_and_samples_take_the_counts_along() -> None:
    found = splits(0.25, {"train": rows(40)}, test=0.25, max_rows=12)
    assert [len(part) for part in found.named().values()] == [12, 10, 10]
    for part in found.named().values():
        assert part.annotations == [(i, 1) for i in part.row_ids]
        evidence = make_evidence(part, found.labels)
        assert evidence.annotations is not None
        assert np.array_equal(evidence.annotations, [(i, 1) for i in part.row_ids])


def test_a_split_column_takes_the_counts_along() -> None:
    marked = {**rows(8), "split": ["train", "train", "train", "train", "train", "test", "test", "test"]}
    found = splits(None, {"train": marked})
    assert found.test.annotations == [(5, 1), (6, 1), (7, 1)]


def test_a_file_without_the_columns_is_reported() -> None:
    plain = {name: cells for name, cells in rows(8).items() if name in ("text", "label")}
    found = splits("v.csv", {"train": rows(8), "validation": plain})
    assert found.validation.annotations is None
    assert "validation has no column n_spam, n_ham: nothing is known of its annotators." in found.notes
