from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables import table
from tunesmith.data.labelled.labels import (
    MULTI,
    REGRESSION,
    SINGLE,
    UNKNOWN,
    class_name,
    encode,
    infer_labels,
    label_cells,
    unknown_labels,
    value_type,
)
from tunesmith.data.table import Columns, Labels
from tunesmith.errors import DataError

NAN = float("nan")

# case -> (cells, separator, problem type, names, cells without a label)
KINDS: dict[str, tuple[list[Any], str | None, str, tuple[str, ...], int]] = {
    "names are sorted": (["b", "a", "c", "a"] * 2, None, SINGLE, ("a", "b", "c"), 0),
    "numbers in numeric order": (["10", "9", "2", "10"] * 2, None, SINGLE, ("2", "9", "10"), 0),
    "integers": ([1, 0, 1, 0], None, SINGLE, ("0", "1"), 0),
    "booleans": ([True, False, True, False], None, SINGLE, ("False", "True"), 0),
    "whole floats": (["0.0", "1.0", "1.0", "0.0"], None, SINGLE, ("0", "1"), 0),
    "leading zeros are names": (["01", "10", "9", "01", "9", "10"], None, SINGLE, ("01", "10", "9"), 0),
    "spaces around": ([" a", "b ", "a", "b"], None, SINGLE, ("a", "b"), 0),
    "words for nothing": (["a", "b", "", None, NAN, "-", "n/a", "NaN", "null", "NA", "a", "b"], None, SINGLE, ("a", "b"), 8),
    "na can be a name": (["na", "b", "na", "b"], None, SINGLE, ("b", "na"), 0),
    "-1 beside names": (["a", "b", "a", "b", "-1"], None, SINGLE, ("a", "b"), 1),
    "-1 beside classes": ([0, 1, 2, 0, 1, 2, -1], None, SINGLE, ("0", "1", "2"), 1),
    "-1 beside 1 is a class": ([-1, 1, -1, 1], None, SINGLE, ("-1", "1"), 0),
    "-1 beside 0 and 1 is a class": (["-1", "0", "1"] * 2, None, SINGLE, ("-1", "0", "1"), 0),
    "-2 is a class and so is -1": ([-2, -1, 0, 1, 2] * 2, None, SINGLE, ("-2", "-1", "0", "1", "2"), 0),
    "lists": ([["b", "a"], [], ["a"], ["b"]], None, MULTI, ("a", "b"), 0),
    "separator": (["b|a", "a", "b", " a | b "], "|", MULTI, ("a", "b"), 0),
    "separator and empty": (["b|a", "a", "b", ""], "|", MULTI, ("a", "b"), 1),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_labels(case: str) -> None:
    cells, separator, problem_type, names, without = KINDS[case]
    labels = infer_labels(cells, "classification", separator)
    assert (labels.problem_type, labels.names) == (problem_type, names)
    encoded, reasons = encode(cells, labels, separator)
    assert len(reasons) == without
    assert {i for i, label in enumerate(encoded) if label is None} == set(reasons)


# message of each case, for a source called f.csv
REFUSED: dict[str, tuple[list[Any], str, str]] = {
    "no label": (
        ["", None], "classification", "f.csv: None of the 2 rows has a label. Name the label column: columns: {label: NAME}.",
    ),
    "one class": (
        ["a"] * 5, "classification",
        "f.csv: All 5 labelled rows have the same label, 'a'; at least two are needed. "
        "Check whether rows are missing, or name another label column.",
    ),
    "too many": (
        list("abcdef"), "classification",
        "f.csv: There are 6 different labels on 6 rows (a, b, c, d, e and 1 more): too many to learn. "
        "Name the right label column: columns: {label: NAME}.",
    ),
    "decimals": (
        ["0.5", "1.0", "2.5", "1.0"] * 2, "classification",
        "f.csv: The labels are numbers with decimals (3 different ones, for instance 0.5); classes were expected. "
        "Set task: regression to learn the number itself.",
    ),
    "names as scores": (
        ["a", "b", "a"], "regression",
        "f.csv: 3 of 3 labels are no numbers, for instance 'a', 'b'. "
        "Set task: classification, or name the column that holds the score.",
    ),
    "one score": ([2, 2.0, "2"], "regression", "f.csv: All 3 labelled rows have the same score, 2; there is nothing to learn."),
    "no score": (
        [None, ""], "regression", "f.csv: None of the 2 rows has a label. Name the label column: columns: {label: NAME}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_labels_that_cannot_be_learnt(case: str) -> None:
    cells, task, message = REFUSED[case]
    with pytest.raises(DataError) as caught:
        infer_labels(cells, task, source="f.csv")
    assert str(caught.value) == message


def test_scores_and_those_that_are_none() -> None:
    cells = ["1.5", 2, None, *["3"] * 10, "high"]
    labels = infer_labels(cells, "regression")
    assert (labels.problem_type, labels.names) == (REGRESSION, ("score",))
    encoded, reasons = encode(cells, labels)
    assert encoded[:3] == [1.5, 2.0, None]
    assert reasons == {2: "label is empty", 13: "label is not a number"}


def test_a_split_of_minus_ones_is_unlabelled() -> None:
    assert encode([-1, -1.0, ""], Labels(REGRESSION, ("score",))) == (
        [None] * 3, {0: "label is -1", 1: "label is -1", 2: "label is empty"},
    )  # fmt: skip
    assert encode(["-1", "a"], Labels(SINGLE, ("a", "b"))) == ([None, 0], {0: "label is -1"})


def test_unknown_labels_have_a_reason_of_their_own() -> None:
    assert encode(["a", "z"], Labels(SINGLE, ("a", "b"))) == ([0, None], {1: UNKNOWN})
    assert encode([["a"], ["a", "z"]], Labels(MULTI, ("a", "b"))) == ([(1, 0), None], {1: UNKNOWN})


def test_a_list_where_one_label_was_expected() -> None:
    assert encode([["a"], ["a", "b"], []], Labels(SINGLE, ("a", "b"))) == (
        [0, None, None], {1: "not exactly one label", 2: "not exactly one label"},
    )  # fmt: skip


def test_several_columns_are_several_labels() -> None:
    found = table(text=["w"] * 4, x=[1, 0, None, "1.0"], y=["True", 0, "", "0"])
    columns = Columns(text="text", label=("x", "y"))
    cells = label_cells(found, columns)
    assert cells == [["x", "y"], [], None, ["x"]]
    labels = infer_labels(cells, "classification", names=columns.label)
    assert encode(cells, labels) == ([(1, 1), (0, 0), None, (1, 0)], {2: "label is empty"})


def test_several_columns_hold_only_0_and_1() -> None:
    found = table(text=["w"] * 2, x=[1, 0], y=[1, 2])
    with pytest.raises(DataError) as caught:
        label_cells(found, Columns(text="text", label=("x", "y")))
    assert str(caught.value) == (
        "table, row 1: The label column 'y' holds '2'; with several label columns each has to hold 0 or 1. "
        "Name one label column, or correct the cell."
    )


@given(st.lists(st.sampled_from(["a", "b", "c d", "1", "-", "", None]), min_size=8, max_size=40))
def test_every_cell_is_a_class_or_has_a_reason(cells: list[Any]) -> None:
    cells = ["a", "a", "b", "b", *cells, *["x"] * 6]
    labels = infer_labels(cells, "classification")
    encoded, reasons = encode(cells, labels)
    assert len(encoded) == len(cells)
    for i, cell in enumerate(cells):
        assert (encoded[i] is None) == (i in reasons)
        if i not in reasons:
            assert labels.names[encoded[i]] == cell


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, 0, None, "", float("nan")], "int"),
        ([1.0, 2.0, None], "float"),
        ([1, 2.0], "float"),
        ([True, False], "bool"),
        ([[1], [2, 3], []], "int"),
        (["1", "0"], "str"),
        ([1, "a"], "str"),
        ([True, 1], "str"),
        ([None], "str"),
    ],
)
def test_the_type_of_the_labels(cells: list[object], expected: str) -> None:
    assert value_type(cells) == expected


