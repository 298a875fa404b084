"""Cells and quotes of csv files as spreadsheets and careless programs write them."""

from __future__ import annotations

import pytest

from tests.data.tables import payload
from tunesmith.data.readers.delimited import read_delimited

TEXTS = ["hello, and more", 'he said "no"', "plain"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spaces_between_a_delimiter_and_a_quote_belong_to_neither_cell(delimiter: str) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
    lines = [f'"text"{delimiter} "label"', *(f'{text}{delimiter} "{label}"' for text, label in zip(quoted, "aba", strict=True))]
    found = read_delimited(payload("\n".join(lines) + "\n"), ",")
    assert found.columns == {"text": TEXTS, "label": ["a", "b", "a"]}


def test_a_space_before_a_quote_inside_a_text_changes_nothing() -> None:
    found = read_delimited(payload('text,label\n"a, ""b"" and c",x\n1, 2\n'), ",")
    assert found.columns["text"] == ['a, "b" and c', "1"]


def test_formulas_for_a_text_are_that_text() -> None:
    found = read_delimited(payload('text,label\n"=""good one""","=""01"""\nbad,"=""02"""\n=1+1,"=""01"""\n'), ",")
    assert found.columns == {"text": ["good one", "bad", "=1+1"], "label": ["01", "02", "01"]}
    assert any("and are read as 'good one'" in note for note in found.notes)
