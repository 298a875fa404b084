"""What users are told about unusual labels."""

from __future__ import annotations

import pytest

from tests.data.tables import table
from tunesmith.data.labelled.label_forms import plain_labels
from tunesmith.data.labelled.label_notes import label_notes
from tunesmith.data.labelled.labels import infer_labels


def test_notes_state_what_was_assumed() -> None:
    cells = ["Yes", "yes", "no", "yes", "no", "-1"]
    assert label_notes(cells, infer_labels(cells, "classification")) == (
        "-1 occurs 1 time as a label and is read as rows without a label.",
        "The labels 'Yes' (1 row: 0) and 'yes' (2 rows: 1, 3) differ only in case or spaces; they are kept as different classes. "
        "Write them in the same way in the file if they mean one class.",
    )
    floats = [0.0, 1.0, 1.0, 0.0]
    assert label_notes(floats, infer_labels(floats, "classification")) == (
        "The labels are whole numbers written with decimals (1.0); they are read as classes (1).",
    )


def test_notes_about_names_have_the_first_rows_and_a_remedy() -> None:
    cells = ["spam", "spam\u200b", "a;b", "a", "b", "caf\ufffd"] * 20
    labels = infer_labels(cells, "classification")
    lists, alike, damaged = label_notes(cells, labels, row_ids=range(1000, 1000 + len(cells)))
    assert lists.startswith("1 label holds a ';', such as 'a;b' (rows 1002, 1008, 1014, 1020, 1026 and 15 more); if a cell")
    assert "'spam' (20 rows: 1000, 1006, 1012, 1018, 1024 and 15 more) and 'spam\\u200b' (20 rows: 1001, " in alike
    assert alike.endswith("Write them in the same way in the file if they mean one class.")
    assert "'caf\ufffd' (20 rows: 1005, " in damaged
    assert damaged.endswith("Correct them in the source, or read the file with the right encoding (data.encoding).")


def test_arrays_printed_by_numpy_are_lists() -> None:
    cells = ["array(['a', 'b'], dtype=object)", "array(['b'], dtype='<U1')", "array([], dtype=object)", "array(['c'])"]
    found = plain_labels(table(label=cells), "label")
    assert found.cells == [["a", "b"], ["b"], [], ["c"]]
    assert "lists written as text" in found.notes[0]
    assert plain_labels(table(label=["array([1, 0, 1])", "array([0, 0, 1])"]), "label").names == ("label_0", "label_1", "label_2")
    assert plain_labels(table(label=["array(", "array(['a') b"]), "label").notes == ()


@pytest.mark.parametrize("lists", ["['a', 'b']", "array(['a'], dtype=object)", '["a"]'])
def test_lists_beside_plain_labels_are_named(lists: str) -> None:
    found = plain_labels(table(label=["a", lists, "b", lists] * 5), "label")
    assert found.cells[1] == lists
    (note,) = found.notes
    assert note.startswith("10 labels are lists as text, such as ")
    assert "(rows 1, 3, 5, 7, 9 and 5 more), beside labels that are no lists" in note
    assert "write every label of the column as a list" in note
    assert plain_labels(table(label=["a", "[deleted]"] * 5), "label").notes == ()
