"""The recipe's sections as a tree: which keys exist, and what each one takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from tunesmith.recipe.sections import Recipe, Section

Schema = dict[str, Any]


def subsection(section: type[Section], key: str) -> type[Section] | None:
    """The section behind a key; None where the key is a value or unknown."""
    field = section.model_fields.get(key)
    if field is None:
        return None
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
    return None


def field_path(path: Sequence[str | int]) -> tuple[str, ...]:
    """The part of a path that the sections declare: ends at the first value, or at the first key they do not know."""
    section: type[Section] | None = Recipe
    found: list[str] = []
    for part in path:
        if section is None:
            break
        found.append(str(part))
        section = subsection(section, str(part))
    return tuple(found)


def section_at(path: Sequence[str]) -> type[Section] | None:
    """The section at a path; None where there is a value or nothing."""
    section: type[Section] | None = Recipe
    for part in path:
        if section is None:
            return None
        section = subsection(section, part)
    return section


def sections(section: type[Section] = Recipe, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    """Every section with its path, the recipe itself (path ``()``) first, in the order of declaration."""
    yield path, section
    for key in section.model_fields:
        inner = subsection(section, key)
        if inner is not None:
            yield from sections(inner, (*path, key))


def all_keys() -> list[tuple[str, ...]]:
    """The path of every key, sections included, in the order of declaration."""
    return [(*path, key) for path, section in sections() for key in section.model_fields]


@cache
def recipe_schema() -> Schema:
    """The JSON Schema pydantic makes of the sections."""
    return Recipe.model_json_schema()


def key_schema(path: Sequence[str]) -> Schema:
    """The JSON Schema of one key.

    Raises:
        KeyError: there is no such key.
    """
    schema = recipe_schema()
    for part in path:
        schema = _section_schema(schema)["properties"][part]
    return schema


def branches(schema: Schema) -> list[Schema]:
    """The alternatives of a key's schema, references resolved, ``null`` left out."""
    resolved = [_resolve(branch) for branch in schema.get("anyOf", [schema])]
    return [branch for branch in resolved if branch.get("type") != "null"]


def nullable(schema: Schema) -> bool:
    """Whether the key takes ``null``."""
    return any(branch.get("type") == "null" for branch in schema.get("anyOf", []))


def _section_schema(schema: Schema) -> Schema:
    return next(branch for branch in branches(schema) if "properties" in branch)


def _resolve(schema: Schema) -> Schema:
    reference = schema.get("$ref")
    return recipe_schema()["$defs"][reference.rsplit("/", 1)[1]] if reference else schema
