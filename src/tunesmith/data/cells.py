"""Tells what a single cell holds: nothing, a number, a whole number; and formats cells for messages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


def is_missing(cell: object) -> bool:
    """Returns whether a cell is None, NaN, or a string of white space only."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell or cell.isspace()
    return isinstance(cell, float) and math.isnan(cell)


def is_number(cell: object) -> bool:
    """Returns whether a cell is a finite number or a string of one. Booleans are no numbers."""
    if isinstance(cell, str):
        return NUMBER.fullmatch(cell.strip()) is not None
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def is_whole(cell: object) -> bool:
    """Returns whether a cell is a whole number in any notation: ``3``, ``"3"``, ``3.0``, ``"3.0"``."""
    if isinstance(cell, str):
        return WHOLE.fullmatch(cell.strip()) is not None
    return isinstance(cell, int | float) and is_number(cell) and float(cell).is_integer()


def plain_class_name(cell: object) -> str:
    """Writes the class ``1.0`` as ``1``: a column of whole numbers with missing cells holds floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def clip(cell: object, length: int = 60) -> str:
    """Quotes and shortens the cell for a message."""
    text = str(cell)
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Joins the first names with commas and counts the others."""
    words = [str(name) for name in names]
    shown = ", ".join(words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"
