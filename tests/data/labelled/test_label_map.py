from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables import TEXT_LABEL, table
from tunesmith.data.labelled.label_map import LabelMap, LabelReading, map_cells, map_tables, mapped_table
from tunesmith.data.labelled.labels import class_name
from tunesmith.data.table import Table
from tunesmith.errors import DataError


def rows(*labels: Any, **more: Any) -> Table:
    return replace(table(text=[f"text {i}" for i in range(len(labels))], label=list(labels)), **more)


def mapped(labels: list[Any], classes: dict[str, Any], **options: Any) -> tuple[list[Any], dict[str, int], list[str]]:
    notes: list[str] = []
    made = mapped_table(rows(*labels), TEXT_LABEL, classes, notes, **options)
    assert made.problems == ()
    reasons = [row.reason for row in made.table.bad_rows]
    return made.table.columns["label"], {reason: reasons.count(reason) for reason in reasons}, notes


@pytest.mark.parametrize("zero", [0, "0", 0.0, "0.0", " 0 ", False, "false", "False"])
@pytest.mark.parametrize("key", ["0", "0.0", "false", "False"])
def test_a_label_is_found_in_any_notation(zero: Any, key: str) -> None:
    other = {"0": "1", "0.0": "1.0", "false": "true", "False": "True"}[key]
    cells = [zero, True if isinstance(zero, bool) or "alse" in str(zero) else 1]
    assert mapped(cells, {key: "no", other: "yes"})[0] == ["no", "yes"]


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", None])),
)
def test_every_row_is_mapped_left_out_or_unknown(cells: list[str], classes: dict[str, str | None]) -> None:
    out = map_cells(cells, LabelMap(classes), None)
    assert len(out.cells) == len(cells)
    assert sum(out.used.values()) + sum(out.unknown.values()) == len(cells)
    for i, (cell, new) in enumerate(zip(cells, out.cells, strict=True)):
        assert (i in out.reasons) == (classes.get(cell, cell) is None)
        assert new == classes.get(cell, cell)


def test_a_map_may_exchange_two_labels() -> None:
    assert mapped(["0", "1", "1"], {"0": "1", "1": "0"})[0] == ["1", "0", "0"]


def test_rows_mapped_to_null_are_left_out_and_counted_by_label() -> None:
    cells, reasons, notes = mapped(["a", "b", "c", "b", None], {"a": "x", "b": None, "c": "y"})
    assert (cells, reasons) == (["x", "y", None], {"labelled b, which data.labels maps to null": 2})
    assert notes == ["table: the column label is read by data.labels: a is x (1 row), b is left out (2 rows), c is y (1 row)."]


def test_sets_of_labels_lose_their_null_labels_and_rows_of_nulls_alone() -> None:
    cells, reasons, notes = mapped([["a", "b"], ["b"], [], ["a", "c"]], {"a": "x", "b": None, "c": "x"})
    assert cells == [["x"], [], ["x", "x"]]
    assert reasons == {"labelled b, which data.labels maps to null": 1}
    assert "leaves out labels of rows that have others: b (1)" in notes[1]
    assert mapped(["a;b", "a"], {"a": "x", "b": "y"}, separator=";")[0] == [["x", "y"], ["x"]]
    assert mapped(["[3, 1]", "[1]"], {"1": "x", "3": "y"})[0] == [["y", "x"], ["x"]]


def test_words_for_no_label_are_labels_if_they_are_keys() -> None:
    assert mapped(["n/a", "a", "-"], {"n/a": "none", "a": "x"})[0] == ["none", "x", "-"]


def test_minus_one_stays_unlabelled_also_beside_numbers_as_classes() -> None:
    assert mapped([-1, 1, 2], {"1": 0, "2": 1})[0] == [None, 0, 1]
    assert mapped([-1, 1, 2], {"1": "x", "2": "y"})[0] == [-1, "x", "y"]
    assert mapped([-1, 1, 1], {"-1": "x", "1": "y"})[0] == ["x", "y", "y"]


def test_declared_names_are_mapped_by_name_or_by_number() -> None:
    declared = {"label": ["neg", "pos", "mixed"]}
    for classes in ({"0": "bad", "1": "good", "2": None}, {"neg": "bad", "pos": "good", "mixed": None}):
        made = mapped_table(rows("neg", "pos", "mixed", classes=declared), TEXT_LABEL, classes, [])
        assert (made.problems, made.table.columns["label"], made.keys) == ((), ["bad", "good"], frozenset(classes))
    stars = mapped_table(rows("1", "2", classes={"label": ["1", "2"]}), TEXT_LABEL, {"1": "one", "2": "two"}, [])
    assert stars.table.columns["label"] == ["one", "two"]  # names that are numbers are names
    assert stars.table.classes == {"label": ("one", "two")}


