"""Numbers as people read them: three significant digits, intervals in brackets, thousands separated, units said."""

from __future__ import annotations

import math
from typing import Any

ABSENT = "–"


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number (True and False are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def places(value: float) -> int:
    """Decimals for a metric of this size: three up to 10, fewer above."""
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3


def number(value: Any, decimals: int | None = None, signed: bool = False) -> str:
    """``value`` with sensible digits; a dash where there is none."""
    if not is_number(value):
        return ABSENT
    if decimals is None and 0 < abs(value) < 0.0005:
        return f"{value:{'+' if signed else ''}.2e}"
    text = f"{value:{'+' if signed else ''},.{places(value) if decimals is None else decimals}f}"
    return text.replace("-", "", 1) if text.startswith("-") and not any(digit in text for digit in "123456789") else text


def with_interval(value: Any, low: Any, high: Any, signed: bool = False) -> str:
    """``0.913 [0.880, 0.940]``: all three with the same decimals; no brackets where there is no interval."""
    if not is_number(value):
        return ABSENT
    if not (is_number(low) and is_number(high)):
        return number(value, signed=signed)
    largest = max(abs(value), abs(low), abs(high))
    decimals = None if 0 < largest < 0.0005 else places(largest)
    first, start, end = (number(part, decimals, signed) for part in (value, low, high))
    return f"{first} [{start}, {end}]"


def significant(value: Any) -> str:
    """Three significant digits at any size, for learning rates and limits: ``5e-05``."""
    if not is_number(value):
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def count(value: Any) -> str:
    """A whole number with thousands separators."""
    return f"{round(value):,}" if is_number(value) else ABSENT


def percent(value: Any, decimals: int = 1) -> str:
    """A share in [0, 1] as per cent."""
    return f"{100 * value:.{decimals}f} %" if is_number(value) else ABSENT


def duration(seconds: Any) -> str:
    """Seconds in the units a person would say: ``0.42 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 03 min``."""
    if not is_number(seconds):
        return ABSENT
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(n_bytes: Any) -> str:
    """Bytes in decimal units: ``1.31 GB``."""
    if not is_number(n_bytes) or n_bytes <= 0:
        return ABSENT
    value, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def plural(n: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``, ``300 queries``."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else many}"
