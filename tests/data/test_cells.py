from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunesmith.data.cells import clip, csv_line, is_missing, is_number, is_whole, listed, unescape_formula

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("cell", "missing", "number", "whole"),
    [
        (None, True, False, False),
        (NAN, True, False, False),
        ("", True, False, False),
        (" \n", True, False, False),
        (0, False, True, True),
        (1.5, False, True, False),
        (2.0, False, True, True),
        (True, False, False, False),
        (INFINITE, False, False, False),
        ("3", False, True, True),
        (" -3.0 ", False, True, True),
        ("1e-4", False, True, False),
        ("3,5", False, False, False),
        ("nan", False, False, False),
        ("12 apples", False, False, False),
        ([], False, False, False),
    ],
)
def test_kinds_of_cells(cell: Any, missing: bool, number: bool, whole: bool) -> None:
    assert (is_missing(cell), is_number(cell), is_whole(cell)) == (missing, number, whole)


def test_shortening() -> None:
    assert clip("x" * 100, 5) == "'xxxx…'"
    assert listed("abcd", 2) == "a, b and 2 more"
    assert listed("ab", 2) == "a, b"


@pytest.mark.parametrize("delimiter", [",", "\t"])
@given(st.lists(st.text(alphabet=st.sampled_from("ab'\"=,;\t\r\n \u2028"), max_size=5), min_size=2, max_size=4))
@example(["line one\rline two", "nice\r"])
@settings(deadline=None)
def test_a_line_of_csv_has_its_cells_whatever_line_ends_they_hold(delimiter: str, cells: list[str]) -> None:
    line = csv_line(cells, delimiter)
    assert line.endswith("\n")
    (read,) = csv.reader(io.StringIO(line, newline=""), delimiter=delimiter)
    assert list(map(unescape_formula, read)) == cells
    outside = "".join(line.split('"')[::2])  # what is not in quotes
    assert "\r" not in outside
    assert outside.count("\n") == 1
