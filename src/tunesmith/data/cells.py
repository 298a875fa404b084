"""What a single cell is: missing, a number, a whole number."""

from __future__ import annotations

import math
import re
from typing import Any

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


def is_missing(cell: Any) -> bool:
    """True for None, NaN and strings of nothing but white space."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell or cell.isspace()
    return isinstance(cell, float) and math.isnan(cell)


def is_number(cell: Any) -> bool:
    """True for finite numbers and for strings that are one. Booleans are no numbers."""
    if isinstance(cell, str):
        return NUMBER.fullmatch(cell.strip()) is not None
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def is_whole(cell: Any) -> bool:
    """True for whole numbers however they are written: ``3``, ``"3"``, ``3.0``, ``"3.0"``."""
    if isinstance(cell, str):
        return WHOLE.fullmatch(cell.strip()) is not None
    return is_number(cell) and float(cell).is_integer()


def clip(cell: Any, length: int = 60) -> str:
    """The cell as a quoted string for a message, shortened."""
    text = str(cell)
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def listed(names: Any, limit: int = 12) -> str:
    """Names as one readable list, the rest counted."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
