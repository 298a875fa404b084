"""Reads columns of numbers as spreadsheets write them: with a decimal comma, thousands separators or percent signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tunesmith.data.cells import UNLABELLED, clip, is_number

MIN_SHARE = 0.9
"""A column is written in a notation if so many of its cells are numbers in it."""
SPACES = " \u00a0\u2009\u202f'\u2019"
MINUS = "\u2212"


def notation(decimal: str, thousands: str) -> re.Pattern[str]:
    """Builds the pattern of a number; groups of three digits follow one to three digits without a leading zero."""
    grouped = rf"[1-9]\d{{0,2}}(?:([{thousands}{SPACES}])\d{{3}})(?:\1\d{{3}})*"
    return re.compile(rf"[+\-{MINUS}]?(?:{grouped}|\d+)?(?:{decimal}\d+)?(?<=\d)\s?%?")


DECIMAL_POINT, DECIMAL_COMMA = notation(r"\.", ","), notation(",", ".")


def plain_numbers(cells: Sequence[Any]) -> tuple[Sequence[Any], str]:
    """Rewrites numbers with a decimal comma, thousands separators or percent signs as plain ones, with a note on it.

    The column decides: nearly all its texts have to be numbers in one notation. Cells such as ``1,234`` alone fit two
    notations; they are returned unchanged, with a note that says so. Every other column is returned as it is, without a note.
    """
    texts = {i: cell.strip() for i, cell in enumerate(cells) if isinstance(cell, str) and cell.strip().lower() not in UNLABELLED}
    odd = [text for text in texts.values() if not is_number(text)]
    if share(DECIMAL_POINT, odd) < MIN_SHARE and share(DECIMAL_COMMA, odd) < MIN_SHARE:
        return cells, ""
    percents = [text for text in texts.values() if text.endswith("%")]
    if percents and any(map(is_plain_number, texts.values())):
        return cells, f"{clip(percents[0])} stands beside numbers without a percent sign: write all of them on one scale."
    by_point, by_comma = (share(pattern, list(texts.values())) for pattern in (DECIMAL_POINT, DECIMAL_COMMA))
    with_comma = [text for text in odd if "," in text]
    if by_point == by_comma and with_comma:
        return cells, f"{clip(with_comma[0])} may have a decimal comma or a thousands separator: write numbers like 1234.5."
    pattern, decimal = (DECIMAL_POINT, ".") if by_point >= by_comma else (DECIMAL_COMMA, ",")
    plain = [
        plain_number(texts[i], decimal) if i in texts and pattern.fullmatch(texts[i]) else cells[i] for i in range(len(cells))
    ]
    first = next((i for i, text in texts.items() if not is_number(text) and is_number(plain[i])), None)
    if max(by_point, by_comma) < MIN_SHARE or first is None:
        return cells, ""
    return plain, f"Numbers such as {clip(texts[first])} are read as {plain[first]}."


def is_plain_number(text: str) -> bool:
    """Tells whether a text is a number without a percent sign, other than 0, which is the same on both scales."""
    is_any = DECIMAL_POINT.fullmatch(text) is not None or DECIMAL_COMMA.fullmatch(text) is not None
    return is_any and not text.endswith("%") and text.strip("+-0.,") != ""


def share(pattern: re.Pattern[str], texts: Sequence[str]) -> float:
    """Returns the share of the texts that are numbers in a notation."""
    return sum(pattern.fullmatch(text) is not None for text in texts) / len(texts) if texts else 0.0


def plain_number(text: str, decimal: str) -> str:
    """Writes a number without thousands separators and percent sign, with a decimal point."""
    whole, _, rest = text.replace(MINUS, "-").rstrip("% \u00a0").partition(decimal)
    digits = re.sub(r"[^\d+-]", "", whole)
    return f"{digits}.{rest}" if rest else digits