def test_the_order_of_the_classes_is_that_of_the_keys_0_to_k() -> None:
    assert LabelMap({"1": "b", "0": "a"}).order() == ("a", "b")
    for classes in ({"0": "a", "1": "a"}, {"0": "a", "1": None}, {"1": "a", "2": "b"}, {"x": "a", "y": "b"}):
        assert LabelMap(classes).order() == ()


def both(first: Table, second: Table, labels: dict[str, Any]) -> tuple[dict[str, Table], list[str]]:
    tables, notes = {"train": first, "test": second}, list[str]()
    names = {"train": ("train", "a.csv"), "test": ("test", "b.csv")}
    map_tables(tables, dict.fromkeys(tables, TEXT_LABEL), names, LabelReading(labels), notes)
    return tables, notes


def test_labels_without_a_key_are_listed_for_every_file_with_the_closest_keys() -> None:
    with pytest.raises(DataError) as error:
        both(rows("good", "bad", "godo"), rows("good", "bda", "bda"), {"good": "x", "bad": "y"})
    assert "1 label is no key of data.labels, in the column label: 'godo' (1 row; did you mean good?)" in str(error.value)
    assert "'bda' (2 rows; did you mean bad?)" in str(error.value)


def test_numbers_without_a_key_are_no_spelling_mistakes_and_get_no_class() -> None:
    with pytest.raises(DataError) as error:
        both(rows("5", "1", "15"), rows("5"), {"5": "x", "1": "y"})
    assert "in the column label: '15' (1 row). Give each a class, such as {15: NAME}, or null" in str(error.value)
    with pytest.raises(DataError, match=r"such as \{x: x\}"):  # a class already
        both(rows("5", "1", "x"), rows("5"), {"5": "x", "1": "y"})


def test_keys_without_rows_are_noted_and_no_matching_key_is_an_error() -> None:
    _, notes = both(rows("a", "b"), rows("a"), {"a": "x", "b": "y", "z": "y"})
    assert "no row has the label 'z', a key of data.labels." in notes[-1]
    with pytest.raises(DataError, match=r"None of the labels .* is a key of data.labels"):
        both(rows("a", "b"), rows("a"), {"0": "x", "1": "y"})
    with pytest.raises(DataError, match=r"No key of data.labels is a label there: the keys are 0, 1, the labels a, b"):
        both(rows("a", "b"), rows("a"), {"0": "a", "1": "b"})


def test_a_file_that_holds_the_classes_already_stays_as_it_is() -> None:
    tables, notes = both(rows("0", "1"), rows("no", "yes"), {"0": "no", "1": "yes"})
    assert tables["test"].columns["label"] == ["no", "yes"]
    assert "table: the column label holds names of classes already; data.labels is not needed for it." in notes
    with pytest.raises(DataError, match="'yes'"):  # but not one that mixes both
        both(rows("0", "1"), rows("0", "yes"), {"0": "no", "1": "yes"})


def test_each_file_may_have_its_own_map_or_none() -> None:
    tables, _ = both(rows("0", "1"), rows("1", "2"), {"a.csv": {"0": "x", "1": "y"}, "b.csv": {"1": "x", "2": "y"}})
    assert tables["train"].columns["label"] == tables["test"].columns["label"] == ["x", "y"]
    tables, _ = both(rows("0", "1"), rows("x", "y"), {"train": {"0": "x", "1": "y"}})
    assert tables["test"].columns["label"] == ["x", "y"]


def test_several_label_columns_and_files_without_any_row_left_are_refused() -> None:
    columns = replace(TEXT_LABEL, label=("a", "b"))
    assert (
        "each of the columns a, b is a class of its own" in mapped_table(rows("x"), columns, {"a": "b"}, []).problems[0].message
    )
    with pytest.raises(DataError, match=r"No row is left .*labelled c, which data.labels maps to null: 2 rows"):
        both(rows("a", "b"), rows("c", "c"), {"a": "x", "b": "y", "c": None})


@given(st.one_of(st.integers(-3, 30), st.booleans(), st.floats(-2, 9).map(lambda x: round(x, 1))))
def test_every_number_is_found_by_the_name_of_its_class(value: Any) -> None:
    assert LabelMap({class_name(value): "x"}).key(class_name(str(value))) is not None
