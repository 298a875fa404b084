from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables import table
from tunesmith.data.columns import detect_columns
from tunesmith.data.template import TextTemplate, with_template
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

TEXT = "{title}. {body}"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2))
def test_complete_rows_are_joined_as_python_would(cells: list[str]) -> None:
    assert TextTemplate.parse(TEXT).join(cells) == TEXT.format(title=cells[0], body=cells[1])


@pytest.mark.parametrize(
    ("text", "cells", "joined"),
    [
        (TEXT, (None, "b"), "b"),
        (TEXT, ("a", None), "a"),
        (TEXT, (None, None), ""),
        ("Title: {a}\nBody: {b}", (None, "b"), "Body: b"),
        ("Title: {a}\nBody: {b}", ("a", None), "Title: a"),
        ("Review: {a}. {b}", (None, "b"), "Review: b"),
        ("{a} ({b}) {c}", ("a", None, "c"), "a c"),
        ("{a}. {b}: {c}", ("a", None, "c"), "a. c"),
        ("{a}\nB: {b}\nC: {c}", ("a", None, "c"), "a\nC: c"),
        ("{a} ({b})", ("a", None), "a"),
        ("[{a}] {b}!", (None, "b"), "b!"),
    ],
)
def test_a_missing_cell_takes_its_separator_along(text: str, cells: tuple[str | None, ...], joined: str) -> None:
    assert TextTemplate.parse(text).join(cells) == joined


def test_missing_cells_are_counted_by_column_and_rows_without_any_are_missing() -> None:
    made = with_template(table(title=["a", "", None, None], body=["b", " c ", 4, ""], label=["x", "y", "x", "y"]), TEXT)
    assert made.columns[TEXT] == ["a. b", "c", "4", None]
    assert [(row.row_id, row.reason, row.dropped) for row in made.bad_rows] == [
        (1, "title is missing", False),
        (2, "title is missing", False),
    ]


def test_its_columns_have_no_other_role_and_the_label_is_not_among_them() -> None:
    rows = table(title=["a", "b"] * 10, body=["one text", "two texts"] * 10, kind=["x", "y"] * 10)
    given = ColumnsSection(text="{title} {body}")
    columns = detect_columns(with_template(rows, "{title} {body}"), "classification", given)
    assert (columns.text, columns.label, columns.other_texts) == ("{title} {body}", ("kind",), ())
    assert columns.reasons["text"] == "made of title, body by data.template"
    with pytest.raises(DataError, match=r"'kind' is named as the label and in data\.template"):
        detect_columns(with_template(rows, "{kind}"), "classification", ColumnsSection(text="{kind}", label="kind"))


def test_unknown_columns_and_cells_that_are_no_text() -> None:
    with pytest.raises(DataError, match=r"no column 'titel'.*the columns are title, body.*Did you mean title"):
        with_template(table(title=["a"], body=["b"]), "{titel} {body}")
    with pytest.raises(DataError, match="the cell is a list"):
        with_template(table(title=["a"], body=[["b"]]), TEXT)
