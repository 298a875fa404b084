"""Formats numbers for people: three significant digits, intervals in brackets, thousands separators, units."""

from __future__ import annotations

import math
from typing import TypeGuard

from tunesmith.data.cells import plural as plural

ABSENT = "–"


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether ``value`` is a finite number (True and False are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def places(value: float) -> int:
    """Returns the number of decimals for a metric of this size: three below 10, fewer above."""
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3


def number(value: object, decimals: int | None = None, signed: bool = False) -> str:
    """Formats a number with a suitable number of decimals; a dash if it is missing."""
    if not is_number(value):
        return ABSENT
    if decimals is None and 0 < abs(value) < 0.0005:
        return f"{value:{'+' if signed else ''}.2e}"
    text = f"{value:{'+' if signed else ''},.{places(value) if decimals is None else decimals}f}"
    return text.replace("-", "", 1) if text.startswith("-") and not any(digit in text for digit in "123456789") else text


def with_interval(value: object, low: object, high: object, signed: bool = False) -> str:
    """Formats ``0.913 [0.880, 0.940]``, all three with the same decimals; without brackets if there is no interval."""
    if not is_number(value):
        return ABSENT
    if not (is_number(low) and is_number(high)):
        return number(value, signed=signed)
    largest = max(abs(value), abs(low), abs(high))
    decimals = None if 0 < largest < 0.0005 else places(largest)
    middle, start, end = (number(part, decimals, signed) for part in (value, low, high))
    return f"{middle} [{start}, {end}]"


def significant(value: object) -> str:
    """Formats three significant digits at any size, for learning rates and limits: ``5e-05``."""
    if not is_number(value):
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def count(value: object) -> str:
    """Formats a whole number with thousands separators."""
    return f"{round(value):,}" if is_number(value) else ABSENT


def percent(value: object) -> str:
    """Formats a fraction in [0, 1] as a percentage."""
    return f"{100 * value:.1f} %" if is_number(value) else ABSENT


def fraction(part: object, total: object) -> float | None:
    """Returns ``part / total``; None if a number is missing or the total is zero."""
    return part / total if is_number(part) and is_number(total) and total else None


def duration(seconds: object) -> str:
    """Formats seconds in readable units: ``0.42 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 03 min``."""
    if not is_number(seconds):
        return ABSENT
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(n_bytes: object) -> str:
    """Formats bytes in decimal units: ``1.31 GB``."""
    if not is_number(n_bytes) or n_bytes <= 0:
        return ABSENT
    value, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
