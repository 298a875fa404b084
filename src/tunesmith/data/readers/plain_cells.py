"""Converts the cells of every source to plain Python values: text, numbers, booleans, and lists and objects of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from tunesmith.data.table import BadRow, Table
from tunesmith.errors import DataError

PLAIN_TYPES = frozenset({int, float, bool, type(None)})
SURROGATE = re.compile("[\ud800-\udfff]")
NARROW_FLOATS = {"float16": np.float16, "halffloat": np.float16, "float32": np.float32, "float": np.float32}
"""Types of numbers of 16 and 32 bits, as NumPy, pandas, Arrow and ``datasets`` call them."""
HALF_PAIR = "half a surrogate pair (a cut emoji), read as U+FFFD"
NOT_UTF8 = "bytes that are not UTF-8, read as U+FFFD"


def plain_table(table: Table) -> Table:
    """Converts decimals, bytes, and NumPy's and Arrow's values, and repairs text that no encoding can write.

    Half a surrogate pair, in a cell or in a column's name, becomes U+FFFD; its rows are counted as repaired.
    """
    repaired: dict[int, BadRow] = {}
    columns: dict[str, list[Any]] = {}
    for name, cells in table.columns.items():
        whole = whole_text(name)
        if whole in columns:
            raise DataError.one(table.source, f"The source names a column more than once: {whole}.")
        columns[whole], reasons = plain_column(cells)
        for i, reason in reasons.items():
            line = None if table.lines is None else table.lines[i]
            repaired.setdefault(table.row_ids[i], BadRow(table.row_ids[i], line, reason, dropped=False))
    known = {row.row_id for row in table.bad_rows}
    bad_rows = [*table.bad_rows, *(row for row_id, row in repaired.items() if row_id not in known)]
    return replace(table, columns=columns, bad_rows=tuple(sorted(bad_rows, key=lambda row: row.row_id)))


def plain_column(cells: list[Any]) -> tuple[list[Any], dict[int, str]]:
    """Converts the cells of a column; returns also position -> reason for the repaired ones."""
    if is_text(cells) or set(map(type, cells)) <= PLAIN_TYPES:
        return cells, {}
    reasons: dict[int, str] = {}
    plain = [plain_cell(cell, lambda reason, i=i: reasons.setdefault(i, reason)) for i, cell in enumerate(cells)]  # type: ignore[misc]
    return plain, reasons


def is_text(cells: Sequence[Any]) -> bool:
    """Returns whether all cells are text that UTF-8 can write."""
    try:
        "".join(cells).encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def plain_cell(cell: Any, repair: Callable[[str], object]) -> Any:
    """Converts one cell, with all that it holds; calls ``repair`` with the reason where text had to be repaired."""
    if type(cell).__module__ == "numpy":
        cell = plain_value(cell)
    if isinstance(cell, str):
        whole = whole_text(cell)
        if whole != cell:
            repair(HALF_PAIR)
        return whole
    if isinstance(cell, bytes | bytearray):
        text = cell.decode("utf-8", "replace")
        if text.encode() != cell:
            repair(NOT_UTF8)
        return text
    if isinstance(cell, Decimal):
        return int(cell) if cell.is_finite() and cell == cell.to_integral_value() else float(cell)
    if isinstance(cell, Mapping):
        return {whole_text(str(key)): plain_cell(value, repair) for key, value in cell.items()}
    if isinstance(cell, set | frozenset):
        cell = sorted(cell, key=str)
    return [plain_cell(item, repair) for item in cell] if isinstance(cell, list | tuple) else cell


def plain_value(value: Any) -> Any:
    """Converts a value or array of NumPy."""
    return shortest_floats([value.tolist()], value.dtype)[0]


def shortest_floats(cells: list[Any], kind: object) -> list[Any]:
    """Returns numbers of 16 and 32 bits as their shortest decimals, 0.1 instead of 0.10000000149011612; other cells as they are.

    Args:
        kind: the type of the column, as its library calls it.
    """
    narrow = NARROW_FLOATS.get(str(kind).lower().removesuffix("[pyarrow]"))
    return cells if narrow is None else [float(str(narrow(cell))) if isinstance(cell, float) else cell for cell in cells]


def whole_text(text: str) -> str:
    """Joins surrogates that make a pair, and replaces every other one by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if SURROGATE.search(text) else text
