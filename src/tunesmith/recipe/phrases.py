"""What a key takes and what was found there, in words."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.recipe.tree import Schema, branches

_TYPES = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
_PLURALS = {"string": "texts", "integer": "whole numbers", "number": "numbers"}
_LIMITS = (
    ("exclusiveMinimum", "above"),
    ("minimum", "at least"),
    ("exclusiveMaximum", "below"),
    ("maximum", "at most"),
)
_BOOLEANS = ("true", "false")


def choices(branch: Schema) -> list[str] | None:
    """The values a branch is limited to; None where it is not."""
    if "enum" in branch:
        return list(branch["enum"])
    return [branch["const"]] if "const" in branch else None


def limits(branch: Schema) -> str:
    """The range of a number, e.g. ``above 0 and below 1``; empty where there is none."""
    return " and ".join(f"{word} {branch[key]:.15g}" for key, word in _LIMITS if key in branch)


def takes(schema: Schema) -> str:
    """What a key takes, e.g. ``a number above 0 and below 1, or text`` (``null`` is left out)."""
    parts = [_takes(branch) for branch in branches(schema)]
    return ", or ".join(parts) if parts else "anything"


def _takes(branch: Schema) -> str:
    listed = choices(branch)
    if listed is not None:
        return f"one of {', '.join(listed)}" if len(listed) > 2 else " or ".join(listed)
    kind = branch.get("type")
    if kind == "array":
        return _list_of(branch.get("items", {}))
    if kind == "object":
        return "keys and values" if "properties" in branch or branch.get("additionalProperties") is True else _map_of(branch)
    if kind is None:
        return "anything"
    return f"{_TYPES[kind]} {_ranged(limits(branch))}".rstrip()


def _ranged(text: str) -> str:
    return f"of {text}" if text.startswith("at ") else text


def _list_of(items: Schema) -> str:
    listed = choices(items)
    if listed is not None:
        return f"a list of {', '.join(listed)}"
    return f"a list of {_plural(items)}"


def _map_of(branch: Schema) -> str:
    inner = branch.get("additionalProperties") or {}
    return f"a map from text to {_plural(inner)}"


def _plural(schema: Schema) -> str:
    kinds = [
        f"lists of {_plural(branch.get('items', {}))}" if branch.get("type") == "array" else _PLURALS.get(branch.get("type", ""))
        for branch in branches(schema)
    ]
    return " or ".join(kind or "values" for kind in kinds)


def found(value: Any, written: str | None = None) -> str:
    """What stands at a key, e.g. ``the text "abc"`` or ``no, which YAML reads as false``."""
    if value is None:
        return "nothing" if written == "" else "null"
    if isinstance(value, bool):
        word = "true" if value else "false"
        return f"{written}, which YAML reads as {word}" if written and written.lower() not in _BOOLEANS else word
    if isinstance(value, str):
        return f"the text {json.dumps(shortened(value), ensure_ascii=False)}"
    if isinstance(value, int | float):
        return f"the number {number(value, written)}"
    if isinstance(value, list):
        return "a list"
    return "keys and values" if isinstance(value, dict) else f"an object of type {type(value).__name__}"


def number(value: float, written: str | None = None) -> str:
    """A number as it was written, or as Python writes it."""
    if written:
        return shortened(written)
    return str(value)


def shortened(text: str, length: int = 60) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
