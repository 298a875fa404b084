"""Labels in other forms: lists, arrays and bytes written as text, vectors of -1 and 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.labelled.label_forms import parse_form, plain_labels
from tunesmith.data.labelled.label_notes import label_notes, totals_note
from tunesmith.data.labelled.labels import class_names, infer_labels
from tunesmith.errors import DataError

# text of a cell -> what it holds
FORMS: dict[str, Any] = {
    "['food', nan]": ["food", None],
    "['food', null]": ["food", None],
    '["null", "nan"]': ["null", "nan"],
    "['it\\'s nan', nan]": ["it's nan", None],
    "[food, 'drinks']": ["food", "drinks"],
    "[np.str_('food'), np.str_('noise')]": ["food", "noise"],
    "[np.int64(1), np.int64(0)]": [1, 0],
    "[np.True_, np.False_]": [True, False],
    "array([np.str_('a'), 'b'], dtype=object)": ["a", "b"],
    "tensor([1., 0.])": [1.0, 0.0],
    "tensor([1, 0], dtype=torch.int32, device='cuda:0')": [1, 0],
    "{food,noise}": ["food", "noise"],
    '{"two words",noise}': ["two words", "noise"],
    "{'a': nan}": {"a": None},
    "{a: b}": None,
    "[deleted]": ["deleted"],
}


@pytest.mark.parametrize("text", FORMS)
def test_texts_of_lists(text: str) -> None:
    assert parse_form(text) == FORMS[text]


def test_vectors_that_numpy_printed_are_vectors() -> None:
    cells = ["[np.int64(1), np.int64(0)]", "[np.int64(0), np.int64(0)]"]
    found = plain_labels(table(label=cells), "label")
    assert (found.cells, found.names) == ([["label_0"], []], ("label_0", "label_1"))


def test_bytes_that_python_printed_are_text() -> None:
    found = plain_labels(table(label=["b'ab'", None, 'b"caf\\xc3\\xa9"']), "label")
    assert found.cells == ["ab", None, "café"]
    assert found.notes == ("The labels are bytes as Python prints them, such as \"b'ab'\"; they are read as 'ab'.",)
    assert plain_labels(table(label=["b'ab'", "cd"]), "label").cells == ["b'ab'", "cd"]


@pytest.mark.parametrize("cells", [[[0, 1], [1, -1]], [[1, -1, -1], [-1, 1, -1]], [["-1", "1"], ["1", "0"]]])
def test_vectors_with_minus_one_are_refused(cells: list[Any]) -> None:
    with pytest.raises(DataError, match=r"row \d: The label is the vector .*-1.*; -1 is neither 0 nor 1"):
        plain_labels(table(label=cells), "label")


def test_sets_with_minus_one_in_them_are_labels() -> None:
    cells = [[-1], [0, 1], [2]]
    assert plain_labels(table(label=cells), "label").cells == cells


def test_words_for_no_label_are_left_out_of_cells_with_several() -> None:
    cells = ["yes|null", "no|yes", "no", "N/A"] * 4
    labels = infer_labels(cells, "classification", "|")
    assert labels.names == ("no", "yes")
    assert any("null occurs 4 times in lists of labels and is left out" in note for note in label_notes(cells, labels, "|"))


@pytest.mark.parametrize("last", ["Total", "grand total", "SUM"])
def test_a_last_row_of_totals_is_named(last: str) -> None:
    rows = table(text=["good film", "bad film", last], label=["0.25", "1.5", "1.75"])
    (note,) = totals_note(rows, TEXT_LABEL)
    assert note.startswith(f"table, row 2: the text {last!r} beside 1.75 looks like the totals of a table")
    assert not totals_note(table(text=["a", "Total"], label=["x", "y"]), TEXT_LABEL)
    assert not totals_note(table(text=["Total", "a"], label=["1", "2"]), TEXT_LABEL)


def test_code_in_quotes_and_texts_that_are_no_bytes_stay_as_they_are() -> None:
    assert parse_form("['np.sum(x)', 'y']") == ["np.sum(x)", "y"]
    for cells in (["b'café'", "b'no'"], ["b'a\\'", "b'no'"], ["b'a'", "b'no'", 5]):
        assert plain_labels(table(label=cells), "label").cells == cells


def test_a_long_tail_of_options_takes_no_time() -> None:
    assert parse_form("tensor([1]" + ", a=1" * 60) is None


def test_a_cell_of_words_for_no_label_alone_is_unlabelled() -> None:
    assert class_names("NA;-", ";") is None
    assert class_names("NA;a", ";") == ["a"]
