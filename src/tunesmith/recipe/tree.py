"""Walks the tree of recipe sections, lists the keys and the JSON Schema of each, and describes schemas and values in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from tunesmith.recipe.section import Section
from tunesmith.recipe.sections import Recipe

Schema = dict[str, Any]


def subsection(section: type[Section], key: str) -> type[Section] | None:
    """Returns the section class of a key; None if the key is a value or unknown."""
    field = section.model_fields.get(key)
    if field is None:
        return None
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
    return None


def field_path(path: Sequence[str | int]) -> tuple[str, ...]:
    """Cuts a path after the first key that is a value or unknown, e.g. after ``labels`` in ``sft.labels[0]``."""
    section: type[Section] | None = Recipe
    keys: list[str] = []
    for part in path:
        if section is None or str(part).startswith("literal["):
            break
        if keys and part == section.__name__:  # pydantic's name of an alternative, of a key that is a value or a section
            continue
        keys.append(str(part))
        section = subsection(section, str(part))
    return tuple(keys)


def section_at(path: Sequence[str]) -> type[Section] | None:
    """Returns the section class at a path; None for a value or an unknown key."""
    section: type[Section] | None = Recipe
    for part in path:
        if section is None:
            return None
        section = subsection(section, part)
    return section


def sections(section: type[Section] = Recipe, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    """Yields every section with its path in the order of declaration; the recipe itself (path ``()``) is the first."""
    yield path, section
    for key in section.model_fields:
        inner = subsection(section, key)
        if inner is not None:
            yield from sections(inner, (*path, key))


def all_keys() -> list[tuple[str, ...]]:
    """Lists the path of every key, sections included, in the order of declaration."""
    return [(*path, key) for path, section in sections() for key in section.model_fields]


@cache
def recipe_schema() -> Schema:
    """Returns pydantic's JSON Schema of the recipe."""
    return Recipe.model_json_schema()


def key_schema(path: Sequence[str]) -> Schema:
    """Returns the JSON Schema of one key. Raises KeyError if there is no such key."""
    schema = recipe_schema()
    for part in path:
        schema = next(branch for branch in branches(schema) if "properties" in branch)["properties"][part]
    return schema


def branches(schema: Schema) -> list[Schema]:
    """Lists the alternatives of a key's schema without ``null``, with references resolved."""
    alternatives = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    return [recipe_schema()["$defs"][b["$ref"].rsplit("/", 1)[1]] if "$ref" in b else b for b in alternatives]


def nullable(schema: Schema) -> bool:
    """Returns whether the key takes ``null``."""
    return any(branch.get("type") == "null" for branch in schema.get("anyOf", []))


_TYPES = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
_PLURALS = {"string": "texts", "integer": "whole numbers", "number": "numbers"}
_LIMITS = (("exclusiveMinimum", "above"), ("minimum", "at least"), ("exclusiveMaximum", "below"), ("maximum", "at most"))
_BOOLEANS = ("true", "false")


def choices(branch: Schema) -> list[str] | None:
    """Returns the allowed values of an enum or constant; None for any other schema."""
    if "enum" in branch:
        return list(branch["enum"])
    return [branch["const"]] if "const" in branch else None


def describe_range(branch: Schema) -> str:
    """Describes the range of a number, e.g. ``above 0 and below 1``; empty without limits."""
    return " and ".join(f"{word} {branch[key]:.15g}" for key, word in _LIMITS if key in branch)


def describe_type(schema: Schema) -> str:
    """Describes the type of a key, e.g. ``a number above 0 and below 1, or text`` (without ``null``)."""
    return ", or ".join(_describe_branch(branch) for branch in branches(schema)) or "anything"


def _describe_branch(branch: Schema) -> str:
    listed = choices(branch)
    if listed is not None:
        return f"one of {', '.join(listed)}" if len(listed) > 2 else " or ".join(listed)
    kind = branch.get("type")
    if kind == "array":
        items = branch.get("items", {})
        return f"a list of {', '.join(choices(items) or ()) or _plural(items)}"
    if kind == "object":
        values = branch.get("additionalProperties") or {}
        return "keys and values" if "properties" in branch or values is True else f"a map from text to {_plural(values)}"
    if kind is None:
        return "anything"
    limits = describe_range(branch)
    return f"{_TYPES[kind]} {'of ' if limits.startswith('at ') else ''}{limits}".rstrip()


def _plural(schema: Schema) -> str:
    kinds = [
        f"lists of {_plural(branch.get('items', {}))}" if branch.get("type") == "array" else _PLURALS.get(branch.get("type", ""))
        for branch in branches(schema)
    ]
    return " or ".join(kind or "values" for kind in kinds)


def describe_value(value: object, written: str | None = None) -> str:
    """Describes a value, e.g. ``the text "abc"`` or ``no, which YAML reads as false``."""
    if value is None:
        return "nothing" if written == "" else "null"
    if isinstance(value, bool):
        word = "true" if value else "false"
        return f"{written}, which YAML reads as {word}" if written and written.lower() not in _BOOLEANS else word
    if isinstance(value, str):
        return f"the text {json.dumps(shorten(value), ensure_ascii=False)}"
    if isinstance(value, int | float):
        return f"the number {format_number(value, written)}"
    if isinstance(value, list):
        return "a list"
    return "keys and values" if isinstance(value, dict) else f"an object of type {type(value).__name__}"


def format_number(value: float, written: str | None = None) -> str:
    """Formats a number as written in the recipe, or as Python does."""
    return shorten(written) if written else str(value)


def shorten(text: str, length: int = 60) -> str:
    """Cuts a text to ``length`` characters, with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
