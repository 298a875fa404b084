"""Divides text into lines, which end only at a line feed, a carriage return, or both; never at U+2028, form feeds or the like."""

from __future__ import annotations

import re

LINE_END = re.compile(r"\r\n|\n|\r")


def split_lines(text: str) -> list[str]:
    """Returns the lines without their ends. Text after the last line end is a line, too, even if it is empty."""
    return LINE_END.split(text)
