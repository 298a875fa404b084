from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.cells import clip, is_missing, is_number, is_whole, listed

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