def test_values_are_the_labels_that_the_names_were_written_from() -> None:
    for values in ([3, -1, 10], [1.0, 2.5, -3.0], [True, False], ["b", "a"]):
        labels = Labels(SINGLE, tuple(class_name(value) for value in values), value_type=value_type(values))
        assert labels.values == tuple(values)
        assert list(map(type, labels.values)) == list(map(type, values))


@pytest.mark.parametrize("word", ["null", "N/A", "NA", "nan"])
def test_the_error_about_a_single_class_names_the_word_that_is_read_as_no_label(word: str) -> None:
    cells = ["yes", word] * 20
    with pytest.raises(DataError, match="20 labelled rows have the same label") as caught:
        infer_labels(cells, "classification")
    assert f"20 rows have '{word}', read as \"no label\"" in str(caught.value)
    assert "set data.keep_null_labels: true" in str(caught.value)
    with pytest.raises(DataError, match=r"None of the 40 rows has a label.*keep_null_labels"):
        infer_labels([word, "-"] * 20, "classification")
    assert infer_labels(cells, "classification", keep_null=True).names == tuple(sorted(["yes", word]))


def test_another_spelling_of_a_kept_word_is_a_label_that_train_does_not_have() -> None:
    labels = infer_labels(["yes", "nan"] * 20, "classification", keep_null=True)
    assert encode(["nan", "NaN", "null", "", None, "yes"], labels) == (
        [0, None, None, None, None, 1],
        {1: UNKNOWN, 2: UNKNOWN, 3: "label is empty", 4: "label is empty"},
    )
    assert unknown_labels(["nan", "NaN", "NaN", "null"], labels) == {"NaN": 2, "null": 1}
    of_a_run = replace(labels, keep_null=False)  # a finished run knows the names alone
    assert encode(["NaN", "null"], of_a_run)[1] == {0: UNKNOWN, 1: "label is null"}


def test_percentages_beside_plain_numbers_are_on_no_common_scale() -> None:
    assert infer_labels(["1%", "2%", "0", "50%"] * 3, "regression").mean == pytest.approx(13.25)
    assert infer_labels([*["1%", "2%"] * 10, "NA", "unknown"], "regression").mean == pytest.approx(1.5)
    with pytest.raises(DataError, match="'1%' stands beside numbers without a percent sign"):
        infer_labels(["1%", "0.02", "3%", "0.5"] * 3, "regression")
