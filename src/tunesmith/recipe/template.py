"""Parses a template of columns such as ``{title}. {body}``: the names in braces, and the text between them."""

from __future__ import annotations

import re

FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
"""A column in braces, a doubled brace, which is written for one, or a single brace that fits nothing."""


def parse_template(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the n columns of a template, and the n + 1 texts around them.

    Raises ValueError for a brace without its partner, for empty braces, and for a template without a column.
    """
    names: list[str] = []
    separators, end = [""], 0
    for match in FIELD.finditer(text):
        separators[-1] += text[end : match.start()]
        end = match.end()
        if match[0] in ("{{", "}}"):
            separators[-1] += match[0][0]
        elif match[1] is None:
            raise ValueError(f"a {match[0]} has no partner; write {match[0] * 2} for the character itself")
        elif not match[1].strip():
            raise ValueError("there is no column between { and }")
        else:
            names.append(match[1].strip())
            separators.append("")
    separators[-1] += text[end:]
    if not names:
        raise ValueError("it names no column in braces")
    return tuple(names), tuple(separators)
