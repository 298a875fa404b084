from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.readers.frame import table_from_frame
from tunesmith.errors import DataError

ROWS = {"text": ["a", "b", None], "label": [1, 0, 1], "score": [0.5, None, 2.0], "tags": [["x"], [], ["y", "z"]]}


def pandas_frame() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(ROWS, index=[7, 8, 9])


def arrow_table() -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.table(ROWS)


def dataset() -> Any:
    return pytest.importorskip("datasets").Dataset.from_dict(ROWS)


MAKERS: dict[str, Any] = {
    "pandas": pandas_frame,
    "arrow": arrow_table,
    "datasets": dataset,
    "dict of lists": lambda: ROWS,
    "list of dicts": lambda: [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)],
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_gives_the_same_plain_table(kind: str) -> None:
    found = table_from_frame(MAKERS[kind]())
    assert found.columns == ROWS
    assert (found.row_ids, found.rows_read, found.sha256) == ([0, 1, 2], 3, "")
    assert {type(cell) for cell in found.columns["label"]} == {int}


def test_missing_values_and_numpy_scalars_become_plain() -> None:
    pandas = pytest.importorskip("pandas")
    import numpy as np

    frame = pandas.DataFrame(
        {"a": [float("nan"), 1.0], "b": pandas.array([pandas.NA, "x"]), "c": pandas.Categorical(["u", None])}
    )
    assert table_from_frame(frame).columns == {"a": [None, 1.0], "b": [None, "x"], "c": ["u", None]}
    assert table_from_frame({"a": [np.int64(3), np.str_("x")]}).columns == {"a": [3, "x"]}


def repeated() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame([[1, 2]], columns=["a", "a"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 3, "DataFrame: A DataFrame, a dict of lists or a list of dicts was expected, not int."),
        (lambda: {"a": [1], "b": [1, 2]}, "DataFrame: The columns have different lengths: a 1, b 2."),
        (lambda: {"a": [], "b": []}, "DataFrame: The table has 2 columns and no rows."),
        (list, "DataFrame: The file holds no rows."),
        (repeated, "DataFrame: The table names a column more than once: a."),
    ],
)
def test_what_is_no_table(make: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        table_from_frame(make())
    assert str(caught.value) == message


TEXTS: dict[str, Any] = {
    "list": lambda: ["a", "b", None],
    "tuple": lambda: ("a", "b", None),
    "Series": lambda: pytest.importorskip("pandas").Series(["a", "b", None], index=[3, 4, 5]),
    "array": lambda: pytest.importorskip("numpy").array(["a", "b", None], dtype=object),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_are_one_column(kind: str) -> None:
    assert table_from_frame(TEXTS[kind]()).columns == {"text": ["a", "b", None]}


def test_tuples_and_rows_of_an_array_are_cells() -> None:
    import numpy as np

    for rows in ([("a", "b"), ("c", "d")], np.array([["a", "b"], ["c", "d"]])):
        table = table_from_frame(rows)
        assert (table.columns, table.has_header) == ({"column_1": ["a", "c"], "column_2": ["b", "d"]}, False)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "rows: The rows are no table; the first is int: '1'."),
        ({"text": "abc"}, "rows: The column 'text' is no list of cells: 'abc'."),
        ({"train": {"text": ["a"]}}, "rows: The column 'train' is no list of cells"),
        ((row for row in "ab"), "rows: A DataFrame, a dict of lists or a list of dicts was expected, not generator."),
        ("abc", "rows: A DataFrame, a dict of lists or a list of dicts was expected, not str."),
    ],
)
def test_what_looks_like_a_table_and_is_none(frame: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        table_from_frame(frame, "rows")
    assert str(caught.value).startswith(message)


def test_a_data_set_of_several_splits_is_refused() -> None:
    splits = pytest.importorskip("datasets").DatasetDict({"train": dataset(), "test": dataset()})
    with pytest.raises(DataError, match="several splits, 'train' among them"):
        table_from_frame(splits)
